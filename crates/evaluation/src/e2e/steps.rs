//! The steps: what each does, and what it finds.

mod handover;
mod node;
mod rollout;
mod scale;

use std::collections::BTreeMap;

use anyhow::Result;
use still_leading_testbed::history::judge::Doubt;

use super::args::Args;
use super::ground::Ground;
use super::report;
use super::step::Step;

/// What a step found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Every figure, with a value for each trial.
    pub(super) figures: BTreeMap<String, Vec<f64>>,
    /// The figures for a person.
    pub(super) said: String,
    /// Whether what is promised was not kept.
    pub(super) is_broken: bool,
}

impl Found {
    pub(super) fn said(said: impl Into<String>) -> Self {
        Self { said: said.into(), ..Self::default() }
    }

    /// A figure; a thousandth is as much as a log and a process tell of a second.
    pub(super) fn with(mut self, figure: &str, values: Vec<f64>) -> Self {
        let rounded = values.into_iter().map(|value| (value * 1e3).round() / 1e3);
        self.figures.insert(figure.to_owned(), rounded.collect());
        self
    }
}

/// Tries one step.
pub(super) async fn take(step: Step, ground: &Ground<'_>, args: &Args) -> Result<Found> {
    match step {
        Step::Ready => scale::ready(ground).await,
        Step::Leader => scale::leader(ground).await,
        Step::Delete => handover::delete(ground, args.trials.into()).await,
        Step::ForceDelete => handover::force_delete(ground).await,
        Step::Rollout => rollout::rollout(ground).await,
        Step::Freeze => node::freeze(ground, args.freezes.into()).await,
        Step::Cut => node::cut(ground).await,
        Step::Drain => handover::drain(ground).await,
        Step::Scale => scale::scale(ground).await,
        // Not taken on the ground: `run` does them before, after and around all others.
        Step::Deploy | Step::OneLeader | Step::Remove => Ok(Found::default()),
    }
}

/// Some seconds for a person.
pub(super) fn told(seconds: &[f64]) -> String {
    report::seconds(seconds).unwrap_or_else(|| "never".to_owned())
}

/// Why the logs do not tell what a step is to find out.
pub(super) fn unknown(doubts: &[Doubt]) -> String {
    let doubts: Vec<String> = doubts.iter().map(Doubt::to_string).collect();
    format!("the logs do not tell: {}", doubts.join("; "))
}
