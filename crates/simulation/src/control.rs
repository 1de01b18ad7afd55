//! Negative controls: one rule of the election broken, from outside. A simulation that does not find the two leaders then
//! would not find them in a broken `lease.rs` either.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use still_leading::internals::{Event, Timing};

use crate::server::holder;

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The server accepts a write whatever it replaces.
    NoCompareAndSwap,
    /// A term is valid for a renew deadline from when the renewal was answered.
    FromTheAnswer,
    /// A Lease that was deleted looks like one that was cleared: the same object, created long ago.
    NoWaitAfterRecreation,
    /// A leader closes its eyes to what others wrote.
    IgnoresOtherHolders,
    /// A claim is over when the local wall clock has passed its renewTime by its duration.
    BelievesWallClock,
    /// A leader that hands over releases the Lease while its work goes on until the end of the term.
    ReleasesBeforeTheWorkEnds,
    /// Whoever is not preferred after a release waits for ever.
    NobodyElseTries,
    /// Whoever is preferred after a release has no head start.
    NoHeadStart,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NoCompareAndSwap,
        Self::FromTheAnswer,
        Self::NoWaitAfterRecreation,
        Self::IgnoresOtherHolders,
        Self::BelievesWallClock,
        Self::ReleasesBeforeTheWorkEnds,
        Self::NobodyElseTries,
        Self::NoHeadStart,
    ];

    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCompareAndSwap => "no-compare-and-swap",
            Self::FromTheAnswer => "from-the-answer",
            Self::NoWaitAfterRecreation => "no-wait-after-recreation",
            Self::IgnoresOtherHolders => "ignores-other-holders",
            Self::BelievesWallClock => "believes-wall-clock",
            Self::ReleasesBeforeTheWorkEnds => "releases-before-the-work-ends",
            Self::NobodyElseTries => "nobody-else-tries",
            Self::NoHeadStart => "no-head-start",
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownControl;

impl std::error::Error for UnknownControl {}

impl fmt::Display for UnknownControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the controls are {}", Control::ALL.map(Control::name).join(", "))
    }
}

impl FromStr for Control {
    type Err = UnknownControl;

    fn from_str(name: &str) -> Result<Self, UnknownControl> {
        Self::ALL.into_iter().find(|control| control.name() == name).ok_or(UnknownControl)
    }
}

/// The timing of a process, if this control is on.
pub fn timed(control: Option<Control>, timing: Timing) -> Timing {
    let head_start = match control {
        Some(Control::NobodyElseTries) => Duration::from_secs(1_000_000_000),
        Some(Control::NoHeadStart) => Duration::ZERO,
        _ => return timing,
    };
    Timing { head_start, ..timing }
}

/// What the elector is shown instead of `event`, if this control is on.
pub fn shown(control: Option<Control>, event: Event, timing: &Timing, leads: bool, wall_clock: i64) -> Event {
    match (control, event) {
        (Some(Control::IgnoresOtherHolders), event) if leads => unseen(event, &timing.identity),
        (Some(Control::BelievesWallClock), Event::Watched(lease)) => {
            Event::Watched(expired(lease, &timing.identity, wall_clock))
        }
        (Some(Control::BelievesWallClock), Event::Read { lease, age }) => {
            Event::Read { lease: lease.map(|lease| expired(lease, &timing.identity, wall_clock)), age }
        }
        (_, event) => event,
    }
}

/// `event`, unless it shows another holder, or that the Lease is nobody's.
fn unseen(event: Event, identity: &str) -> Event {
    match event {
        Event::Watched(lease) if holder(&lease) != Some(identity) => Event::Tick,
        Event::Read { lease: Some(lease), .. } if holder(&lease) != Some(identity) => Event::ReadFailed,
        Event::Refused => Event::WriteFailed,
        event => event,
    }
}

/// `lease` without its holder, if the wall clock says that the holder is too late.
fn expired(mut lease: Lease, identity: &str, wall_clock: i64) -> Lease {
    let Some(spec) = &mut lease.spec else { return lease };
    let renewed = spec.renew_time.as_ref().map_or(0, |time| time.0.as_microsecond());
    let lasts = i64::from(spec.lease_duration_seconds.unwrap_or(0)).saturating_mul(1_000_000);
    if spec.holder_identity.as_deref() != Some(identity) && renewed.saturating_add(lasts) < wall_clock {
        spec.holder_identity = None;
    }
    lease
}
