//! The rules as tables. Times are seconds on the replica's own clock; timing is 15/10/2 s.

use k8s_openapi::api::coordination::v1::LeaseSpec;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::record::{holder, renew_time};
use super::*;

mod attacks;
mod claims;
mod made_anew;
mod overtaken;
mod preference;
mod spread;

const ME: &str = "me_1";
const OTHER: &str = "other_2";

fn timing(identity: &str) -> Timing {
    Timing {
        identity: identity.to_owned(),
        generation: None,
        hands_over: true,
        lease_duration: s(15.0),
        renew_deadline: s(10.0),
        retry_period: s(2.0),
        spread_after_release: Duration::ZERO,
        spread_after_expiry: Duration::ZERO,
        head_start: Duration::from_millis(250),
    }
}

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Wall-clock times mean nothing here, which is a point of these tests: they are any number.
fn micro_time(seconds: i64) -> MicroTime {
    MicroTime(jiff::Timestamp::from_second(seconds).unwrap())
}

fn lease(version: u64, holder: Option<&str>) -> Lease {
    let spec = LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(3),
        renew_time: Some(micro_time(i64::try_from(version).unwrap())),
        ..LeaseSpec::default()
    };
    let mut lease = Lease { spec: Some(spec), ..Lease::default() };
    lease.metadata.uid = Some("uid-1".to_owned());
    lease.metadata.resource_version = Some(version.to_string());
    lease
}

/// The answer to a read of a Lease that is older than anything that matters.
fn read(lease: Option<Lease>) -> Event {
    Event::Read { lease, age: Some(s(1e6)) }
}

/// One elector under test, with the claim that it drafted last.
struct Elector {
    timing: Timing,
    state: State,
    draft: Option<Lease>,
}

impl Elector {
    fn new(identity: &str) -> Self {
        Self { timing: timing(identity), state: State::default(), draft: None }
    }

    /// Has read `lease` at 0 s.
    fn that_read(lease: Option<Lease>) -> (Self, Action) {
        let mut elector = Self::new(ME);
        assert_eq!(elector.at(0.0, Event::Tick), Action::Read, "the first thing is to read");
        let action = elector.at(0.0, read(lease));
        (elector, action)
    }

    /// Leads since a write that was sent and answered at 0 s.
    fn that_leads() -> Self {
        let (mut elector, action) = Self::that_read(Some(lease(10, None)));
        assert_eq!(action, Action::Write);
        assert_eq!(elector.at(0.0, Event::Wrote(lease(11, Some(ME)))), Action::Wait(s(2.0)));
        assert!(elector.leads_at(0.0));
        elector
    }

    /// Stands by since 0 s, with a watch that works.
    fn that_stands_by() -> Self {
        let (mut elector, _) = Self::that_read(Some(lease(10, Some(OTHER))));
        elector.at(0.0, Event::Watched(lease(10, Some(OTHER))));
        elector
    }

    fn at(&mut self, seconds: f64, event: Event) -> Action {
        self.at_wall(seconds, event, micro_time(99))
    }

    /// As `at`, with a wall clock.
    fn at_wall(&mut self, seconds: f64, event: Event, wall_clock: MicroTime) -> Action {
        let action = step(&self.timing, &mut self.state, event, s(seconds));
        if action == Action::Write {
            self.draft = Some(self.state.claim(&self.timing, wall_clock));
        }
        action
    }

    /// The claim that was drafted last, as the server stored it in this version.
    fn written(&self, version: u64) -> Lease {
        let mut lease = self.draft.clone().expect("a claim was drafted");
        lease.metadata.uid.get_or_insert_with(|| "uid-2".to_owned());
        lease.metadata.resource_version = Some(version.to_string());
        lease
    }

    fn release_at(&self, seconds: f64) -> Release {
        self.state.release(micro_time(99), s(seconds))
    }

    fn leads_at(&self, seconds: f64) -> bool {
        self.state.term().is_some_and(|term| term.valid_until > s(seconds))
    }
}

