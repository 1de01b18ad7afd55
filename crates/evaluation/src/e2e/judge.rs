//! What the logs say of who led: pure functions of events and terms.

use still_leading_testbed::Event;
use still_leading_testbed::history::{Term, acts, overlaps, terms};

/// An act in a term after a later one of another replica had begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StaleAct {
    /// Who acted.
    pub(super) replica: String,
    /// When.
    pub(super) at: u64,
}

/// Every act in a term that was over because a later one had begun, whether or not that one went on. An act without a term
/// of its own counts as one of a term before all others.
pub(super) fn stale_acts(events: &[Event]) -> Vec<StaleAct> {
    let terms = terms(events);
    let is_stale = |replica: &str, at: u64| {
        let own = terms.iter().rfind(|term| term.replica == replica && term.from <= at);
        let began = own.map_or(0, |term| term.from);
        terms.iter().any(|term| term.replica != replica && began < term.from && term.from <= at)
    };
    let acts = acts(events).into_iter().filter(|act| is_stale(&act.replica, act.at));
    acts.map(|act| StaleAct { replica: act.replica, at: act.at }).collect()
}

/// How many terms began after `from`, up to `until`, that were not of the replica that led before.
pub(super) fn changes(terms: &[Term], from: u64, until: u64) -> usize {
    let pairs = terms.windows(2).filter(|pair| pair[0].replica != pair[1].replica);
    pairs.filter(|pair| from < pair[1].from && pair[1].from <= until).count()
}

/// The longest time between `from` and `until` in which no term was open, in nanoseconds.
pub(super) fn longest_gap(terms: &[Term], from: u64, until: u64) -> u64 {
    let (mut covered, mut longest) = (from, 0);
    // In the order of their begin.
    for term in terms {
        longest = longest.max(term.from.min(until).saturating_sub(covered));
        covered = covered.max(term.until.unwrap_or(until));
    }
    longest.max(until.saturating_sub(covered))
}

/// The longest time up to `until` in which two replicas had an open term, in nanoseconds.
pub(super) fn longest_overlap(terms: &[Term], until: u64) -> u64 {
    let lengths = overlaps(terms).into_iter().map(|it| it.until.unwrap_or(until).saturating_sub(it.from));
    lengths.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    /// Events such as `1 a leading`.
    fn events(lines: &[&str]) -> Vec<Event> {
        let event = |line: &&str| {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            let [at, replica, message] = words[..] else { panic!("{line}") };
            Event {
                at: at.parse().unwrap(),
                replica: replica.to_owned(),
                message: message.to_owned(),
                fields: Map::new(),
            }
        };
        lines.iter().map(event).collect()
    }

    fn stale(lines: &[&str]) -> Vec<(String, u64)> {
        stale_acts(&events(lines)).into_iter().map(|act| (act.replica, act.at)).collect()
    }

    fn term(replica: &str, from: u64, until: Option<u64>) -> Term {
        Term { replica: replica.to_owned(), from, until }
    }

    #[test]
    fn an_act_before_a_later_term_begins_is_not_stale_and_one_after_it_is() {
        let history = ["1 a leading", "5 a still leading", "7 b leading", "9 a still leading", "9 b still leading"];
        assert_eq!(stale(&history), [("a".to_owned(), 9)]);
        assert_eq!(stale(&history[..3]), []);
        assert_eq!(stale(&["1 a leading", "7 b leading", "7 a still leading"]), [("a".to_owned(), 7)]);
    }

    #[test]
    fn an_act_is_stale_even_if_the_later_term_is_over() {
        let history = ["1 a leading", "7 b leading", "8 b leading cancelled", "9 a still leading"];
        assert_eq!(stale(&history), [("a".to_owned(), 9)]);
    }

    #[test]
    fn who_leads_again_may_act_again_and_its_predecessor_may_not() {
        let history = [
            "1 a leading",
            "2 a leading cancelled",
            "3 b leading",
            "4 b leading cancelled",
            "5 a leading",
            "6 a still leading",
            "7 b still leading",
        ];
        assert_eq!(stale(&history), [("b".to_owned(), 7)]);
    }

    #[test]
    fn an_act_without_a_term_is_stale_beside_a_leader() {
        assert_eq!(stale(&["1 a leading", "2 b still leading"]), [("b".to_owned(), 2)]);
    }

    #[test]
    fn a_change_is_a_term_of_another_one_within_the_time() {
        let terms = [
            term("a", 1, Some(2)),
            term("b", 3, Some(4)),
            term("b", 5, Some(6)),
            term("c", 7, Some(8)),
            term("a", 9, None),
        ];
        assert_eq!(changes(&terms, 0, 10), 3);
        assert_eq!(changes(&terms, 3, 10), 2, "who led at the begin is no change");
        assert_eq!(changes(&terms, 3, 8), 1);
    }

    #[test]
    fn the_longest_gap_lies_between_two_terms_or_at_an_end() {
        let terms = [term("a", 10, Some(20)), term("b", 23, Some(30)), term("c", 25, Some(26))];
        assert_eq!(longest_gap(&terms, 12, 30), 3);
        assert_eq!(longest_gap(&terms, 12, 35), 5);
        assert_eq!(longest_gap(&terms, 1, 30), 9);
        assert_eq!(longest_gap(&terms, 24, 29), 0);
        assert_eq!(longest_gap(&[], 1, 5), 4);
        assert_eq!(longest_gap(&[term("a", 1, None)], 2, 9), 0);
        assert_eq!(longest_gap(&[term("a", 8, None)], 2, 5), 3, "a term after the time shortens no gap in it");
    }

    #[test]
    fn the_longest_overlap_is_that_of_two_replicas() {
        let terms = [term("a", 1, Some(10)), term("b", 8, Some(20)), term("c", 15, None)];
        assert_eq!(longest_overlap(&terms, 30), 5);
        assert_eq!(longest_overlap(&[term("a", 1, None), term("b", 8, None)], 30), 22);
        assert_eq!(longest_overlap(&terms[..1], 30), 0);
    }
}
