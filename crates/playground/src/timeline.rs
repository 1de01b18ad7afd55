//! Makes the timeline of the replicas from their events, and draws it for a terminal. `still-leading-timeline` draws the SVG.

mod text;

pub use text::{Look, text};

use std::env;

use still_leading_testbed::Event;
use still_leading_testbed::history::rows;
use still_leading_timeline::{Mark, Span, Timeline};

use crate::report::Episode;

/// Makes the timeline of a time.
pub fn of(events: &[Event], episodes: &[Episode], (from, until): Span) -> Timeline {
    let lasts = |it: &Episode| it.healed.unwrap_or(if it.fault.ends_the_process() { it.at } else { until });
    let faults = episodes.iter().map(|it| Mark { name: it.fault.name().into(), span: (it.at, lasts(it)) }).collect();
    Timeline::new((from, until), rows(events, until), faults)
}

/// Whether the locale is UTF-8. The variables are read in the order of the C library.
pub fn locale_is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env::var_os).find(|value| !value.is_empty());
    set.is_some_and(|value| names_utf8(&value.to_string_lossy()))
}

fn names_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use serde_json::{Map, Value};
    use still_leading_testbed::history::{EXITED, HARNESS};

    const SECOND: u64 = 1_000_000_000;

    pub(super) fn event(at: u64, replica: &str, message: &str) -> Event {
        let (at, fields) = (at * SECOND, Map::new());
        Event { at, replica: replica.to_owned(), message: message.to_owned(), fields }
    }

    /// Ten seconds in which one replica is killed, and its successor is frozen and thawed.
    pub(super) fn story() -> Timeline {
        let signal = |at, message: &str| {
            let fields = Map::from_iter([("to".to_owned(), Value::from("native-1"))]);
            Event { fields, ..event(at, HARNESS, message) }
        };
        let error = Value::from("is forbidden: ValidatingAdmissionPolicy denied request: fenced: epoch 1 is over");
        let refused =
            Event { fields: Map::from_iter([("error".to_owned(), error)]), ..event(9, "native-1", "reconcile failed") };
        let refused = Event { at: refused.at + SECOND / 2, ..refused };
        let events = [
            event(0, "native-1", "attempting to acquire leader lease"),
            event(0, "native-0", "leading"),
            event(2, "native-0", EXITED),
            event(4, "native-1", "leading"),
            event(4, "native-2", "attempting to acquire leader lease"),
            signal(6, "SIGSTOP"),
            event(7, "native-2", "leading"),
            signal(8, "SIGCONT"),
            event(9, "native-1", "still leading"),
            refused,
        ];
        let episode = |fault, victim: &str, at: u64, healed: Option<u64>| Episode {
            fault,
            victim: victim.to_owned(),
            at: at * SECOND,
            healed: healed.map(|at| at * SECOND),
            until: None,
            told: None,
        };
        let episodes = [episode(Fault::Kill, "native-0", 2, None), episode(Fault::Freeze, "native-1", 6, Some(8))];
        of(&events, &episodes, (0, 10 * SECOND))
    }

    #[test]
    fn a_timeline_has_a_row_a_replica_and_a_mark_a_fault() {
        let timeline = story();
        assert_eq!(timeline.span, (0, 10 * SECOND));
        assert_eq!(timeline.rows.len(), 3);
        let one = &timeline.rows[1];
        assert_eq!(one.leading, [(4, 6), (8, 10)].map(|(from, until)| (from * SECOND, until * SECOND)));
        assert_eq!((one.frozen.as_slice(), one.stale.as_slice()), (&[(6 * SECOND, 8 * SECOND)][..], &[9 * SECOND][..]));
        assert_eq!((one.acts.as_slice(), one.refused.as_slice()), (&[9 * SECOND][..], &[19 * SECOND / 2][..]));
        assert!(timeline.rows[0].has_ended && !one.has_ended);
        assert_eq!(timeline.faults[0], Mark { name: "kill".into(), span: (2 * SECOND, 2 * SECOND) });
        assert_eq!(timeline.faults[1], Mark { name: "freeze".into(), span: (6 * SECOND, 8 * SECOND) });
    }

    #[test]
    fn without_events_there_is_an_empty_picture_of_no_time() {
        let empty = of(&[], &[], (5, 5));
        assert_eq!((empty.span, empty.rows.len()), ((5, 6), 0));
    }

    #[test]
    fn a_locale_says_that_it_is_utf_8() {
        assert!(names_utf8("C.UTF-8") && names_utf8("de_DE.utf8"));
        assert!(!names_utf8("C") && !names_utf8("POSIX") && !names_utf8("de_DE.ISO-8859-1"));
    }
}