#[test]
fn a_lease_without_holder_is_claimed_at_once_whatever_tool_left_it() {
    let mut no_spec = lease(10, None);
    no_spec.spec = None;
    let mut empty_spec = lease(10, None);
    empty_spec.spec = Some(LeaseSpec::default());
    for free in [lease(10, None), lease(10, Some("")), no_spec, empty_spec] {
        assert_eq!(Elector::that_read(Some(free)).1, Action::Write);
    }
}

#[test]
fn a_standby_takes_over_when_the_claim_has_not_changed_for_the_lease_duration_on_its_own_clock() {
    let mut standby = Elector::that_stands_by();
    standby.at(4.0, Event::Watched(lease(12, Some(OTHER))));
    // The same state once more is no renewal.
    standby.at(5.0, Event::Watched(lease(12, Some(OTHER))));
    standby.at(14.0, Event::Tick);
    standby.at(14.0, Event::ReadFailed);
    assert_eq!(standby.at(18.999, Event::Tick), Action::Read, "asks, since the watch is silent");
    standby.at(18.999, Event::ReadFailed);
    assert_eq!(standby.at(19.0, Event::Tick), Action::Write);
}

#[test]
fn the_times_in_the_lease_decide_nothing() {
    for renewed in [-62_135_596_800, 0, 253_000_000_000] {
        let mut held = lease(10, Some(OTHER));
        held.spec.as_mut().unwrap().renew_time = Some(micro_time(renewed));
        let (mut standby, action) = Elector::that_read(Some(held));
        assert_ne!(action, Action::Write);
        standby.at(14.9, Event::ReadFailed);
        assert_eq!(standby.at(15.0, Event::ReadFailed), Action::Write);
    }
}

#[test]
fn the_duration_that_the_holder_asked_for_counts_and_nonsense_is_read_as_our_own() {
    for (seconds, expected) in [(Some(3), 3.0), (None, 15.0), (Some(0), 15.0), (Some(-7), 15.0)] {
        let mut held = lease(10, Some(OTHER));
        held.spec.as_mut().unwrap().lease_duration_seconds = seconds;
        let (mut standby, _) = Elector::that_read(Some(held));
        assert_ne!(standby.at(expected - 0.001, Event::ReadFailed), Action::Write, "{seconds:?}");
        standby.at(expected - 0.001, Event::ReadFailed);
        assert_eq!(standby.at(expected, Event::ReadFailed), Action::Write, "{seconds:?}");
    }
    let mut held = lease(10, Some(OTHER));
    held.spec.as_mut().unwrap().lease_duration_seconds = Some(i32::MAX);
    let (mut standby, _) = Elector::that_read(Some(held));
    assert_ne!(standby.at(1e9, Event::ReadFailed), Action::Write);
}

#[test]
fn validity_counts_from_when_the_renewal_was_sent_not_from_its_answer() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    leader.at(6.5, Event::Wrote(lease(12, Some(ME))));
    assert!(leader.leads_at(11.999));
    assert!(!leader.leads_at(12.0));
}

#[test]
fn an_answer_that_comes_after_the_deadline_gives_no_term() {
    let (mut elector, action) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(action, Action::Write);
    elector.at(10.0, Event::Wrote(lease(11, Some(ME))));
    assert!(elector.state.term().is_none());
}

#[test]
fn a_renewal_that_succeeds_after_its_term_has_run_out_begins_another_term() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(9.0, Event::Tick), Action::Write);
    leader.at(11.0, Event::Wrote(lease(12, Some(ME))));
    assert_eq!(leader.state.term().unwrap().epoch, 12);
}

#[test]
fn a_term_ends_at_the_renew_deadline_while_a_request_hangs() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(9.0, Event::Tick), Action::Write);
    assert_eq!(leader.at(9.5, Event::Tick), Action::Wait(s(10.0)));
    leader.at(10.0, Event::Tick);
    assert!(leader.state.term().is_none());
    assert_eq!(leader.state.lost(), Some(&Lost::RenewDeadline));
}

