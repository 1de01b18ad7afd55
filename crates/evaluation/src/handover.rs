//! How long nobody leads after a leader was asked to stop, or killed.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use still_leading_testbed::{ApiServer, Fleet, FleetOptions};
use tokio::time::sleep;

use crate::stats::phase;

/// Longer than any hand-over takes: what takes longer is a failure, not a figure.
const BOUND: Duration = Duration::from_secs(120);

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
pub enum Fault {
    /// Asked to stop: it can release its lease.
    #[serde(rename = "SIGTERM")]
    Sigterm,
    /// Killed: its lease has to run out.
    #[serde(rename = "SIGKILL")]
    Sigkill,
}

/// All trials of one variant under one fault.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// The variant's name.
    pub variant: String,
    /// What happened to the leader.
    pub fault: Fault,
    /// The lease duration, in seconds.
    pub lease_duration_s: u64,
    /// From the signal to the successor's `leading`, in milliseconds.
    pub trials_ms: Vec<f64>,
    /// From when the lease ran out to the successor's `leading`, in milliseconds; only after a SIGKILL. The lease runs
    /// out one lease duration after its last renewal was seen, by a watch like the successor's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after_expiry_ms: Vec<f64>,
}

/// Runs `trials` trials, each on a leader with two standbys that know it, and tells of each on standard error.
///
/// # Errors
/// A replica cannot be started, or nobody takes over.
pub async fn measure(server: &ApiServer, options: FleetOptions, fault: Fault, trials: usize) -> Result<Series> {
    measure_and_tell(server, options, fault, trials, &|told| eprintln!("{told}")).await
}

/// As [`measure`], without a word.
///
/// # Errors
/// As [`measure`].
pub async fn measure_quietly(server: &ApiServer, options: FleetOptions, fault: Fault, trials: usize) -> Result<Series> {
    measure_and_tell(server, options, fault, trials, &|_| ()).await
}

async fn measure_and_tell(
    server: &ApiServer,
    options: FleetOptions,
    fault: Fault,
    trials: usize,
    tell: &dyn Fn(&str),
) -> Result<Series> {
    let (variant, lease_duration) = (options.variant, options.timings.lease_duration);
    let retry_period = options.timings.retry_period;
    let mut fleet = Fleet::start(server, options).await?;
    let mut live: Vec<usize> = (0..fleet.len()).collect();
    let mut series = Series {
        variant: variant.to_string(),
        fault,
        lease_duration_s: lease_duration.as_secs(),
        trials_ms: Vec::new(),
        after_expiry_ms: Vec::new(),
    };
    for trial in 0..trials {
        let leader = fleet.wait_for_leader(BOUND).await?;
        for index in &live {
            fleet.wait_until_known(*index, leader, BOUND).await?;
        }
        // A signal in step with the polls of a standby would measure that step.
        sleep(retry_period.mul_f64(1.0 + phase(trial))).await;

        let signalled = match fault {
            Fault::Sigterm => fleet.replica(leader).terminate()?,
            Fault::Sigkill => fleet.replica(leader).kill()?,
        };
        let (_, leading) = fleet.wait_for_successor(leader, BOUND).await?;
        let took = millis(signalled, leading);
        series.trials_ms.push(took);
        let mut told = format!("{variant:<22} {fault:?} {:>2}/{trials}: {took:>9.1} ms", trial + 1);
        if fault == Fault::Sigkill {
            let expired = last_renewal(&fleet, leader)? + u64::try_from(lease_duration.as_nanos())?;
            let late = millis(expired, leading);
            series.after_expiry_ms.push(late);
            told += &format!(", {late:>7.1} ms after expiry");
        }
        tell(&told);
        fleet.replica(leader).wait(BOUND).await?;
        live.retain(|index| *index != leader);
        live.push(fleet.start_replica(server).await?);
    }
    fleet.stop().await;
    Ok(series)
}

/// When the last renewal by `old` was seen.
fn last_renewal(fleet: &Fleet, old: usize) -> Result<u64> {
    let holder = format!("{}_", fleet.replica(old).name());
    let states = fleet.lease_history();
    let held = states.iter().rfind(|state| state.holder.as_ref().is_some_and(|by| by.starts_with(&holder)));
    held.map(|state| state.at).context("the leader never held the Lease")
}

fn millis(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e6
}
