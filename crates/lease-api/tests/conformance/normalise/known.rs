//! What is known besides the answers: where and when the scenario ran.

use k8s_openapi::jiff::{Timestamp, ToSpan};

use crate::fixture::Fixture;

/// What is known besides the answers.
pub struct Known {
    pub namespace: String,
    /// `host:port` of the server.
    pub address: String,
    pub ranks_times: bool,
    pub began: Timestamp,
}

impl Known {
    pub fn of(fixture: &Fixture, ranks_times: bool, began: Timestamp) -> Self {
        let (namespace, address) = (fixture.namespace.clone(), fixture.address.clone());
        Self { namespace, address, ranks_times, began }
    }
}

/// The time in which the scenario ran, with a second on either side: servers cut times off to seconds.
#[derive(Clone, Copy)]
pub struct Now {
    from: Timestamp,
    to: Timestamp,
}

impl Now {
    pub fn since(began: Timestamp) -> Self {
        let second = 1.second();
        let from = began.checked_sub(second).unwrap_or(began);
        let now = Timestamp::now();
        Self { from, to: now.checked_add(second).unwrap_or(now) }
    }

    /// Whether a text is a time within this one, in whole seconds, as servers write it.
    pub fn includes(&self, text: &str) -> bool {
        let is_short = text.len() == "2026-01-01T00:00:00Z".len() && text.ends_with('Z');
        is_short && text.parse::<Timestamp>().is_ok_and(|time| self.from <= time && time <= self.to)
    }
}
