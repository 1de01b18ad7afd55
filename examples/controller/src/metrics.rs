//! How the reconciles ended, at `/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use still_leading_scaffold::Metrics;

/// Counts reconciles by how they ended.
#[derive(Clone)]
pub struct Reconciles(Family<Label, Counter>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    result: &'static str,
}

/// How a reconcile ended.
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
    /// Counters that `/metrics` shows, from zero on.
    pub fn new(metrics: &Metrics) -> Self {
        let family = Family::default();
        metrics.register("controller_reconciles", "Reconciles by how they ended", family.clone());
        for outcome in Outcome::ALL {
            drop(family.get_or_create(&Label { result: outcome.name() }));
        }
        Self(family)
    }

    pub fn count(&self, outcome: Outcome) {
        self.0.get_or_create(&Label { result: outcome.name() }).inc();
    }
}
