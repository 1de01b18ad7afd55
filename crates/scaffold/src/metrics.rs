//! The numbers at `/metrics`, under client-go's names where it has one. All carry the label `name`, the Lease's name.

use std::iter;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::{Status, logs};

/// The metrics of one elector. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<RwLock<Registry>>,
    enabled: Gauge,
    master_status: Gauge,
    locked_out: Gauge,
    validity: Gauge<f64, AtomicU64>,
    transitions: Counter,
    renew: Histogram,
    failed_attempts: Counter,
}

impl Metrics {
    /// Makes the metrics, with the name of the Lease as their label.
    #[must_use]
    pub fn new(lease_name: &str) -> Self {
        let mut registry = Registry::with_labels(iter::once(("name".into(), lease_name.to_owned().into())));
        let enabled = Gauge::default();
        enabled.set(1);
        registry.register(
            "leader_election_enabled",
            "1 if this replica takes part in an election, 0 if it leads whatever others do",
            enabled.clone(),
        );
        let master_status = Gauge::default();
        registry.register("leader_election_master_status", "1 if this replica leads, 0 if not", master_status.clone());
        let locked_out = Gauge::default();
        registry.register(
            "leader_election_locked_out",
            "1 if the API server has refused this replica for so long that it should be restarted, 0 if not",
            locked_out.clone(),
        );
        let validity = Gauge::default();
        registry.register_with_unit(
            "leader_election_validity",
            "How long this replica may still act without another renewal",
            Unit::Seconds,
            validity.clone(),
        );
        let transitions = Counter::default();
        registry.register(
            "leader_election_transitions",
            "Changes of leader that this replica saw",
            transitions.clone(),
        );
        // From 1 ms, the fastest answer on loopback, to 16 s, the longest time-out that anybody configures.
        let renew = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        registry.register_with_unit(
            "leader_election_renew_duration",
            "Time that successful writes of the Lease took",
            Unit::Seconds,
            renew.clone(),
        );
        let failed_attempts = Counter::default();
        registry.register(
            "leader_election_failed_attempts",
            "Requests for the Lease that failed or came too late, lost races included",
            failed_attempts.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Lines that are missing in the log because standard output did not take them",
            logs::dropped_lines(),
        );
        let registry = Arc::new(RwLock::new(registry));
        Self { registry, enabled, master_status, locked_out, validity, transitions, renew, failed_attempts }
    }

    /// Adds a metric of the work. `name` has no suffix such as `_total`: the metric's kind adds it.
    pub fn register(&self, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
        self.registry.write().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    /// Returns the function to which an elector reports each request for the Lease: how long an accepted write took, or `None` if
    /// the request failed.
    #[must_use]
    pub fn on_attempt(&self) -> Box<dyn Fn(Option<Duration>) + Send + Sync> {
        let metrics = self.clone();
        Box::new(move |took| match took {
            Some(took) => metrics.renewed(took),
            None => metrics.attempt_failed(),
        })
    }

    /// Records that the API server accepted a write of the Lease.
    fn renewed(&self, took: Duration) {
        self.renew.observe(took.as_secs_f64());
    }

    /// Records a failed request for the Lease.
    fn attempt_failed(&self) {
        self.failed_attempts.inc();
    }

    /// Records that there is no election.
    pub(crate) fn election_is_off(&self) {
        self.enabled.set(0);
    }

    /// Records whether the API server has locked this replica out.
    pub(crate) fn locked_out(&self, is_locked_out: bool) {
        self.locked_out.set(i64::from(is_locked_out));
    }

    pub(crate) fn leader_changed(&self) {
        self.transitions.inc();
    }

    /// Returns the exposition text. `status` supplies what depends on the moment.
    #[must_use]
    pub fn render(&self, status: &Status) -> String {
        let remaining = status.term.as_ref().map_or(Duration::ZERO, crate::Term::remaining);
        self.master_status.set(i64::from(!remaining.is_zero()));
        // A leader for life has no number that a graph could show. Prometheus knows infinity.
        self.validity.set(if remaining == Duration::MAX { f64::INFINITY } else { remaining.as_secs_f64() });
        let mut text = String::new();
        match encode(&mut text, &self.registry.read().unwrap_or_else(PoisonError::into_inner)) {
            Ok(()) => text,
            Err(error) => format!("# could not encode: {error}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Term;

    #[test]
    fn a_leader_whose_term_ran_out_is_not_shown_as_master() {
        let metrics = Metrics::new("my-lease");
        let mut status = Status { term: Some(Term::new(None, || Duration::from_millis(2500))), ..Status::default() };
        let leading = metrics.render(&status);
        assert!(leading.contains("leader_election_master_status{name=\"my-lease\"} 1\n"), "{leading}");
        assert!(leading.contains("leader_election_validity_seconds{name=\"my-lease\"} 2.5\n"), "{leading}");

        status.term = Some(Term::new(None, || Duration::ZERO));
        let over = metrics.render(&status);
        assert!(over.contains("leader_election_master_status{name=\"my-lease\"} 0\n"), "{over}");
    }

    #[test]
    fn an_election_is_on_until_it_is_said_to_be_off() {
        let metrics = Metrics::new("my-lease");
        let shows = |line: &str| metrics.render(&Status::default()).contains(line);
        assert!(shows("leader_election_enabled{name=\"my-lease\"} 1\n"));
        metrics.election_is_off();
        assert!(shows("leader_election_enabled{name=\"my-lease\"} 0\n"));
    }

    #[test]
    fn attempts_and_changes_of_leader_are_counted() {
        let metrics = Metrics::new("my-lease");
        metrics.attempt_failed();
        metrics.leader_changed();
        metrics.renewed(Duration::from_millis(3));
        let text = metrics.render(&Status::default());
        for line in [
            "leader_election_failed_attempts_total{name=\"my-lease\"} 1",
            "leader_election_transitions_total{name=\"my-lease\"} 1",
            "leader_election_renew_duration_seconds_count{name=\"my-lease\"} 1",
            "log_lines_dropped_total{name=\"my-lease\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
