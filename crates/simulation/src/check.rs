//! What must be true at every event, and what must come true in the end.

use std::fmt;

use k8s_openapi::api::coordination::v1::Lease;

use crate::fault::What;
use crate::plan::Plan;
use crate::replica::Published;
use crate::server::{Server, holder, version};
use crate::time::{Ns, nanos, seconds};
use crate::world::Slot;

/// Within a retry period a replica sends at most this many requests: a renewal, a read after a refusal, and a few when the
/// Lease keeps changing.
const REQUESTS_MAX: u64 = 25;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two could act at once, or one although it knew of another.
    Overlap,
    /// A later term has no larger epoch.
    Epoch,
    /// A term is longer than the renew deadline.
    TooLong,
    /// A replica sends requests without a pause.
    Storm,
    /// Nobody leads although all is well.
    Stuck,
}

/// The first thing that went wrong in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Ns,
    /// What.
    pub kind: Kind,
    /// The details, for a person.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} s: {}", self.kind, seconds(self.at), self.text)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    since: Ns,
    requests: u64,
}

/// See the file.
#[derive(Debug)]
pub struct Checks {
    violation: Option<Violation>,
    epoch: u64,
    /// Epochs grow, unless a restore moves the resourceVersion back.
    are_epochs_ordered: bool,
    healed: Ns,
    unled: Ns,
    must_lead: bool,
    paces: Vec<(Ns, Pace)>,
    /// How many terms began.
    pub terms: u64,
}

impl Checks {
    /// What is promised of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let period = |spec: &crate::plan::Spec| nanos(spec.timing.retry_period);
        Self {
            violation: None,
            epoch: 0,
            are_epochs_ordered: !plan.faults.iter().any(|fault| matches!(fault.what, What::Restore(..))),
            healed: plan.healed,
            unled: 0,
            must_lead: false,
            paces: plan.replicas.iter().map(|spec| (period(spec), Pace::default())).collect(),
            terms: 0,
        }
    }

    /// The first violation, if there was one.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How long after the last fault there was still no leader.
    pub fn recovered_in(&self) -> Ns {
        self.unled.saturating_sub(self.healed)
    }

    /// A term of the replica `slot` begins.
    pub(crate) fn began(&mut self, slot: usize, epoch: u64, now: Ns) {
        self.terms += 1;
        if self.are_epochs_ordered && epoch <= self.epoch {
            let before = self.epoch;
            self.violate(now, Kind::Epoch, || format!("r{slot} leads in epoch {epoch}, after an epoch {before}"));
        }
        self.epoch = epoch;
    }

    /// The replica `slot` leads although it was shown `lease`. It may have been outdated.
    pub(crate) fn saw(&mut self, slot: usize, lease: &Lease, server: &Server, now: Ns) {
        if server.lease().map(version) == Some(version(lease)) {
            let holder = holder(lease).unwrap_or_default();
            self.violate(now, Kind::Overlap, || format!("r{slot} leads and has seen that {holder} holds the Lease"));
        }
    }

    /// The replica `slot` sends a request.
    pub(crate) fn requested(&mut self, slot: usize, now: Ns) {
        let (period, pace) = &mut self.paces[slot];
        if now >= pace.since + *period {
            *pace = Pace { since: now, requests: 0 };
        }
        pace.requests += 1;
        if pace.requests > REQUESTS_MAX {
            self.violate(now, Kind::Storm, || {
                format!("r{slot} has sent {REQUESTS_MAX} requests within a retry period")
            });
        }
    }

    /// All has been well for so long that somebody must lead from now on.
    pub(crate) fn must_lead(&mut self) {
        self.must_lead = true;
    }

    /// Who can act at `now`: the first two.
    pub(crate) fn leaders(
        &mut self,
        now: Ns,
        first: Option<(usize, Published)>,
        second: Option<(usize, Published)>,
        slots: &[Slot],
    ) {
        let Some((leader, term)) = first else {
            self.unled = now;
            if self.must_lead {
                let healed = seconds(self.healed);
                self.violate(now, Kind::Stuck, || format!("nobody leads, and the last fault was over at {healed} s"));
            }
            return;
        };
        if let Some((other, of_other)) = second {
            let (one, two) = (term.epoch, of_other.epoch);
            let text = || format!("r{leader} leads in epoch {one}, and r{other} in epoch {two}");
            self.violate(now, Kind::Overlap, text);
        }
        let longest = |slot: &Slot| slot.replica.as_ref().map(|it| it.clock.local(now) + it.renew_deadline());
        if slots[leader].replica.is_some() && longest(&slots[leader]).is_some_and(|longest| term.valid_until > longest)
        {
            self.violate(now, Kind::TooLong, || format!("r{leader} leads for longer than its renew deadline"));
        }
    }

    fn violate(&mut self, at: Ns, kind: Kind, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { at, kind, text: text() });
        }
    }
}
