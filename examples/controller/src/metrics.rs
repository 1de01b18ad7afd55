//! Counts the outcomes of reconciles, for `/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use still_leading_scaffold::Metrics;

/// Counts reconciles by outcome.
#[derive(Clone)]
pub struct Reconciles(Family<Label, Counter>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    result: &'static str,
}

/// The outcome of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Written,
    Unchanged,
    Failed,
    /// The API server refused the epoch.
    Refused,
    NotLeading,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Written, Self::Unchanged, Self::Failed, Self::Refused, Self::NotLeading];

    fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::NotLeading => "not_leading",
        }
    }
}

impl Reconciles {
    /// Makes the counters, which `/metrics` shows from zero on.
    pub fn new(metrics: &Metrics) -> Self {
        let family = Family::default();
        metrics.register("controller_reconciles", "Reconciles by how they ended", family.clone());
        for outcome in Outcome::ALL {
            drop(family.get_or_create(&Label { result: outcome.name() }));
        }
        Self(family)
    }

    /// Begins a reconcile, which counts when it ends. If it is dropped before, it has lost its term.
    pub fn begin(&self) -> Counted<'_> {
        Counted { reconciles: self, outcome: Outcome::NotLeading }
    }
}

/// A reconcile that runs.
pub struct Counted<'a> {
    reconciles: &'a Reconciles,
    outcome: Outcome,
}

impl Counted<'_> {
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.reconciles.0.get_or_create(&Label { result: self.outcome.name() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use still_leading_scaffold::Status;

    use super::*;

    #[test]
    fn each_reconcile_counts_once_and_one_that_is_dropped_has_lost_its_term() {
        let metrics = Metrics::new("my-lease");
        let reconciles = Reconciles::new(&metrics);
        reconciles.begin().end(Outcome::Written);
        drop(reconciles.begin());
        let text = metrics.render(&Status::default());
        for (result, times) in [("written", 1), ("not_leading", 1), ("refused", 0)] {
            let line = format!("controller_reconciles_total{{name=\"my-lease\",result=\"{result}\"}} {times}");
            assert!(text.contains(&line), "{line} is missing in\n{text}");
        }
    }
}
