//! Who led when, and what happened meanwhile, as a picture.
//!
//! The playground draws what its replicas did, and the simulation what a failing seed did. So this crate knows neither
//! processes nor histories.

mod svg;

pub use svg::svg;

use std::borrow::Cow;

/// From and until, in nanoseconds of one clock.
pub type Span = (u64, u64);

/// What a picture shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The time from the left edge to the right.
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
    /// From its first log line to its end, or to the end of the picture.
    pub alive: Span,
    /// Whether its process has ended.
    pub has_ended: bool,
    /// When it believed that it led, and could act.
    pub leading: Vec<Span>,
    /// When its process was frozen.
    pub frozen: Vec<Span>,
    /// When it acted.
    pub acts: Vec<u64>,
    /// When it acted although another one led.
    pub stale: Vec<u64>,
    /// When the API server refused one of its writes, because a later leader had written.
    pub refused: Vec<u64>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub name: Cow<'static, str>,
    /// From its injection until it was healed. A fault that nobody can heal is a moment.
    pub span: Span,
}

impl Timeline {
    /// Makes a timeline of `span`. An empty span is made longer, since it could not be drawn.
    pub fn new((from, until): Span, rows: Vec<Row>, faults: Vec<Mark>) -> Self {
        Self { span: (from, until.max(from + 1)), rows, faults }
    }

    /// Returns the seconds between two labels of the axis, such that at most `labels_max` and the one at its end are drawn.
    pub fn seconds_between_labels(&self, labels_max: usize) -> u64 {
        const STEPS: [u64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600];
        let seconds = (self.span.1 - self.span.0) / 1_000_000_000;
        let fits = |step: &u64| seconds / step <= labels_max.max(1) as u64;
        STEPS.into_iter().find(fits).unwrap_or_else(|| (seconds / labels_max.max(1) as u64).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Ten seconds in which one replica is killed, and its successor is frozen and thawed.
    pub(super) fn story() -> Timeline {
        let seconds = |(from, until): Span| (from * SECOND, until * SECOND);
        let row = |number: u64, alive: Span, leading: &[Span]| Row {
            name: format!("native-{number}"),
            alive: seconds(alive),
            has_ended: alive.1 < 10,
            leading: leading.iter().copied().map(seconds).collect(),
            frozen: Vec::new(),
            acts: Vec::new(),
            stale: Vec::new(),
            refused: Vec::new(),
        };
        let mut rows =
            vec![row(0, (0, 2), &[(0, 2)]), row(1, (0, 10), &[(4, 6), (8, 10)]), row(2, (4, 10), &[(7, 10)])];
        (rows[1].frozen, rows[1].stale) = (vec![seconds((6, 8))], vec![9 * SECOND]);
        (rows[1].acts, rows[1].refused) = (vec![5 * SECOND, 9 * SECOND], vec![9 * SECOND + SECOND / 2]);
        let mark = |name: &'static str, span| Mark { name: name.into(), span: seconds(span) };
        Timeline::new((0, 10 * SECOND), rows, vec![mark("kill", (2, 2)), mark("freeze", (6, 8))])
    }

    #[test]
    fn labels_are_round_and_not_too_many() {
        let step = |seconds, labels| {
            Timeline::new((0, seconds * SECOND), Vec::new(), Vec::new()).seconds_between_labels(labels)
        };
        assert_eq!([step(9, 10), step(40, 5), step(200, 10), step(0, 0)], [1, 10, 30, 1]);
        assert!(step(100_000, 3) > 3_600);
    }

    #[test]
    fn no_time_at_all_is_shown_as_a_moment() {
        assert_eq!(Timeline::new((5, 5), Vec::new(), Vec::new()).span, (5, 6));
    }
}