#[test]
fn errors_do_not_end_a_term_before_the_deadline_and_are_retried_every_retry_period() {
    let mut leader = Elector::that_leads();
    let mut now = 2.0;
    while now < 10.0 {
        assert_eq!(leader.at(now, Event::Tick), Action::Write, "at {now} s");
        let next = leader.at(now + 0.1, Event::WriteFailed);
        assert_eq!(next, Action::Wait(s(now + 2.0)), "at {now} s");
        assert!(leader.leads_at(now));
        now += 2.0;
    }
    leader.at(10.0, Event::Tick);
    assert!(leader.state.term().is_none());
}

#[test]
fn the_sight_of_another_holder_ends_a_term_at_once() {
    let mut leader = Elector::that_leads();
    leader.at(1.0, Event::Watched(lease(12, Some(OTHER))));
    assert!(leader.state.term().is_none());
    assert_eq!(leader.state.lost(), Some(&Lost::HeldBy(OTHER.to_owned())));
}

#[test]
fn a_leader_whose_claim_somebody_cleared_steps_down() {
    for cleared in [Some(""), None] {
        let mut leader = Elector::that_leads();
        leader.at(1.0, Event::Watched(lease(12, cleared)));
        assert!(leader.state.term().is_none());
        assert_eq!(leader.state.lost(), Some(&Lost::Cleared));
    }
}

#[test]
fn a_success_that_somebody_has_overwritten_already_gives_no_term() {
    let (mut elector, _) = Elector::that_read(Some(lease(10, None)));
    elector.at(0.1, Event::Watched(lease(12, Some(OTHER))));
    elector.at(0.2, Event::Wrote(lease(11, Some(ME))));
    assert!(elector.state.term().is_none());
}

#[test]
fn a_watch_that_lags_behind_ends_nothing() {
    let mut leader = Elector::that_leads();
    leader.at(0.5, Event::Watched(lease(9, Some(OTHER))));
    leader.at(0.5, Event::Deleted(lease(8, Some(OTHER))));
    assert!(leader.leads_at(0.5));
}

#[test]
fn a_slow_answer_that_the_watch_has_overtaken_is_ignored() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(2.0, Event::WatchEnded), Action::Read);
    standby.at(2.1, Event::Watched(lease(12, Some(OTHER))));
    standby.at(2.2, read(Some(lease(11, None))));
    assert_eq!(standby.state.holder(), Some(OTHER));
}

#[test]
fn a_refused_renewal_is_looked_into_and_repeated_at_once() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(leader.at(2.1, Event::Refused), Action::Read);
    let mut labelled = lease(20, Some(ME));
    labelled.spec.as_mut().unwrap().renew_time = Some(micro_time(11));
    assert_eq!(leader.at(2.2, read(Some(labelled))), Action::Write, "somebody has put a label on it");
    assert!(leader.leads_at(2.2));
}

#[test]
fn a_refusal_without_a_reason_is_not_hammered() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(leader.at(2.0, Event::Refused), Action::Read);
    assert_eq!(leader.at(2.0, read(Some(lease(11, Some(ME))))), Action::Wait(s(4.0)));
}

#[test]
fn a_read_that_fails_in_doubt_is_repeated_every_retry_period() {
    let mut leader = Elector::that_leads();
    leader.at(2.0, Event::Tick);
    assert_eq!(leader.at(2.0, Event::Refused), Action::Read);
    assert_eq!(leader.at(3.0, Event::ReadFailed), Action::Wait(s(4.0)));
    assert_eq!(leader.at(4.0, Event::Tick), Action::Read);
}

#[test]
fn nothing_is_claimed_on_the_word_of_a_watch_before_the_first_read() {
    let mut elector = Elector::new(ME);
    elector.at(0.0, Event::Tick);
    elector.at(0.1, Event::Watched(lease(10, None)));
    assert_eq!(elector.at(0.2, Event::ReadFailed), Action::Wait(s(2.0)));
    assert_eq!(elector.at(2.0, Event::Tick), Action::Read);
}

