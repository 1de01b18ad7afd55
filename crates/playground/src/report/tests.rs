use super::*;
use serde_json::{Map, Value};
use still_leading_testbed::Mode;
use still_leading_testbed::history::{EXITED, HARNESS};

const SECOND: u64 = 1_000_000_000;
const CUT: Fault = Fault::Network(Mode::Cut);

fn event(at: f64, replica: &str, message: &str) -> Event {
    let at = (at * SECOND as f64) as u64;
    Event { at, replica: replica.to_owned(), message: message.to_owned(), fields: Map::new() }
}

fn signal(at: f64, message: &str, to: &str) -> Event {
    let fields = Map::from_iter([("to".to_owned(), Value::from(to))]);
    Event { fields, ..event(at, HARNESS, message) }
}

fn episode(fault: Fault, at: f64, healed: Option<f64>) -> Episode {
    let nanos = |seconds: f64| (seconds * SECOND as f64) as u64;
    Episode { fault, victim: "a".to_owned(), at: nanos(at), healed: healed.map(nanos), until: None, told: None }
}

fn judged(events: &[Event], episode: &Episode, until: f64) -> Outcome {
    outcome(events, episode, (until * SECOND as f64) as u64)
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

#[test]
fn a_hand_over_after_sigterm_counts_the_gap_from_the_last_moment_of_the_old_leader() {
    let events = [
        event(1.0, "a", "leading"),
        event(2.0, "a", "still leading"),
        signal(2.5, "SIGTERM", "a"),
        event(2.6, "a", "leading cancelled"),
        event(2.7, "b", "leading"),
        event(2.8, "a", EXITED),
        event(3.7, "b", "still leading"),
    ];
    let outcome = judged(&events, &episode(Fault::Term, 2.5, None), 5.0);
    assert_eq!(outcome.successor, Some(("b".to_owned(), Duration::from_millis(200))));
    assert_eq!((outcome.after.as_deref(), millis(outcome.gap), &outcome.stale), (Some("b"), 100, &None));
    assert_eq!(
        outcome.line(Fault::Term),
        "b leads, 200 ms after SIGTERM; nobody led for 100 ms; two never acted at once"
    );
}

#[test]
fn after_sigkill_nobody_leads_until_the_lease_has_run_out() {
    let events = [event(1.0, "a", "leading"), event(2.5, "a", EXITED), event(7.0, "b", "leading")];
    let killed = episode(Fault::Kill, 2.5, None);
    assert_eq!(millis(judged(&events, &killed, 8.0).gap), 4_500);
    let meanwhile = judged(&events[..2], &killed, 6.0);
    assert_eq!((meanwhile.after.clone(), millis(meanwhile.gap)), (None, 3_500));
    assert!(meanwhile.line(Fault::Kill).starts_with("nobody leads; nobody led for 3.50 s"), "{meanwhile:?}");
}

#[test]
fn a_frozen_leader_does_not_lead_although_it_has_not_said_so() {
    let events = [event(1.0, "a", "leading"), signal(2.0, "SIGSTOP", "a"), event(6.0, "b", "leading")];
    let outcome = judged(&events, &episode(Fault::Freeze, 2.0, None), 7.0);
    assert_eq!((outcome.after.as_deref(), millis(outcome.gap)), (Some("b"), 4_000));
    assert_eq!((outcome.overlap, outcome.after_thaw), (Duration::ZERO, None));
}

#[test]
fn a_thawed_leader_that_only_notices_has_done_no_harm() {
    let events = [
        event(1.0, "a", "leading"),
        signal(2.0, "SIGSTOP", "a"),
        event(6.0, "b", "leading"),
        signal(8.0, "SIGCONT", "a"),
        event(8.02, "a", "leading cancelled"),
    ];
    let outcome = judged(&events, &episode(Fault::Freeze, 2.0, Some(8.0)), 9.0);
    assert_eq!((outcome.after.as_deref(), outcome.after_thaw), (Some("b"), Some(0)));
    assert_eq!((outcome.stale.clone(), outcome.overlap), (None, Duration::ZERO));
    assert!(outcome.line(Fault::Freeze).ends_with("two never acted at once; a made no stale act after the thaw"));
}

#[test]
fn acts_after_the_thaw_are_counted_up_to_the_next_term_of_its_own() {
    let events = [
        event(1.0, "a", "leading"),
        signal(2.0, "SIGSTOP", "a"),
        event(6.0, "b", "leading"),
        signal(8.0, "SIGCONT", "a"),
        event(8.0, "a", "still leading"),
        event(9.0, "b", "still leading"),
        event(9.5, "a", "still leading"),
        event(9.8, "a", "leading cancelled"),
        event(10.0, "b", EXITED),
        event(15.0, "a", "leading"),
        event(16.0, "a", "still leading"),
    ];
    let outcome = judged(&events, &episode(Fault::Freeze, 2.0, Some(8.0)), 17.0);
    assert_eq!(outcome.after_thaw, Some(2));
    let expected =
        StaleActs { who: "a".to_owned(), beside: Some("b".to_owned()), acts: 2, lasting: Duration::from_millis(1_500) };
    assert_eq!(outcome.stale, Some(expected));
    let line = outcome.line(Fault::Freeze);
    assert!(line.contains("TWO ACTED AT ONCE: a acted twice within 1.50 s although b led"), "{line}");
    assert!(line.ends_with("a made 2 stale acts after the thaw"), "{line}");
}

#[test]
fn an_overlap_without_simultaneous_acts_is_distinguished_from_one_with_them() {
    let mut events = vec![
        event(1.0, "a", "leading"),
        event(6.0, "b", "leading"),
        event(6.5, "a", "leading cancelled"),
        event(7.0, "b", "still leading"),
    ];
    let cut = episode(CUT, 2.0, None);
    let outcome = judged(&events, &cut, 8.0);
    assert_eq!((&outcome.stale, millis(outcome.overlap)), (&None, 500));
    assert!(outcome.line(CUT).ends_with("two never acted at once; for 500 ms two believed that they led"));

    events.insert(2, event(6.2, "a", "still leading"));
    let stale = judged(&events, &cut, 8.0).stale.unwrap();
    assert_eq!((stale.acts, millis(stale.lasting)), (1, 200));
}

#[test]
fn a_leader_that_survives_a_fault_led_on() {
    let events = [event(1.0, "a", "leading"), event(2.0, "a", "still leading")];
    let outcome = judged(&events, &episode(CUT, 1.5, Some(3.0)), 4.0);
    assert_eq!(outcome.line(CUT), "a led on; there was always a leader; two never acted at once");
}

#[test]
fn a_leader_may_lose_the_lease_and_win_it_again() {
    let events = [event(1.0, "a", "leading"), event(3.0, "a", "leading cancelled"), event(6.0, "a", "leading")];
    let outcome = judged(&events, &episode(CUT, 1.5, Some(5.0)), 7.0);
    assert!(outcome.line(CUT).starts_with("a leads again; nobody led for 3 s"), "{outcome:?}");
}

#[test]
fn without_events_nobody_leads_and_nothing_fails() {
    let outcome = judged(&[], &episode(Fault::Kill, 1.0, None), 2.0);
    assert_eq!((outcome.after, millis(outcome.gap), outcome.stale), (None, 1_000, None));
}

#[test]
fn an_act_after_the_end_of_its_term_is_reported_even_if_nobody_else_led() {
    let events = [
        event(1.0, "a", "leading"),
        event(2.0, "a", "leading cancelled"),
        event(3.0, "a", "still leading"),
        event(7.0, "b", "leading"),
    ];
    let line = judged(&events, &episode(CUT, 1.5, None), 8.0).line(CUT);
    assert!(line.ends_with("STALE ACTS: a acted once within 1 s after the end of its term"), "{line}");
}

#[test]
fn acts_after_a_thaw_that_came_in_time_are_not_stale() {
    let events = [
        event(1.0, "a", "leading"),
        signal(2.0, "SIGSTOP", "a"),
        signal(3.0, "SIGCONT", "a"),
        event(3.5, "a", "still leading"),
    ];
    let outcome = judged(&events, &episode(Fault::Freeze, 2.0, Some(3.0)), 4.0);
    assert_eq!((outcome.after_thaw, outcome.stale), (Some(0), None));
}

#[test]
fn stale_acts_of_two_replicas_are_not_reported_as_those_of_one() {
    let events = [
        event(1.0, "a", "leading"),
        event(2.0, "b", "leading"),
        event(3.0, "a", "still leading"),
        event(3.5, "a", "leading cancelled"),
        event(4.0, "a", "leading"),
        event(5.0, "b", "still leading"),
    ];
    let line = judged(&events, &episode(CUT, 1.5, None), 6.0).line(CUT);
    assert!(line.contains("TWO ACTED AT ONCE: a and b acted twice within 3 s although another one led"), "{line}");
}

#[test]
fn a_refused_write_is_counted_and_is_not_an_act() {
    let refused = |at: f64| {
        let error = Value::from("forbidden: ... denied request: fenced: epoch 1 is over, 2 has written since");
        Event { fields: Map::from_iter([("error".to_owned(), error)]), ..event(at, "a", "reconcile failed") }
    };
    let events = [
        event(1.0, "a", "leading"),
        signal(2.0, "SIGSTOP", "a"),
        event(6.0, "b", "leading"),
        signal(8.0, "SIGCONT", "a"),
        refused(8.1),
        refused(8.2),
        refused(9.5),
    ];
    let outcome = judged(&events, &episode(Fault::Freeze, 2.0, Some(8.0)), 9.0);
    assert_eq!((&outcome.stale, outcome.after_thaw, outcome.refused), (&None, Some(0), 2));
    assert!(outcome.line(Fault::Freeze).ends_with("; the fence refused 2 writes"), "{outcome:?}");
}

const PATIENCE: Patience = Patience {
    settling: Duration::from_millis(2_500),
    holding: Duration::from_secs(6),
    bound: Duration::from_secs(40),
};

fn verdict(events: &[Event], episode: &Episode, end: f64) -> Verdict {
    conclude(events, episode, PATIENCE, (end * SECOND as f64) as u64).verdict
}

#[test]
fn a_fault_whose_outcome_was_not_waited_for_is_undecided_and_neither_passed_nor_failed() {
    let events = [event(1.0, "a", "leading"), event(2.5, "a", EXITED)];
    let killed = episode(Fault::Kill, 2.5, None);
    assert_eq!(verdict(&events, &killed, 4.0), Verdict::Undecided);
    assert_eq!(verdict(&events, &killed, 43.0), Verdict::NobodyLed);
    let cut = episode(CUT, 1.5, None);
    assert_eq!(verdict(&events[..1], &cut, 4.0), Verdict::Undecided, "it has yet to lose its lease");
    assert_eq!(verdict(&events[..1], &cut, 8.0), Verdict::Led, "it kept its lease");
    let successor = [events.as_slice(), &[event(7.0, "b", "leading")]].concat();
    assert_eq!(verdict(&successor, &killed, 7.1), Verdict::Led);
}

#[test]
fn of_two_faults_at_once_the_first_is_judged_up_to_the_second_and_the_gap_is_counted_once() {
    let events = [
        event(1.0, "a", "leading"),
        signal(2.0, "SIGSTOP", "a"),
        event(7.0, "b", "leading"),
        event(7.5, "b", EXITED),
        event(12.5, "c", "leading"),
    ];
    let first = Episode { until: Some(7_400_000_000), ..episode(Fault::Freeze, 2.0, None) };
    let second = Episode { victim: "b".to_owned(), ..episode(Fault::Kill, 7.4, None) };
    let gaps = [&first, &second].map(|it| millis(judged(&events, it, 20.0).gap));
    assert_eq!(gaps, [5_000, 5_000]);
    let line = judged(&events, &first, 20.0).line(Fault::Freeze);
    assert!(line.starts_with("b leads, 5 s after SIGSTOP; nobody led for 5 s;"), "{line}");
    assert_eq!([verdict(&events, &first, 20.0), verdict(&events, &second, 20.0)], [Verdict::Led; 2]);
    // The second fault hit the same leader before the first had shown anything.
    let hidden = Episode { until: Some(2_000_000_000), ..episode(CUT, 1.5, Some(9.0)) };
    assert_eq!(verdict(&events, &hidden, 60.0), Verdict::Undecided);
}

#[test]
fn the_acts_of_a_thawed_leader_are_its_own_also_after_another_fault() {
    let events = [
        event(1.0, "a", "leading"),
        signal(2.0, "SIGSTOP", "a"),
        event(7.0, "b", "leading"),
        signal(9.0, "SIGCONT", "a"),
        event(9.1, "a", "still leading"),
    ];
    let frozen = Episode { until: Some(8_000_000_000), ..episode(Fault::Freeze, 2.0, Some(9.0)) };
    let outcome = judged(&events, &frozen, 10.0);
    assert_eq!((outcome.after_thaw, outcome.stale.is_some()), (Some(1), true));
}

#[test]
fn the_table_has_what_the_line_has_said() {
    let events =
        [event(1.0, "a", "leading"), event(2.5, "a", EXITED), event(7.0, "b", "leading"), event(9.0, "b", EXITED)];
    let mut killed = episode(Fault::Kill, 2.5, None);
    killed.told = Some(judged(&events, &killed, 8.0));
    let row = conclude(&events, &killed, PATIENCE, 60 * SECOND);
    assert_eq!((row.outcome, row.verdict), (killed.told.unwrap(), Verdict::Led));
}
