//! Histories with a known verdict, as lines such as `7 a leading`.

use super::*;
use serde_json::{Map, Value};

/// A leader releases, and another replica takes over. Nothing is wrong.
const HAND_OVER: [&str; 8] = [
    "1 a leading",
    "2 a still leading",
    "4 a leading cancelled",
    "5 a stopped leading",
    "6 a exited",
    "7 b leading",
    "8 b still leading",
    "9 b still leading",
];

/// A leader is frozen until another replica leads, and notices that before it acts. Nothing is wrong.
const FROZEN_AND_THAWED: [&str; 7] = [
    "1 a leading",
    "2 a still leading",
    "3 harness SIGSTOP a",
    "6 b leading",
    "8 harness SIGCONT a",
    "8 a leading cancelled",
    "9 b still leading",
];

/// A leader is cut off and goes on beside its successor.
const SPLIT_BRAIN: [&str; 6] = [
    "1 a leading",
    "5 a still leading",
    "7 b leading",
    "9 a still leading",
    "9 b still leading",
    "12 a leading cancelled",
];

fn events(lines: &[&str]) -> Vec<Event> {
    let event = |line: &&str| {
        let (at, rest) = line.split_once(' ').unwrap();
        let (replica, message) = rest.split_once(' ').unwrap();
        let (at, replica) = (at.parse().unwrap(), replica.to_owned());
        match message.split_once(' ') {
            Some((signal, to)) if signal.starts_with("SIG") => {
                let fields = Map::from_iter([("to".to_owned(), Value::from(to))]);
                Event { at, replica, message: signal.to_owned(), fields }
            }
            _ => Event { at, replica, message: message.to_owned(), fields: Map::new() },
        }
    };
    lines.iter().map(event).collect()
}

/// Joins two lists of lines, such as those of a history that goes on in two ways.
fn with<'a>(lines: &[&'a str], more: &[&'a str]) -> Vec<Event> {
    events(&[lines, more].concat())
}

fn spans(lines: &[&str]) -> Vec<(String, u64, Option<u64>)> {
    leading(&events(lines)).into_iter().map(|it| (it.replica, it.from, it.until)).collect()
}

fn overlap(from: u64, until: Option<u64>) -> Overlap {
    Overlap { replicas: ["a".to_owned(), "b".to_owned()], from, until }
}

/// Returns each stale act of a history: who acted, beside whom, when, and since when it was not entitled to.
fn stale(lines: &[&str]) -> Vec<(String, Option<String>, u64, u64)> {
    stale_acts(&events(lines)).into_iter().map(|it| (it.replica, it.beside, it.at, it.since)).collect()
}

fn beside(replica: &str, beside: &str, at: u64, since: u64) -> (String, Option<String>, u64, u64) {
    (replica.to_owned(), Some(beside.to_owned()), at, since)
}

fn doubt<T>(replica: &str, at: u64, reason: Reason) -> Verdict<T> {
    Verdict::Unknown(vec![Doubt { replica: replica.to_owned(), at, reason }])
}

fn always(_: u64) -> bool {
    true
}

fn nobody(lines: &[&str], from: u64, until: u64) -> Vec<(u64, u64)> {
    gaps(&events(lines), from, until).into_iter().map(|gap| (gap.from, gap.until)).collect()
}

fn leaders(lines: &[&str], times: &[u64]) -> String {
    let leading = leading(&events(lines));
    times.iter().map(|at| leader_at(&leading, *at).map_or("-", |it| it.replica.as_str())).collect()
}

// Terms.

#[test]
fn a_term_lasts_from_leading_to_leading_cancelled() {
    let term = |replica: &str, from, until| Term { replica: replica.to_owned(), from, until };
    let expected = [term("a", 1, Some(4)), term("b", 7, None), term("a", 8, None)];
    assert_eq!(terms(&with(&HAND_OVER[..6], &["8 a leading"])), expected);
}

#[test]
fn a_term_ends_with_its_process_or_when_its_work_does_not_end_in_time() {
    let until = |lines: &[&str]| terms(&events(lines))[0].until;
    assert_eq!(until(&["1 a leading", "2 b exited", "3 a exited"]), Some(3));
    assert_eq!(until(&["1 a leading", "3 a stopped leading", "4 a exited"]), Some(3));
}

