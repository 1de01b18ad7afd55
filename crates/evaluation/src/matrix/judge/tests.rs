//! Histories that are written by hand: each rule is seen to hold, to be broken, and to be unknown.

use serde_json::{Map, Value, json};

use super::*;
use crate::matrix::record::{Exit, Marks, Millis, Replica, Request};

const SECOND: u64 = 1_000_000_000;

fn line(seconds: f64, replica: &str, message: &str) -> Line {
    Line { at: (seconds * 1e9) as u64, replica: replica.to_owned(), message: message.to_owned(), fields: Map::new() }
}

fn with(mut line: Line, name: &str, value: Value) -> Line {
    line.fields.insert(name.to_owned(), value);
    line
}

/// A fault from 2 s to 4 s, watched until 10 s.
fn trial(mut events: Vec<Line>) -> Trial {
    events.sort_by_key(|line| line.at);
    Trial {
        subject: "x".to_owned(),
        fault: "y".to_owned(),
        number: 1,
        seed: 1,
        server: "embedded".to_owned(),
        timings: Millis { lease_duration: 5_000, renew_deadline: 3_000, retry_period: 1_000 },
        bound_ms: 3_000,
        marks: Marks { injected: 2 * SECOND, healed: 4 * SECOND, ended: 10 * SECOND },
        events,
        ..Trial::default()
    }
}

/// `a` leads until 2 s, `b` from 3 s on, and both act.
fn handed_over() -> Vec<Line> {
    let acts = |replica: &'static str, from: u64, until: u64| {
        (from * 10..until * 10).map(move |tenth| line(tenth as f64 / 10.0 + 0.05, replica, "still leading"))
    };
    let terms = [
        with(line(0.0, "a", "leading"), "epoch", json!(1)),
        line(2.0, "a", "leading cancelled"),
        with(line(3.0, "b", "leading"), "epoch", json!(2)),
    ];
    terms.into_iter().chain(acts("a", 0, 2)).chain(acts("b", 3, 10)).collect()
}

#[test]
fn a_clean_hand_over_holds_everything() {
    let judged = judge(&trial(handed_over()));
    assert!(judged.safety.is_held() && judged.liveness.is_held() && judged.manners.is_held(), "{judged:?}");
    let figures = judged.figures.unwrap();
    assert_eq!((figures.gap_ms, figures.recovered_ms, figures.terms), (1000.0, Some(50.0), 1));
    assert_eq!(figures.epochs_in_order, Some(true));
}

#[test]
fn two_terms_at_once_are_an_overlap_of_their_length() {
    let mut events = handed_over();
    events.retain(|line| line.message != "leading cancelled");
    events.extend([line(3.5, "a", "leading cancelled"), line(3.2, "a", "still leading")]);
    let judged = judge(&trial(events));
    let figures = judged.figures.unwrap();
    assert_eq!((figures.overlap_ms, figures.acts_beside, figures.stale_acts), (500.0, 1, 1));
    assert!(judged.safety.is_violated());
}

#[test]
fn a_time_in_which_three_led_counts_once() {
    let mut events = handed_over();
    events.retain(|line| line.message != "leading cancelled");
    let ends = [line(4.0, "a", "leading cancelled"), line(4.5, "b", "leading cancelled")];
    events.extend(ends.into_iter().chain([line(3.5, "c", "leading"), line(5.0, "c", "leading cancelled")]));
    events.extend([line(3.9, "a", "still leading"), line(4.4, "b", "still leading")]);
    // a and b from 3 s on, all three from 3.5 s on, b and c until 4.5 s.
    assert_eq!(judge(&trial(events)).figures.unwrap().overlap_ms, 1500.0);
}

#[test]
fn a_thawed_replica_may_say_late_that_its_term_is_over_but_not_act() {
    let mut events = handed_over();
    events.retain(|line| line.message != "leading cancelled");
    let harness = |at, message| with(line(at, "harness", message), "to", json!("a"));
    events.extend([harness(2.0, "SIGSTOP"), harness(5.0, "SIGCONT"), line(5.003, "a", "leading cancelled")]);
    let judged = judge(&trial(events.clone()));
    assert!(judged.safety.is_held(), "{judged:?}");
    events.push(line(5.001, "a", "still leading"));
    assert!(judge(&trial(events)).safety.is_violated());
}

#[test]
fn epochs_that_do_not_grow_break_safety() {
    let mut events = handed_over();
    let second = events.iter_mut().rfind(|line| line.message == "leading").unwrap();
    second.fields.insert("epoch".to_owned(), json!(1));
    assert_eq!(judge(&trial(events)).safety, Verdict::Violated("a later leader had no larger epoch".to_owned()));
}

