//! `docs/runs/e2e.json`: what was tried on a cluster, and what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::record::Machine;

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
    /// From the deed to the successor's `leading`.
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
        let remedy = || format!("no record of this kind in {0}: run `just e2e --output {0}`", path.display());
        let text = fs::read_to_string(path).with_context(remedy)?;
        serde_json::from_str(&text).with_context(remedy)
    }

    /// Writes it for people and for `git diff`: indented, and with a line end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(path, json).with_context(|| format!("writing {}", path.display()))
    }
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
}