#[test]
fn acts_are_the_ticks_of_all_replicas() {
    let at: Vec<(String, u64)> = acts(&events(&SPLIT_BRAIN)).into_iter().map(|it| (it.replica, it.at)).collect();
    assert_eq!(at, [("a".to_owned(), 5), ("a".to_owned(), 9), ("b".to_owned(), 9)]);
}

#[test]
fn the_writes_of_a_controller_are_acts_and_what_it_leaves_alone_is_none() {
    let act = |action: &str| {
        let fields = serde_json::json!({"action": action}).as_object().cloned().unwrap_or_default();
        is_act(&Event { at: 1, replica: "a".to_owned(), message: "reconciled".to_owned(), fields })
    };
    assert_eq!(["created", "updated", "unchanged"].map(act), [true, true, false]);
}

#[test]
fn a_frozen_replica_does_not_lead_and_a_thawed_one_does_until_it_notices() {
    let span = |replica: &str, from, until| (replica.to_owned(), from, until);
    let late = [&FROZEN_AND_THAWED[..5], &["9 a leading cancelled"]].concat();
    assert_eq!(spans(&late), [span("a", 1, Some(3)), span("a", 8, Some(9)), span("b", 6, None)]);
    assert_eq!(spans(&FROZEN_AND_THAWED[..4]), [span("a", 1, Some(3)), span("b", 6, None)]);
    let twice = [
        "1 a leading",
        "2 harness SIGSTOP a",
        "3 harness SIGCONT a",
        "4 harness SIGSTOP a",
        "5 a exited",
        "9 a leading",
    ];
    assert_eq!(spans(&twice), [span("a", 1, Some(2)), span("a", 3, Some(4)), span("a", 9, None)]);
    assert_eq!(spans(&["1 harness SIGSTOP a", "1 a leading"]), []);
}

#[test]
fn the_leader_is_the_one_whose_term_began_last_of_those_that_can_act() {
    assert_eq!(leaders(&HAND_OVER, &[0, 1, 3, 4, 6, 7, 99]), "-aa--bb");
    assert_eq!(leaders(&FROZEN_AND_THAWED, &[2, 3, 5, 6, 8, 9]), "a--bbb");
    assert_eq!(leaders(&SPLIT_BRAIN, &[6, 7, 11, 12]), "abbb");
    assert_eq!(leaders(&[], &[1]), "-");
}

#[test]
fn a_change_is_a_term_of_another_replica_within_the_time() {
    let lines = ["1 a leading", "2 a exited", "3 b leading", "4 b leading cancelled", "5 b leading", "6 b exited"];
    let events = with(&lines, &["7 c leading", "8 c leading cancelled", "9 a leading"]);
    assert_eq!(changes(&events, 0, 10), 3);
    assert_eq!(changes(&events, 3, 10), 2, "who led at the start is not a change");
    assert_eq!(changes(&events, 3, 8), 1);
}

// Overlaps.

#[test]
fn a_hand_over_and_a_frozen_leader_do_not_overlap() {
    for good in [&HAND_OVER[..], &FROZEN_AND_THAWED, &["1 a leading", "5 a leading cancelled", "5 b leading"], &[]] {
        assert_eq!(no_overlap(&events(good)), Verdict::Held, "{good:?}");
        assert_eq!(overlaps(&events(good)), [], "{good:?}");
    }
}

#[test]
fn an_overlap_lasts_from_the_later_start_to_the_earlier_end() {
    assert_eq!(no_overlap(&events(&SPLIT_BRAIN)), Verdict::Violated(vec![overlap(7, Some(12))]));
    let of = |lines: &[&str]| overlaps(&events(lines));
    assert_eq!(of(&["1 a leading", "4 b leading", "6 b exited", "9 a leading cancelled"]), [overlap(4, Some(6))]);
    assert_eq!(of(&["1 a leading", "4 b leading"]), [overlap(4, None)]);
    let thawed = with(&FROZEN_AND_THAWED[..5], &["10 a leading cancelled"]);
    assert_eq!(overlaps(&thawed), [overlap(8, Some(10))]);
    assert_eq!(of(&["1 a leading", "4 a leading"]), [], "one replica");
}