#[test]
fn a_standby_asks_nothing_while_its_watch_speaks() {
    let mut standby = Elector::that_stands_by();
    for second in (2..60).step_by(2) {
        let renewed = Event::Watched(lease(10 + second, Some(OTHER)));
        assert!(matches!(standby.at(second as f64, renewed), Action::Wait(_)), "at {second} s");
        assert!(matches!(standby.at(second as f64 + 1.9, Event::Tick), Action::Wait(_)), "at {second} s");
    }
}

#[test]
fn a_standby_without_a_watch_asks_every_retry_period() {
    let (mut standby, action) = Elector::that_read(Some(lease(10, Some(OTHER))));
    assert_eq!(action, Action::Wait(s(2.0)));
    assert_eq!(standby.at(2.0, Event::Tick), Action::Read);
    assert_eq!(standby.at(2.1, read(Some(lease(11, Some(OTHER))))), Action::Wait(s(4.0)));
}

#[test]
fn a_standby_asks_when_its_watch_is_silent_and_distrusts_it_when_there_was_news() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(9.9, Event::Tick), Action::Wait(s(10.0)));
    assert_eq!(standby.at(10.0, Event::Tick), Action::Read);
    standby.at(10.1, read(Some(lease(15, Some(OTHER)))));
    assert!(!standby.state.is_watching());
}

#[test]
fn a_lost_race_is_no_reason_to_distrust_the_watch() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(1.0, Event::Watched(lease(12, None))), Action::Write);
    assert_eq!(standby.at(1.1, Event::Refused), Action::Read);
    standby.at(1.2, read(Some(lease(13, Some(OTHER)))));
    assert!(standby.state.is_watching());
}

#[test]
fn a_claim_replaces_exactly_what_was_seen_and_keeps_what_others_wrote() {
    let mut free = lease(10, None);
    free.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
    let claim = Elector::that_read(Some(free)).0.draft.unwrap();
    assert_eq!(claim.metadata.resource_version.as_deref(), Some("10"));
    assert_eq!(claim.metadata.uid.as_deref(), Some("uid-1"));
    assert_eq!(claim.metadata.labels.unwrap()["team"], "a");
    let spec = claim.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some(ME));
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(4)));
    assert_eq!((spec.acquire_time, spec.renew_time), (Some(micro_time(99)), Some(micro_time(99))));
}

#[test]
fn a_renewal_keeps_the_time_of_acquisition_and_the_number_of_transitions() {
    let mut leader = Elector::that_leads();
    leader.at(2.0, Event::Tick);
    let spec = leader.draft.unwrap().spec.unwrap();
    assert_eq!((spec.acquire_time, spec.lease_transitions), (None, Some(3)));
}

#[test]
fn the_largest_number_of_transitions_does_not_overflow() {
    let mut free = lease(10, None);
    free.spec.as_mut().unwrap().lease_transitions = Some(i32::MAX);
    let (elector, _) = Elector::that_read(Some(free));
    assert_eq!(elector.draft.unwrap().spec.unwrap().lease_transitions, Some(i32::MAX));
}

#[test]
fn only_the_holder_releases() {
    let leader = Elector::that_leads();
    let Release::Put(released) = leader.release_at(1.0) else { panic!("{:?}", leader.release_at(1.0)) };
    assert_eq!(released.metadata.resource_version.as_deref(), Some("11"));
    assert_eq!(holder(&released), None);
    assert_eq!(Elector::that_stands_by().release_at(1.0), Release::Nothing);
}

#[test]
fn a_lease_counts_as_seen_only_once_it_was_there() {
    let (missing, _) = Elector::that_read(None);
    assert!(!missing.state.has_seen_lease());
    assert!(Elector::that_stands_by().state.has_seen_lease());
}
