//! What was tried on a cluster and what came of it: as `docs/runs/e2e.json`, and as lines for a person.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::record::{Machine, read, write};
use crate::stats::median;
use still_leading_testbed::Variant;

/// Where the committed [`Run`] is, from the root of the repository.
pub const E2E: &str = "docs/runs/e2e.json";

/// One run of `just e2e`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// In UTC, as `2026-11-21`.
    pub date: String,
    /// What to run for the same again.
    pub command: String,
    /// What it ran on: all nodes, where they are kind's.
    pub machine: Machine,
    /// The version of the API server.
    pub kubernetes: String,
    /// How many nodes the cluster has.
    pub nodes: usize,
    /// Of each tool that was needed, by its name.
    pub tools: BTreeMap<String, String>,
    /// What was tried on each variant, by its name.
    pub variants: BTreeMap<String, Vec<Tried>>,
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Which.
    pub step: Step,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it may end as [`Outcome::Broken`], if it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Every figure, with a value for each trial.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, Vec<f64>>,
    /// The line that was printed.
    pub said: String,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What is promised happened.
    Kept,
    /// It did not.
    Broken,
    /// It could not be found out.
    Error,
    /// This cluster has not what it needs.
    NotTried,
}

/// Names of figures; those that end in `_s` are seconds.
pub mod figure {
    /// From the command to the successor's `leading`.
    pub const HANDOVER: &str = "handover_s";
    /// How often another one began to lead.
    pub const CHANGES: &str = "changes";
    /// The longest time without a leader.
    pub const GAP: &str = "longest_gap_s";
    /// Acts in a term after a later one of another replica had begun.
    pub const STALE_ACTS: &str = "stale_acts";
    /// From the thaw to the last of them.
    pub const STALE_FOR: &str = "stale_for_s";
    /// From the cut to the old leader's `leading cancelled`.
    pub const STOPPED: &str = "stopped_s";
    /// The fewest replicas that were Ready and not on their way out.
    pub const AVAILABLE: &str = "available_min";
    /// The longest time in which two had an open term.
    pub const OVERLAP: &str = "longest_overlap_s";
    /// From the first changed source to the last copy that has the change.
    pub const COPIED: &str = "copied_s";
    /// How long the step took.
    pub const TOOK: &str = "took_s";
}

impl Tried {
    /// Whether the run may pass with it.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        match self.outcome {
            Outcome::Kept | Outcome::NotTried => true,
            Outcome::Broken => self.expected.is_some(),
            Outcome::Error => false,
        }
    }
}

impl Run {
    /// Reads it.
    ///
    /// # Errors
    /// It is missing, or not of this shape. One line, which says what to run.
    pub fn read(path: &Path) -> Result<Self> {
        read(path, &format!("just e2e --output {E2E}"))
    }

    /// Writes it for people and for `git diff`: indented, and with a line end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write(path, self)
    }
}

/// One step in one line.
#[must_use]
pub fn line(tried: &Tried) -> String {
    let outcome = match tried.outcome {
        Outcome::Kept => "kept",
        Outcome::Broken => "broken",
        Outcome::Error => "error",
        Outcome::NotTried => "not tried",
    };
    let expected = match (tried.outcome, &tried.expected) {
        (Outcome::Broken, Some(reason)) => format!(" (as expected: {reason})"),
        (Outcome::Broken, None) => " (NOT EXPECTED)".to_owned(),
        (Outcome::Kept, Some(_)) => " (kept this time; it may break)".to_owned(),
        _ => String::new(),
    };
    format!("  {:<13}{outcome:<11}{}{expected}", tried.step, tried.said)
}

/// Seconds: their median, and their range if there are several; none if there are none.
pub(crate) fn seconds(values: &[f64]) -> Option<String> {
    let (least, most) = values.iter().fold((f64::INFINITY, 0_f64), |(a, b), it| (a.min(*it), b.max(*it)));
    match values.len() {
        0 => None,
        1 => Some(format!("{most:.2} s")),
        n => Some(format!("{:.2} s ({least:.2}–{most:.2}, n = {n})", median(values))),
    }
}

/// Numbers, one for each trial; none if there are none.
pub(crate) fn counts(values: &[f64]) -> Option<String> {
    let words: Vec<String> = values.iter().map(f64::to_string).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// What fails the run, a line each.
#[must_use]
pub fn failures(variant: Variant, steps: &[Tried]) -> Vec<String> {
    let wrong = steps.iter().filter(|tried| !tried.is_fine());
    wrong.map(|tried| format!("{variant}, {}: {}", tried.step, tried.said)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_and_a_break_that_nobody_expected_fail_the_run() {
        let tried = |outcome, expected: Option<&str>| Tried {
            step: Step::Freeze,
            outcome,
            expected: expected.map(str::to_owned),
            figures: BTreeMap::new(),
            said: String::new(),
        };
        for outcome in [Outcome::Kept, Outcome::NotTried] {
            assert!(tried(outcome, None).is_fine() && tried(outcome, Some("it races")).is_fine());
        }
        assert!(tried(Outcome::Broken, Some("it races")).is_fine());
        assert!(!tried(Outcome::Broken, None).is_fine());
        assert!(!tried(Outcome::Error, Some("it races")).is_fine());
    }

    fn acts(outcome: Outcome, expected: Option<&str>) -> Tried {
        let (figures, said) = (Default::default(), "3 acts".to_owned());
        Tried { step: Step::Freeze, outcome, expected: expected.map(str::to_owned), figures, said }
    }

    #[test]
    fn a_line_tells_the_step_its_outcome_its_figure_and_whether_that_was_expected() {
        let told = |outcome, expected| line(&acts(outcome, expected));
        assert_eq!(told(Outcome::Kept, None), "  freeze       kept       3 acts");
        assert_eq!(told(Outcome::Broken, Some("x.go:1")), "  freeze       broken     3 acts (as expected: x.go:1)");
        assert_eq!(told(Outcome::Broken, None), "  freeze       broken     3 acts (NOT EXPECTED)");
        assert_eq!(told(Outcome::Kept, Some("x")), "  freeze       kept       3 acts (kept this time; it may break)");
        assert_eq!(told(Outcome::NotTried, Some("x")), "  freeze       not tried  3 acts");
    }

    #[test]
    fn several_values_are_told_with_their_range_and_one_by_itself() {
        assert_eq!(seconds(&[0.314]).as_deref(), Some("0.31 s"));
        assert_eq!(seconds(&[0.5, 0.25, 16.0]).as_deref(), Some("0.50 s (0.25–16.00, n = 3)"));
        assert_eq!(counts(&[3.0, 0.0]).as_deref(), Some("3, 0"));
        assert_eq!((seconds(&[]), counts(&[])), (None, None));
    }

    #[test]
    fn what_fails_the_run_is_told_with_its_variant() {
        let steps = [acts(Outcome::Broken, Some("x")), acts(Outcome::Broken, None), acts(Outcome::Kept, None)];
        assert_eq!(failures(Variant::Native, &steps), ["native, freeze: 3 acts"]);
    }
}