#[test]
fn an_act_outside_of_a_term_overlaps_the_term_of_another_replica() {
    let late = with(&HAND_OVER, &["9 a still leading"]);
    assert_eq!(no_overlap(&late), Verdict::Violated(vec![overlap(9, Some(9))]));
    assert_eq!(overlaps(&with(&HAND_OVER[..4], &["6 a still leading"])), [], "nobody else led");
}

#[test]
fn an_overlap_is_unknown_while_the_older_leader_neither_acts_nor_logs_the_end_of_its_term() {
    let silent = ["1 a leading", "2 a still leading", "7 b leading", "9 b still leading"];
    assert_eq!(no_overlap(&events(&silent)), doubt("a", 7, Reason::NoEndLogged));
    assert_eq!(no_overlap(&with(&silent, &["10 a still leading"])), Verdict::Violated(vec![overlap(7, None)]));
    assert_eq!(no_overlap(&with(&silent, &["10 a leading cancelled"])), Verdict::Violated(vec![overlap(7, Some(10))]));
}

// Stale acts.

#[test]
fn an_act_within_the_own_term_is_in_time() {
    for good in [&HAND_OVER[..], &FROZEN_AND_THAWED, &["1 a leading", "4 a still leading", "4 a leading cancelled"]] {
        assert_eq!(no_stale_act(&events(good), always), Verdict::Held, "{good:?}");
    }
}

#[test]
fn an_act_beside_a_later_term_is_stale() {
    assert_eq!(stale(&SPLIT_BRAIN), [beside("a", "b", 9, 7)]);
    assert_eq!(stale(&["1 a leading", "7 b leading", "7 a still leading"]), [beside("a", "b", 7, 7)]);
    assert!(matches!(no_stale_act(&events(&SPLIT_BRAIN), always), Verdict::Violated(acts) if acts.len() == 1));
    // After a thaw it counts from when the replica could act again.
    let thawed = [&FROZEN_AND_THAWED[..5], &["9 a still leading"]].concat();
    assert_eq!(stale(&thawed), [beside("a", "b", 9, 8)]);
}

#[test]
fn an_act_after_the_end_of_the_own_term_is_stale_whether_or_not_another_replica_leads() {
    let late = [&HAND_OVER[..3], &["6 a still leading"]].concat();
    assert_eq!(stale(&late), [("a".to_owned(), None, 6, 4)]);
    let beside_another = [&HAND_OVER[..], &["9 a still leading"]].concat();
    assert_eq!(stale(&beside_another), [beside("a", "b", 9, 7)]);
}

#[test]
fn an_act_without_a_term_is_stale() {
    assert_eq!(stale(&["1 a leading", "2 b still leading"]), [beside("b", "a", 2, 1)]);
    assert_eq!(stale(&["2 b still leading"]), [("b".to_owned(), None, 2, 2)]);
}

#[test]
fn a_replica_that_leads_again_may_act_again_and_its_predecessor_may_not() {
    let lines = ["1 a leading", "2 a leading cancelled", "3 b leading", "4 b leading cancelled", "5 a leading"];
    assert_eq!(stale(&[&lines[..], &["6 a still leading"]].concat()), []);
    assert_eq!(stale(&[&lines[..], &["7 b still leading"]].concat()), [beside("b", "a", 7, 5)]);
    let again = [&SPLIT_BRAIN[..], &["13 b exited", "20 a leading"]].concat();
    assert_eq!(stale(&again), [beside("a", "b", 9, 7)], "a later term of its own excuses nothing");
}

#[test]
fn of_two_terms_that_begin_at_once_one_is_the_later() {
    let lines = ["1 a leading", "1 b leading", "2 a still leading", "2 b still leading"];
    assert_eq!(stale(&lines), [beside("a", "b", 2, 1)]);
}

#[test]
fn an_act_after_a_later_term_is_over_is_unknown() {
    for over in ["8 b leading cancelled", "8 b exited", "8 harness SIGSTOP b"] {
        let lines = with(&["1 a leading", "7 b leading", over], &["9 a still leading"]);
        assert_eq!(no_stale_act(&lines, always), doubt("a", 9, Reason::LaterTermOver), "{over}");
        assert_eq!(stale_acts(&lines), [], "{over}");
    }
}