#[test]
fn who_leads_again_may_keep_its_epoch() {
    let again = |replica| with(line(3.0, replica, "leading"), "epoch", json!(1));
    let events = |replica| {
        let mut events = handed_over();
        events.retain(|line| line.replica != "b");
        events.extend([again(replica), line(3.1, replica, "still leading")]);
        judge(&trial(events)).figures.unwrap().epochs_in_order
    };
    assert_eq!((events("a"), events("b")), (Some(true), Some(false)));
}

#[test]
fn nobody_for_longer_than_the_bound_is_a_violation_and_says_for_how_long() {
    let mut events = handed_over();
    events.retain(|line| line.replica != "b");
    events.extend([line(7.5, "b", "leading"), line(7.6, "b", "still leading")]);
    let Verdict::Violated(late) = judge(&trial(events.clone())).liveness else { panic!("it was in time") };
    assert_eq!(late, "nobody led for good until 3.6 s after the fault had gone; the bound is 3.0 s");
    events.retain(|line| line.replica != "b");
    let Verdict::Violated(never) = judge(&trial(events)).liveness else { panic!("somebody led") };
    assert_eq!(never, "nobody led again for 6 s");
}

#[test]
fn the_acts_of_a_former_leader_are_no_recovery() {
    let mut events = handed_over();
    events.retain(|line| line.replica != "b");
    events.push(line(4.5, "a", "still leading"));
    assert_eq!(judge(&trial(events)).figures.unwrap().recovered_ms, None);
}

#[test]
fn too_many_requests_in_a_second_and_panics_are_bad_manners() {
    let request = |at: u64| Request { at: 2 * SECOND + at, verb: "get".to_owned(), lease: true, status: Some(409) };
    let panic =
        || Exit { status: "101".to_owned(), by_itself: true, stderr: "thread 'main' (7) panicked at x".to_owned() };
    let replica = |requests: Vec<Request>, panicked: bool| Replica {
        name: "a".to_owned(),
        exits: panicked.then(panic).into_iter().collect(),
        cpu_before_ms: None,
        cpu_ms: None,
        rss: None,
        stderr: String::new(),
        requests,
    };
    let calm: Vec<Request> = (0..30).map(|tenth| request(tenth * SECOND / 10)).collect();
    let hot: Vec<Request> = (0..30).map(|tenth| request(tenth * SECOND / 20)).collect();
    let judged = |replica: Replica| judge(&Trial { replicas: vec![replica], ..trial(handed_over()) });
    let quiet = judged(replica(calm, false));
    assert!(quiet.manners.is_held(), "{quiet:?}");
    assert_eq!(quiet.figures.unwrap().traffic.conflicts, 30);
    assert_eq!(judged(replica(hot, false)).manners, Verdict::Violated("20 requests of one replica in a second".into()));
    assert_eq!(judged(replica(Vec::new(), true)).manners, Verdict::Violated("1 panics".into()));
}

#[test]
fn a_panic_of_a_task_or_of_go_is_one_too() {
    let of = |stderr: &str| {
        let requests = Vec::new();
        let (exits, stderr) = (Vec::new(), stderr.to_owned());
        let (cpu_before_ms, cpu_ms, rss) = (None, Some(1), Some(1));
        let replica = Replica { name: "a".to_owned(), exits, cpu_before_ms, cpu_ms, rss, stderr, requests };
        judge(&Trial { replicas: vec![replica], ..trial(handed_over()) }).figures.unwrap().panics
    };
    assert_eq!(of("thread 'tokio-rt-worker' (77) panicked at src/x.rs:1:2:\nrange end index 7"), 1);
    assert_eq!(of("panic: runtime error: index out of range\n\ngoroutine 1 [running]:"), 1);
    assert_eq!(of("nothing panicked at all, nor was there any panic: good"), 0);
}

#[test]
fn requests_that_were_noted_a_little_out_of_order_are_counted() {
    let request = |at: u64| Request { at: 3 * SECOND + at, verb: "get".to_owned(), lease: true, status: None };
    let (exits, stderr, requests) = (Vec::new(), String::new(), vec![request(5), request(3), request(4)]);
    let (cpu_before_ms, cpu_ms, rss) = (None, None, None);
    let replica = Replica { name: "a".to_owned(), exits, cpu_before_ms, cpu_ms, rss, stderr, requests };
    let judged = judge(&Trial { replicas: vec![replica], ..trial(handed_over()) });
    assert_eq!(judged.figures.unwrap().traffic.peak, 3);
}

#[test]
fn what_could_not_be_tried_is_unknown() {
    let judged = judge(&Trial { failed: Some("no".to_owned()), ..trial(handed_over()) });
    assert_eq!((judged.safety, judged.figures), (Verdict::Unknown("no".to_owned()), None));
}

#[test]
fn a_line_that_is_no_event_leaves_safety_open() {
    let judged = judge(&Trial { malformed: vec!["oops".to_owned()], ..trial(handed_over()) });
    assert!(matches!(judged.safety, Verdict::Unknown(_)), "{judged:?}");
}

