//! A trial as a picture.

use still_leading_testbed::history::rows;
use still_leading_timeline::{Mark, Timeline, svg};

use super::record::Trial;

/// As SVG: who led when, who acted, and how long the fault lasted.
#[must_use]
pub fn of(trial: &Trial) -> String {
    let marks = trial.marks;
    let mark = Mark { name: trial.fault.clone().into(), span: (marks.injected, marks.healed) };
    // What was before is all the same in every trial.
    let from = marks.injected.saturating_sub(3_000_000_000);
    let timeline = Timeline::new((from, marks.ended), rows(&trial.history(), marks.ended), vec![mark]);
    let title = format!("{} under {}, trial {}", trial.subject, trial.fault, trial.number);
    svg(&timeline, &title)
}
