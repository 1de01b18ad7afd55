//! What a variant weighs while nothing happens: executable, resident memory, requests.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use still_leading_testbed::proxy::Request;
use still_leading_testbed::{ApiServer, Fleet, FleetOptions, Verb};

/// Longer than anything here takes: a crate that renews once a lease needs three minutes for a dozen renewals.
const BOUND: Duration = Duration::from_secs(300);

/// The first renewals belong to the start.
const RENEWALS_OF_THE_START: usize = 3;

/// One variant at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// The size of the executable.
    pub executable_bytes: u64,
    /// The time in which requests were counted. It begins and ends with a renewal.
    pub window_s: f64,
    /// The retry period that the replicas were given.
    pub retry_period_s: f64,
    /// The one that leads.
    pub leader: Replica,
    /// The others.
    pub standbys: Vec<Replica>,
}

/// One replica of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// Resident memory at the end of the window.
    pub resident_bytes: u64,
    /// Requests in the window by verb, but for watches, of which one may last for longer than the window.
    pub requests: BTreeMap<String, usize>,
    /// Whether it has opened a watch since it was started.
    pub watches: bool,
}

/// How long to look.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// At least this many renewals of the leader,
    pub renewals: usize,
    /// and at least this long.
    pub at_least: Duration,
}

impl Footprint {
    /// Resident memory of all replicas, in bytes.
    pub fn resident_bytes(&self) -> impl Iterator<Item = u64> {
        [&self.leader].into_iter().chain(&self.standbys).map(|replica| replica.resident_bytes)
    }

    /// How many retry periods the window lasted.
    #[must_use]
    pub fn periods(&self) -> f64 {
        self.window_s / self.retry_period_s
    }

    /// Requests of the leader per retry period.
    #[must_use]
    pub fn leader_requests(&self) -> f64 {
        self.leader.requests.values().sum::<usize>() as f64 / self.periods()
    }

    /// Requests of one standby per retry period, on average.
    #[must_use]
    pub fn standby_requests(&self) -> f64 {
        let all: usize = self.standbys.iter().flat_map(|standby| standby.requests.values()).sum();
        all as f64 / self.standbys.len() as f64 / self.periods()
    }
}

/// Starts the replicas, waits until one leads, and looks on for as long as `window` says.
///
/// # Errors
/// A replica cannot be started, none leads, or the leader does not renew.
pub async fn weigh(server: &ApiServer, options: FleetOptions, window: Window) -> Result<Footprint> {
    let executable_bytes = fs::metadata(&options.program)?.len();
    let retry_period_s = options.timings.retry_period.as_secs_f64();
    let fleet = Fleet::start(server, options).await?;
    let leader = fleet.wait_for_leader(BOUND).await?;
    let from = nth_renewal(&fleet, leader, |renewals| renewals.get(RENEWALS_OF_THE_START).copied()).await?;
    let until = nth_renewal(&fleet, leader, |renewals| end_of(renewals, from, window)).await?;

    let replica = |index: usize| {
        let resident_bytes = fleet.replica(index).rss_bytes().context("resident memory is known on Linux only")?;
        let requests = fleet.proxy(index).requests();
        let watches = requests.iter().any(|request| request.verb == Verb::Watch);
        anyhow::Ok(Replica { resident_bytes, requests: counts(&requests, from, until), watches })
    };
    let standbys = (0..fleet.len()).filter(|index| *index != leader).map(replica).collect::<Result<_>>()?;
    let window_s = Duration::from_nanos(until - from).as_secs_f64();
    let footprint = Footprint { executable_bytes, window_s, retry_period_s, leader: replica(leader)?, standbys };
    fleet.stop().await;
    Ok(footprint)
}

/// Waits until the times of the leader's writes so far are what `of` asks for.
async fn nth_renewal(fleet: &Fleet, leader: usize, of: impl Fn(&[u64]) -> Option<u64>) -> Result<u64> {
    let renewals = || of(&renewals(&fleet.proxy(leader).requests()));
    fleet.history().wait_for(BOUND, |_| renewals()).await.context("waiting for the leader to renew")
}

fn renewals(requests: &[Request]) -> Vec<u64> {
    let writes = requests.iter().filter(|request| matches!(request.verb, Verb::Update | Verb::Patch));
    writes.map(|request| request.at).collect()
}

/// The first renewal that is late enough to end a window that begins at `from`.
fn end_of(renewals: &[u64], from: u64, window: Window) -> Option<u64> {
    let at_least = from + u64::try_from(window.at_least.as_nanos()).unwrap_or(u64::MAX);
    let later = renewals.iter().copied().filter(|at| *at > from).skip(window.renewals.saturating_sub(1));
    later.into_iter().find(|at| *at >= at_least)
}

/// From a renewal until right before another one, so that what a renewal takes counts for each once.
fn counts(requests: &[Request], from: u64, until: u64) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let inside = requests.iter().filter(|request| (from..until).contains(&request.at));
    for request in inside.filter(|request| request.verb != Verb::Watch) {
        *counts.entry(request.verb.to_string()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use still_leading_testbed::proxy::Effect;

    const SECOND: u64 = 1_000_000_000;

    fn request(at_s: u64, verb: Verb) -> Request {
        Request { at: at_s * SECOND, verb, path: String::new(), status: Some(200), effect: Effect::Passed }
    }

    #[test]
    fn a_window_ends_with_a_renewal_that_is_late_enough_and_not_too_early_a_one() {
        let renewals: Vec<u64> = (0..10).map(|n| 2 * n * SECOND).collect();
        let window = |renewals, seconds| Window { renewals, at_least: Duration::from_secs(seconds) };
        assert_eq!(end_of(&renewals, 4 * SECOND, window(3, 0)), Some(10 * SECOND));
        assert_eq!(end_of(&renewals, 4 * SECOND, window(3, 9)), Some(14 * SECOND));
        assert_eq!(end_of(&renewals, 4 * SECOND, window(3, 60)), None);
        assert_eq!(end_of(&renewals, 4 * SECOND, window(8, 0)), None);
    }

    #[test]
    fn each_renewal_counts_once_and_a_watch_not_at_all() {
        let pairs = (0..4).flat_map(|n| [request(5 * n, Verb::Get), request(5 * n + 1, Verb::Patch)]);
        let requests: Vec<Request> = pairs.chain([request(7, Verb::Watch)]).collect();
        assert_eq!(renewals(&requests), [SECOND, 6 * SECOND, 11 * SECOND, 16 * SECOND]);
        let counted = counts(&requests, SECOND, 16 * SECOND);
        assert_eq!(counted, BTreeMap::from([("get".to_owned(), 3), ("patch".to_owned(), 3)]));
    }

    #[test]
    fn rates_are_per_retry_period_and_per_standby() {
        let replica = |gets| Replica {
            resident_bytes: 1,
            requests: BTreeMap::from([("get".to_owned(), gets), ("patch".to_owned(), 5)]),
            watches: false,
        };
        let standbys = vec![replica(0), replica(10)];
        let footprint =
            Footprint { executable_bytes: 1, window_s: 20.0, retry_period_s: 2.0, leader: replica(5), standbys };
        assert_eq!(footprint.leader_requests(), 1.0);
        assert_eq!(footprint.standby_requests(), 1.0);
        assert_eq!(footprint.resident_bytes().count(), 3);
    }
}