#[test]
fn only_the_chosen_times_count() {
    assert_eq!(no_stale_act(&events(&SPLIT_BRAIN), |at| at != 9), Verdict::Held);
    let over = events(&["1 a leading", "7 b leading", "8 b exited", "9 a still leading"]);
    assert_eq!(no_stale_act(&over, |at| at > 9), Verdict::Held);
}

// Gaps.

#[test]
fn a_gap_lies_between_two_terms_or_at_an_end_of_the_time() {
    assert_eq!(nobody(&HAND_OVER, 2, 9), [(4, 7)]);
    assert_eq!(nobody(&HAND_OVER, 0, 9), [(0, 1), (4, 7)]);
    assert_eq!(nobody(&HAND_OVER[..5], 5, 9), [(5, 9)]);
    assert_eq!(nobody(&[], 1, 5), [(1, 5)]);
    assert_eq!(nobody(&["8 a leading", "9 a exited"], 2, 5), [(2, 5)], "a term after the time");
    assert_eq!(nobody(&["1 a leading", "2 a exited"], 3, 5), [(3, 5)], "a term before it");
    assert_eq!(nobody(&["1 a leading", "3 b leading", "4 b exited", "9 a exited"], 2, 8), [], "a term within another");
}

#[test]
fn a_frozen_leader_leaves_a_gap() {
    assert_eq!(nobody(&FROZEN_AND_THAWED, 1, 9), [(3, 6)]);
    assert_eq!(no_gap(&events(&FROZEN_AND_THAWED), 1, 9), Verdict::Violated(vec![Gap { from: 3, until: 6 }]));
    assert_eq!(no_gap(&events(&FROZEN_AND_THAWED), 6, 9), Verdict::Held);
    assert_eq!(Gap { from: 3, until: 6 }.length(), Duration::from_nanos(3));
}

// Logs that are not whole.

#[test]
fn with_a_log_that_was_lost_only_what_it_shows_is_certain() {
    let lost = "10 a the end of its log was lost";
    let good = with(&HAND_OVER, &[lost]);
    assert_eq!(no_overlap(&good), doubt("a", 10, Reason::LogLost));
    assert_eq!(no_stale_act(&good, always), doubt("a", 10, Reason::LogLost));
    assert_eq!(no_gap(&good, 1, 9), doubt("a", 10, Reason::LogLost), "a lost line may be a term");
    assert_eq!(no_gap(&with(&[lost], &["11 b leading"]), 11, 12), Verdict::Held, "it was lost before");
    let bad = with(&SPLIT_BRAIN, &[lost]);
    assert!(matches!(no_overlap(&bad), Verdict::Violated(_)));
    assert!(no_overlap(&events(&HAND_OVER)).is_held() && !no_overlap(&good).is_held() && !no_overlap(&bad).is_held());
    assert!(matches!(no_stale_act(&bad, always), Verdict::Violated(_)));
}

#[test]
fn a_doubt_names_the_replica_and_what_is_missing() {
    let said = |reason| Doubt { replica: "a".to_owned(), at: 1, reason }.to_string();
    assert_eq!(said(Reason::LogLost), "the end of the log of a was lost");
    assert_eq!(said(Reason::NoEndLogged), "a did not log the end of its term");
    assert!(said(Reason::LaterTermOver).starts_with("a acted after another term"));
}

#[test]
fn only_a_write_that_a_fence_refused_is_a_refusal() {
    let failed = |message: &str, error: &str| {
        let fields = Map::from_iter([("error".to_owned(), Value::from(error))]);
        Event { at: 1, replica: "a".to_owned(), message: message.to_owned(), fields }
    };
    let why = "fenced: epoch 1 is over, 2 has written since";
    let fenced = failed("reconcile failed", &format!("configmaps \"x\" is forbidden: ... denied request: {why}"));
    assert_eq!(refusal(&fenced), Some(why));
    assert!(!is_act(&fenced));
    assert_eq!(refusal(&failed("reconcile failed", "the object has been modified")), None);
    assert_eq!(refusal(&failed("failed to update lease", why)), None);
    assert_eq!(refusal(&events(&["1 a reconcile failed"])[0]), None);
}
