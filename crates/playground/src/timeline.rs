//! Who led when, and what happened meanwhile, as a picture.

mod svg;
mod text;

pub use svg::svg;
pub use text::{Look, text};

use std::env;

use still_leading_testbed::Event;
use still_leading_testbed::history::{EXITED, HARNESS};

use crate::print::number;
use crate::report::{Episode, frozen, reigns, stale_acts};

/// From, until; in monotonic nanoseconds.
pub type Span = (u64, u64);

/// The picture before it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What is shown.
    pub span: Span,
    /// The replicas, in the order of their numbers.
    pub rows: Vec<Row>,
    /// The faults, in the order of the table.
    pub faults: Vec<Mark>,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// From its first word to its end, or to the end of the picture.
    pub alive: Span,
    /// Whether its process has ended.
    pub has_ended: bool,
    /// When it took itself for the leader and could act.
    pub leading: Vec<Span>,
    /// When its process was frozen.
    pub frozen: Vec<Span>,
    /// When it acted although another one led.
    pub stale: Vec<u64>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What.
    pub name: &'static str,
    /// From its injection until it was healed; a moment where there is nothing to heal.
    pub span: Span,
}

impl Timeline {
    /// Everything of a time.
    pub fn of(events: &[Event], episodes: &[Episode], (from, until): Span) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for event in events.iter().filter(|event| event.replica != HARNESS) {
            if !names.contains(&event.replica.as_str()) {
                names.push(&event.replica);
            }
        }
        names.sort_by_key(|name| number(name));
        let rows = names.into_iter().map(|name| Row::of(name, events, until)).collect();
        let lasts = |it: &Episode| it.healed.unwrap_or(if it.fault.ends_the_process() { it.at } else { until });
        let faults = episodes.iter().map(|it| Mark { name: it.fault.name(), span: (it.at, lasts(it)) }).collect();
        // No time at all would be no picture, and a division by zero.
        Self { span: (from, until.max(from + 1)), rows, faults }
    }
}

impl Row {
    fn of(name: &str, events: &[Event], until: u64) -> Self {
        let own = || events.iter().filter(|event| event.replica == name);
        let end = own().find(|event| event.message == EXITED).map(|event| event.at);
        let alive = (own().next().map_or(until, |event| event.at), end.unwrap_or(until));
        let leading = reigns(events).into_iter().filter(|reign| reign.replica == name);
        let frozen = frozen(events).into_iter().filter(|term| term.replica == name);
        let stale = stale_acts(events).into_iter().filter(|act| act.replica == name);
        Self {
            name: name.to_owned(),
            alive,
            has_ended: end.is_some(),
            leading: leading.map(|reign| (reign.from, reign.until.unwrap_or(until))).collect(),
            frozen: frozen.map(|term| (term.from, term.until.unwrap_or(until))).collect(),
            stale: stale.map(|act| act.at).collect(),
        }
    }
}

/// Whether the locale says that text is UTF-8, in the order in which the C library asks.
pub fn locale_is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env::var_os).find(|value| !value.is_empty());
    set.is_some_and(|value| names_utf8(&value.to_string_lossy()))
}

fn names_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Seconds between two labels of an axis, so that `labels_max` and the one at its end are enough.
fn step(span: Span, labels_max: usize) -> u64 {
    const STEPS: [u64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600];
    let seconds = (span.1 - span.0) / 1_000_000_000;
    let fits = |step: &u64| seconds / step <= labels_max.max(1) as u64;
    STEPS.into_iter().find(fits).unwrap_or_else(|| (seconds / labels_max.max(1) as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use serde_json::{Map, Value};

    const SECOND: u64 = 1_000_000_000;

    pub(super) fn event(at: u64, replica: &str, message: &str) -> Event {
        let (at, fields) = (at * SECOND, Map::new());
        Event { at, replica: replica.to_owned(), message: message.to_owned(), fields }
    }

    /// Ten seconds: one is killed, its successor is frozen and thawed.
    pub(super) fn story() -> Timeline {
        let deed = |at, message: &str| {
            let fields = Map::from_iter([("to".to_owned(), Value::from("native-1"))]);
            Event { fields, ..event(at, HARNESS, message) }
        };
        let events = [
            event(0, "native-1", "attempting to acquire leader lease"),
            event(0, "native-0", "leading"),
            event(2, "native-0", EXITED),
            event(4, "native-1", "leading"),
            event(4, "native-2", "attempting to acquire leader lease"),
            deed(6, "SIGSTOP"),
            event(7, "native-2", "leading"),
            deed(8, "SIGCONT"),
            event(9, "native-1", "still leading"),
        ];
        let episode = |fault, victim: &str, at: u64, healed: Option<u64>| Episode {
            fault,
            victim: victim.to_owned(),
            at: at * SECOND,
            healed: healed.map(|at| at * SECOND),
        };
        let episodes = [episode(Fault::Kill, "native-0", 2, None), episode(Fault::Freeze, "native-1", 6, Some(8))];
        Timeline::of(&events, &episodes, (0, 10 * SECOND))
    }

    #[test]
    fn a_timeline_has_a_row_a_replica_and_a_mark_a_fault() {
        let timeline = story();
        assert_eq!(timeline.span, (0, 10 * SECOND));
        assert_eq!(timeline.rows.len(), 3);
        let one = &timeline.rows[1];
        assert_eq!(one.leading, [(4, 6), (8, 10)].map(|(from, until)| (from * SECOND, until * SECOND)));
        assert_eq!((one.frozen.as_slice(), one.stale.as_slice()), (&[(6 * SECOND, 8 * SECOND)][..], &[9 * SECOND][..]));
        assert!(timeline.rows[0].has_ended && !one.has_ended);
        assert_eq!(timeline.faults[0], Mark { name: "kill", span: (2 * SECOND, 2 * SECOND) });
        assert_eq!(timeline.faults[1], Mark { name: "freeze", span: (6 * SECOND, 8 * SECOND) });
    }

    #[test]
    fn without_events_there_is_an_empty_picture_of_no_time() {
        let timeline = Timeline::of(&[], &[], (5, 5));
        assert_eq!((timeline.span, timeline.rows.len()), ((5, 6), 0));
    }

    #[test]
    fn labels_are_round_and_not_too_many() {
        let span = |seconds: u64| (0, seconds * SECOND);
        assert_eq!([step(span(9), 10), step(span(40), 5), step(span(200), 10), step(span(0), 0)], [1, 10, 30, 1]);
        assert!(step(span(100_000), 3) > 3_600);
    }

    #[test]
    fn a_locale_says_that_it_is_utf_8() {
        assert!(names_utf8("C.UTF-8") && names_utf8("de_DE.utf8"));
        assert!(!names_utf8("C") && !names_utf8("POSIX") && !names_utf8("de_DE.ISO-8859-1"));
    }
}