#[test]
fn who_acts_once_more_before_it_loses_its_lease_has_not_recovered() {
    // `a` has not noticed yet that its Lease is somebody else's.
    let mut events = handed_over();
    events.retain(|line| line.replica != "b" && line.message != "leading cancelled");
    events.extend([line(4.05, "a", "still leading"), line(4.1, "a", "leading cancelled")]);
    let judged = judge(&trial(events.clone()));
    assert_eq!(judged.figures.as_ref().unwrap().recovered_ms, None);
    assert_eq!(judged.liveness, Verdict::Violated("nobody led again for 6 s".to_owned()));
    events.extend([line(6.5, "b", "leading"), line(6.6, "b", "still leading")]);
    let judged = judge(&trial(events));
    assert_eq!((judged.liveness, judged.figures.unwrap().recovered_ms), (Verdict::Held, Some(2600.0)));
}

#[test]
fn a_hand_over_after_the_recovery_is_none_of_its_own() {
    let mut events = handed_over();
    events.retain(|line| line.at < 7 * SECOND);
    events.extend([line(7.0, "b", "leading cancelled"), line(7.5, "a", "leading"), line(7.6, "a", "still leading")]);
    assert_eq!(judge(&trial(events)).figures.unwrap().recovered_ms, Some(50.0));
}

#[test]
fn a_leader_that_leads_on_through_the_fault_has_recovered_at_its_next_act() {
    let mut events = vec![line(0.0, "a", "leading")];
    events.extend((1..100).map(|tenth| line(f64::from(tenth) / 10.0, "a", "still leading")));
    assert_eq!(judge(&trial(events)).figures.unwrap().recovered_ms, Some(100.0));
}

#[test]
fn who_was_watched_for_less_than_the_bound_may_still_lead_in_time() {
    let mut events = handed_over();
    events.retain(|line| line.replica != "b");
    let unknown = judge(&Trial { bound_ms: 12_000, ..trial(events) }).liveness;
    assert!(matches!(unknown, Verdict::Unknown(_)), "{unknown:?}");
}

#[test]
fn a_term_without_a_logged_end_is_an_overlap_only_with_an_act() {
    let mut events = handed_over();
    events.retain(|line| line.message != "leading cancelled");
    let judged = judge(&trial(events.clone()));
    assert_eq!(judged.safety, Verdict::Unknown("a did not log the end of its term".to_owned()));
    assert_eq!(judged.figures.unwrap().overlap_ms, 0.0);
    events.push(line(5.0, "a", "still leading"));
    assert!(judge(&trial(events)).safety.is_violated());
}

#[test]
fn a_lost_end_of_a_log_leaves_safety_open_beside_a_late_word_too() {
    let mut events = handed_over();
    events.retain(|line| line.message != "leading cancelled");
    let harness = |at, message| with(line(at, "harness", message), "to", json!("a"));
    events.extend([harness(2.0, "SIGSTOP"), harness(5.0, "SIGCONT"), line(5.003, "a", "leading cancelled")]);
    events.push(line(6.0, "c", "the end of its log was lost"));
    assert!(matches!(judge(&trial(events)).safety, Verdict::Unknown(_)));
}

#[test]
fn a_process_that_ends_in_its_term_ends_it_and_its_successor_of_the_same_name_has_its_own() {
    let mut events = handed_over();
    events.retain(|line| line.replica != "b" && line.message != "leading cancelled");
    // No word of the end: it crashed. What comes under its name then is another process.
    events.extend([line(2.0, "a", "exited"), with(line(6.0, "a", "leading"), "epoch", json!(2))]);
    events.extend((61..100).map(|tenth| line(f64::from(tenth) / 10.0, "a", "still leading")));
    let judged = judge(&trial(events.clone()));
    assert!(judged.safety.is_held() && judged.liveness.is_held(), "{judged:?}");
    let figures = judged.figures.unwrap();
    assert_eq!((figures.gap_ms, figures.recovered_ms, figures.terms), (4000.0, Some(2100.0), 1));
    events.push(line(4.0, "a", "still leading"));
    assert!(judge(&trial(events)).safety.is_violated(), "it acted between its terms");
}

#[test]
fn a_process_that_is_killed_while_it_stands_still_leads_no_longer() {
    let mut events = handed_over();
    events.retain(|line| line.message != "leading cancelled");
    let harness = |at, message| with(line(at, "harness", message), "to", json!("a"));
    events.extend([harness(2.0, "SIGSTOP"), line(5.0, "a", "exited")]);
    assert!(judge(&trial(events)).safety.is_held());
}

#[test]
fn an_act_at_the_very_end_of_a_term_is_within_it_and_one_after_it_is_not() {
    let events = |at: f64| {
        let mut events = handed_over();
        events.push(line(at, "a", "still leading"));
        judge(&trial(events)).safety
    };
    assert!(events(2.0).is_held());
    assert!(events(2.000_001).is_violated());
}
