//! Who led and acted when, read out of the events. Pure functions, so that a saved history can be judged again.

use super::{EXITED, Event};

const LEADING: &str = "leading";
const CANCELLED: &str = "leading cancelled";
const STILL_LEADING: &str = "still leading";

/// One unbroken spell in which a replica took itself for the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Who led.
    pub replica: String,
    /// Monotonic nanoseconds of its `leading`.
    pub from: u64,
    /// Monotonic nanoseconds of its `leading cancelled`, or of the end of its process; none while it goes on.
    pub until: Option<u64>,
}

/// One thing that a leader did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub replica: String,
    /// When, in monotonic nanoseconds.
    pub at: u64,
}

/// A time in which two replicas took themselves for the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The one whose term began first, then the other.
    pub replicas: [String; 2],
    /// Its begin, in monotonic nanoseconds.
    pub from: u64,
    /// Its end, in monotonic nanoseconds; none while it goes on.
    pub until: Option<u64>,
}

/// The terms, in the order of their begin. A process that has ended leads no longer, whatever it last said.
pub fn terms(events: &[Event]) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for event in events {
        let open = terms.iter_mut().find(|term| term.replica == event.replica && term.until.is_none());
        match (event.message.as_str(), open) {
            (LEADING, None) => {
                terms.push(Term { replica: event.replica.clone(), from: event.at, until: None });
            }
            (CANCELLED | EXITED, Some(term)) => term.until = Some(event.at),
            _ => {}
        }
    }
    terms
}

/// The acts, in the order of their times.
pub fn acts(events: &[Event]) -> Vec<Act> {
    let acts = events.iter().filter(|event| event.message == STILL_LEADING);
    acts.map(|event| Act { replica: event.replica.clone(), at: event.at }).collect()
}

/// Every two terms of different replicas that overlap, and when. Terms that only touch do not overlap.
pub fn overlaps(terms: &[Term]) -> Vec<Overlap> {
    let mut overlaps = Vec::new();
    for (i, a) in terms.iter().enumerate() {
        for b in &terms[i + 1..] {
            let (first, second) = if a.from <= b.from { (a, b) } else { (b, a) };
            let until = match (a.until, b.until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if a.replica != b.replica && until.is_none_or(|until| until > second.from) {
                let replicas = [first.replica.clone(), second.replica.clone()];
                overlaps.push(Overlap { replicas, from: second.from, until });
            }
        }
    }
    overlaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn event(at: u64, replica: &str, message: &str) -> Event {
        Event { at, replica: replica.to_owned(), message: message.to_owned(), fields: Map::new() }
    }

    fn term(replica: &str, from: u64, until: Option<u64>) -> Term {
        Term { replica: replica.to_owned(), from, until }
    }

    #[test]
    fn a_term_lasts_from_leading_to_leading_cancelled() {
        let events = [
            event(1, "a", "attempting to acquire leader lease"),
            event(2, "a", "leading"),
            event(3, "a", "still leading"),
            event(4, "a", "leading cancelled"),
            event(5, "a", "stopped leading"),
            event(6, "b", "leading"),
            event(7, "a", "leading"),
        ];
        assert_eq!(terms(&events), [term("a", 2, Some(4)), term("b", 6, None), term("a", 7, None)]);
    }

    #[test]
    fn a_term_ends_with_its_process() {
        let events = [event(1, "a", "leading"), event(2, "b", "exited"), event(3, "a", "exited")];
        assert_eq!(terms(&events), [term("a", 1, Some(3))]);
    }

    #[test]
    fn acts_are_the_ticks_of_all_replicas() {
        let events = [event(1, "a", "leading"), event(2, "a", "still leading"), event(3, "b", "still leading")];
        let act = |replica: &str, at| Act { replica: replica.to_owned(), at };
        assert_eq!(acts(&events), [act("a", 2), act("b", 3)]);
    }

    #[test]
    fn a_clean_handover_has_no_overlap() {
        assert_eq!(overlaps(&[term("a", 1, Some(5)), term("b", 5, None)]), []);
    }

    #[test]
    fn an_overlap_lasts_from_the_later_begin_to_the_earlier_end() {
        let overlap = |until| Overlap { replicas: ["a".to_owned(), "b".to_owned()], from: 4, until };
        assert_eq!(overlaps(&[term("a", 1, Some(5)), term("b", 4, None)]), [overlap(Some(5))]);
        assert_eq!(overlaps(&[term("a", 1, Some(9)), term("b", 4, Some(6))]), [overlap(Some(6))]);
        assert_eq!(overlaps(&[term("a", 1, None), term("b", 4, None)]), [overlap(None)]);
        assert_eq!(overlaps(&[term("b", 4, None), term("a", 1, Some(5))]), [overlap(Some(5))]);
    }

    #[test]
    fn two_terms_of_one_replica_are_no_overlap() {
        assert_eq!(overlaps(&[term("a", 1, None), term("a", 4, None)]), []);
    }
}
