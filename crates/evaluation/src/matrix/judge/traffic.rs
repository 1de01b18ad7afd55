//! What replicas ask of the API server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::matrix::record::{Replica, Request};

const SECOND: u64 = 1_000_000_000;

/// Requests of all replicas of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// How many, by verb.
    pub requests: BTreeMap<String, usize>,
    /// The most that one replica made within a second.
    pub peak: usize,
    /// How many were answered with 409.
    pub conflicts: usize,
}

impl Traffic {
    /// The requests after `since`.
    #[must_use]
    pub fn of(replicas: &[Replica], since: u64) -> Self {
        let mut traffic = Self::default();
        for replica in replicas {
            let mut requests: Vec<&Request> = replica.requests.iter().filter(|it| it.at >= since).collect();
            // Those of several connections may have been noted a moment out of order.
            requests.sort_by_key(|request| request.at);
            for request in &requests {
                *traffic.requests.entry(request.verb.clone()).or_default() += 1;
            }
            traffic.conflicts += requests.iter().filter(|it| it.status == Some(409)).count();
            traffic.peak = traffic.peak.max(peak(&requests));
        }
        traffic
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.requests.values().sum()
    }
}

/// The most of them, which come in the order of their times, within any second.
fn peak(requests: &[&Request]) -> usize {
    let (mut first, mut most) = (0, 0);
    for (place, request) in requests.iter().enumerate() {
        while request.at - requests[first].at >= SECOND {
            first += 1;
        }
        most = most.max(place + 1 - first);
    }
    most
}
