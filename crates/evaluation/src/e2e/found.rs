//! What a step found.

use std::collections::BTreeMap;

use still_leading_testbed::history::judge::Doubt;

use super::record;

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

/// Some seconds for a person.
pub(super) fn told(seconds: &[f64]) -> String {
    record::seconds(seconds).unwrap_or_else(|| "never".to_owned())
}

/// Why the logs do not tell what a step is to find out.
pub(super) fn unknown(doubts: &[Doubt]) -> String {
    let doubts: Vec<String> = doubts.iter().map(Doubt::to_string).collect();
    format!("the logs do not tell: {}", doubts.join("; "))
}
