//! What must be true at every event, and what must come true in the end.

use std::fmt;

use k8s_openapi::api::coordination::v1::Lease;
use still_leading::internals::Moment;

use crate::fault::What;
use crate::plan::Plan;
use crate::server::{Server, holder, version};
use crate::time::{Ns, nanos, seconds};

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

/// A replica that can act.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leader {
    pub(crate) slot: usize,
    pub(crate) epoch: u64,
    /// When its term ends, by its own clock.
    pub(crate) valid_until: Moment,
    /// A renew deadline from now, by its own clock.
    pub(crate) at_most: Moment,
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
    /// If one replica stays ill: how long nobody may lead.
    longest_gap: Option<Ns>,
    led: Ns,
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
            longest_gap: plan.has_chronic().then_some(plan.bound),
            led: plan.healed,
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

    /// Who can act at `now`.
    pub(crate) fn leaders(&mut self, now: Ns, mut leaders: impl Iterator<Item = Leader>) {
        let Some(leader) = leaders.next() else {
            let is_well = self.longest_gap.is_some_and(|longest| now < self.led.saturating_add(longest));
            if self.longest_gap.is_none() {
                self.unled = now;
            }
            if self.must_lead && !is_well {
                let healed = seconds(self.healed);
                self.violate(now, Kind::Stuck, || format!("nobody leads, and the last fault was over at {healed} s"));
            }
            return;
        };
        self.led = self.led.max(now);
        let Leader { slot, epoch, .. } = leader;
        if let Some(other) = leaders.next() {
            let text = || format!("r{slot} leads in epoch {epoch}, and r{} in epoch {}", other.slot, other.epoch);
            self.violate(now, Kind::Overlap, text);
        }
        if leader.valid_until > leader.at_most {
            self.violate(now, Kind::TooLong, || format!("r{slot} leads for longer than its renew deadline"));
        }
    }

    fn violate(&mut self, at: Ns, kind: Kind, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { at, kind, text: text() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, Target};
    use crate::time::SECOND;

    fn checks() -> Checks {
        Checks::of(&Plan { faults: Vec::new(), ..Plan::of(1) })
    }

    fn leader(slot: usize, seconds: u64) -> Leader {
        let of = Moment::from_secs;
        Leader { slot, epoch: 7, valid_until: of(seconds), at_most: of(10) }
    }

    fn kind(checks: &Checks) -> Option<Kind> {
        checks.violation().map(|violation| violation.kind)
    }

    #[test]
    fn one_leader_is_well_two_are_not() {
        let mut checks = checks();
        checks.leaders(SECOND, [leader(0, 10)].into_iter());
        assert_eq!(kind(&checks), None);
        checks.leaders(2 * SECOND, [leader(0, 10), leader(2, 10)].into_iter());
        assert_eq!(
            checks.violation().unwrap().to_string(),
            "Overlap at 2.000 s: r0 leads in epoch 7, and r2 in epoch 7"
        );
    }

    #[test]
    fn a_term_ends_within_a_renew_deadline() {
        let mut checks = checks();
        checks.leaders(SECOND, [leader(0, 11)].into_iter());
        assert_eq!(kind(&checks), Some(Kind::TooLong));
    }

    #[test]
    fn epochs_grow_unless_a_backup_is_restored() {
        let restore = Fault { at: 0, lasts: 0, target: Target::Leader, what: What::Restore(0, true) };
        for (faults, expected) in [(vec![], Some(Kind::Epoch)), (vec![restore], None)] {
            let mut checks = Checks::of(&Plan { faults, ..Plan::of(1) });
            checks.began(0, 5, SECOND);
            checks.began(1, 6, SECOND);
            assert_eq!(kind(&checks), None);
            checks.began(1, 6, SECOND);
            assert_eq!(kind(&checks), expected);
        }
    }

    #[test]
    fn requests_without_a_pause_are_a_storm() {
        let mut checks = checks();
        let period = checks.paces[0].0;
        (0..100).for_each(|number| checks.requested(0, number * period / 4));
        assert_eq!(kind(&checks), None);
        (0..100).for_each(|number| checks.requested(0, 100 * period + number));
        assert_eq!(kind(&checks), Some(Kind::Storm));
    }

    #[test]
    fn nobody_needs_to_lead_until_the_bound_has_passed() {
        let mut checks = checks();
        let healed = checks.healed;
        checks.leaders(healed + SECOND, std::iter::empty());
        assert_eq!((kind(&checks), checks.recovered_in()), (None, SECOND));
        checks.must_lead();
        checks.leaders(healed + 2 * SECOND, [leader(0, 10)].into_iter());
        assert_eq!((kind(&checks), checks.recovered_in()), (None, SECOND));
        checks.leaders(healed + 3 * SECOND, std::iter::empty());
        assert_eq!(kind(&checks), Some(Kind::Stuck));
    }

    #[test]
    fn with_one_replica_ill_somebody_leads_now_and_then() {
        let ill = Fault { at: 0, lasts: crate::plan::FOR_EVER, target: Target::Leader, what: What::Late };
        let plan = Plan { faults: vec![ill], ..Plan::of(1) };
        let mut checks = Checks::of(&plan);
        checks.must_lead();
        checks.leaders(plan.healed + plan.bound, [leader(0, 10)].into_iter());
        checks.leaders(plan.healed + 2 * plan.bound - 1, std::iter::empty());
        assert_eq!(kind(&checks), None);
        checks.leaders(plan.healed + 2 * plan.bound, std::iter::empty());
        assert_eq!(kind(&checks), Some(Kind::Stuck));
    }

    #[test]
    fn who_was_shown_what_is_true_knows_and_who_was_shown_what_was_true_does_not() {
        let mut server = Server::new(1);
        server.create(Lease::default(), 0);
        let outdated = server.lease().unwrap().clone();
        server.edit(1, |_| ());
        let mut checks = checks();
        checks.saw(0, &outdated, &server, SECOND);
        assert_eq!(kind(&checks), None);
        checks.saw(0, &server.lease().unwrap().clone(), &server, SECOND);
        assert_eq!(kind(&checks), Some(Kind::Overlap));
    }
}
