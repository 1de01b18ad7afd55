//! `docs/runs/single.json`: what was tried with one replica, and what came of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::setting::{Choice, Setting};
use super::trial::Cost;
use crate::record::{Machine, read};
use crate::stats::median;

/// Where the committed [`Single`] is, from the root of the repository.
pub const SINGLE: &str = "docs/runs/single.json";

/// One run of `just e2e single`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Single {
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
    /// How long the replica goes on after its pod is asked to end.
    pub stopping_s: u64,
    /// In the order in which they were tried.
    pub rows: Vec<Row>,
}

/// What one action cost under one choice, with a value for each trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// How the replica is replaced.
    pub setting: Setting,
    /// Whether it takes part in an election.
    pub election: bool,
    /// What replaces it.
    pub action: Action,
    /// The longest time in which two led.
    pub overlap_s: Vec<f64>,
    /// Acts of the older one meanwhile.
    pub acts_beside: Vec<usize>,
    /// The longest time in which nobody led.
    pub gap_s: Vec<f64>,
}

impl Row {
    pub(super) fn new(Choice { setting, election }: Choice, action: Action) -> Self {
        Self { setting, election, action, overlap_s: Vec::new(), acts_beside: Vec::new(), gap_s: Vec::new() }
    }

    /// A thousandth is as much as a log and a process tell of a second.
    pub(super) fn add(&mut self, cost: Cost) {
        let rounded = |seconds: f64| (seconds * 1e3).round() / 1e3;
        self.overlap_s.push(rounded(cost.overlap));
        self.acts_beside.push(cost.acts);
        self.gap_s.push(rounded(cost.gap));
    }

    /// Whether two led although this choice promises one: the election does, and so does a StatefulSet, and Recreate in a
    /// rollout.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let is_promised = self.election
            || self.setting == Setting::StatefulSet
            || (self.setting, self.action) == (Setting::Recreate, Action::Rollout);
        is_promised && (self.overlap_s.iter().any(|it| *it > 0.0) || self.acts_beside.iter().any(|it| *it > 0))
    }

    /// The row for a cell of the table.
    #[must_use]
    pub fn told(&self) -> String {
        let (two, none) = (longest(&self.overlap_s), longest(&self.gap_s));
        let of = |values: &[f64]| match values {
            [one] => format!("{one:.2} s"),
            _ => format!("{:.2} s (at most {:.2} s)", median(values), longest(values)),
        };
        let none = if none > 0.0 { format!("nobody for {}", of(&self.gap_s)) } else { "no gap".to_owned() };
        if two > 0.0 { format!("**two for {}**, {none}", of(&self.overlap_s)) } else { format!("one, {none}") }
    }
}

fn longest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

impl Single {
    /// Reads it.
    ///
    /// # Errors
    /// It is missing, or not of this shape.
    pub fn read(path: &Path) -> Result<Self> {
        read(path, "just e2e single --output docs/runs/single.json")
    }
}

/// One row in one line.
#[must_use]
pub fn line(row: &Row) -> String {
    let broken = if row.is_broken() { "  NOT EXPECTED" } else { "" };
    format!("  {:<10}n = {}  {}{broken}", row.action, row.overlap_s.len(), row.told().replace("**", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(setting: Setting, election: bool, action: Action, overlap: &[f64], gap: &[f64]) -> Row {
        let (overlap_s, gap_s, acts_beside) = (overlap.to_vec(), gap.to_vec(), vec![0; overlap.len()]);
        Row { setting, election, action, overlap_s, acts_beside, gap_s }
    }

    #[test]
    fn two_are_expected_only_where_nothing_promises_one() {
        let two = |setting, election, action| row(setting, election, action, &[0.0, 0.1], &[0.0, 0.0]).is_broken();
        for action in Action::ALL {
            for setting in Setting::ALL {
                assert!(two(setting, true, action), "{setting:?} {action}");
            }
            assert!(!two(Setting::SurgeOne, false, action) && !two(Setting::SurgeZero, false, action));
            assert!(two(Setting::StatefulSet, false, action));
            assert_eq!(two(Setting::Recreate, false, action), action == Action::Rollout, "{action}");
        }
        let mut acts = row(Setting::StatefulSet, false, Action::Delete, &[0.0], &[0.0]);
        assert!(!acts.is_broken());
        acts.acts_beside = vec![1];
        assert!(acts.is_broken());
    }

    #[test]
    fn a_row_says_how_long_two_led_and_how_long_nobody_did() {
        let told = |overlap: &[f64], gap: &[f64]| row(Setting::Recreate, false, Action::Delete, overlap, gap).told();
        assert_eq!(told(&[4.0, 4.25, 3.5], &[0.0; 3]), "**two for 4.00 s (at most 4.25 s)**, no gap");
        assert_eq!(told(&[0.0; 3], &[1.0, 3.0, 2.0]), "one, nobody for 2.00 s (at most 3.00 s)");
        assert_eq!(told(&[40.5], &[0.0]), "**two for 40.50 s**, no gap");
    }
}
