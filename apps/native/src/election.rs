//! Leader election with the library `still-leading`: the adapter between it and the scaffold.
//!
//! Promised, by the library (its README has the tests):
//! - Every write is a compare-and-swap on uid and resourceVersion. Only a claim that this process wrote is its own.
//! - A term ends by this process's own clock, one renew deadline after its last successful renewal was sent, whether or
//!   not any task has run since. The clock counts time in suspend, and no setting of the wall clock matters.
//! - The sight of another holder ends a term at once. Errors do not end it before the deadline.
//! - Renewals, the deadline and the release run on a thread of their own, which the application cannot hold up.
//! - A standby takes over one write after a release, and on its own timer after a crash.
//! - Nobody leads on a Lease that was made anew before the leader on its predecessor must have stopped.
//!
//! Not promised:
//! - That two replicas never act at once if a leader's clock runs slower than a standby's by more than the ratio of lease
//!   duration to renew deadline, or if the process is paused after it checked [`Term::remaining`] and before it acted.
//!   Send [`Term::epoch`] along with writes, and let the receiver reject older ones.

use std::time::Duration;

use anyhow::{Result, bail};
use kube::Config;
use still_leading::{Attempt, Elector, Identity};
use tokio::select;
use tokio_util::sync::CancellationToken;

pub use still_leading::{Status, Term};

/// Which Lease to contend for, in whose name, and how patiently.
pub struct Params {
    /// The namespace of the Lease; `None`: the default of the client.
    pub namespace: Option<String>,
    /// The name of the Lease.
    pub lease_name: String,
    /// The identity of this process: its name, and a random part that the library adds.
    pub identity: Identity,
    /// How long a standby waits after the last renewal that it saw. Whole seconds.
    pub lease_duration: Duration,
    /// How long a leader goes on after it sent its last successful renewal.
    pub renew_deadline: Duration,
    /// The pause between two attempts.
    pub retry_period: Duration,
    /// Called after each request for the Lease: how long a write took that was accepted, or `None` for a failure.
    pub on_attempt: Box<dyn Fn(Option<Duration>) + Send + Sync>,
}

/// An elector that does not contend yet.
///
/// # Errors
/// A relation between the values is violated, or the client cannot be built.
pub fn elector(config: Config, params: Params) -> Result<Elector> {
    let on_attempt = params.on_attempt;
    let params = still_leading::Config {
        namespace: params.namespace,
        lease: params.lease_name,
        identity: params.identity,
        lease_duration: params.lease_duration,
        renew_deadline: params.renew_deadline,
        retry_period: params.retry_period,
        on_attempt: Some(std::sync::Arc::new(move |attempt| match attempt {
            Attempt::Wrote(took) => on_attempt(Some(took)),
            Attempt::Failed => on_attempt(None),
        })),
        ..still_leading::Config::default()
    };
    Ok(Elector::new(config, params)?)
}

/// Contends for the Lease until `release` is cancelled, then gives it up and returns. Cancel it only after the work has
/// ended: another replica may lead before this function returns.
///
/// # Errors
/// The elector has died, or the Lease is still held in this replica's name, because the release was not answered. It
/// expires by itself.
pub async fn run(elector: Elector, release: CancellationToken) -> Result<()> {
    let mut running = elector.start();
    select! {
        () = release.cancelled() => Ok(running.release().await?),
        () = running.died() => bail!("the elector has died"),
    }
}

#[cfg(test)]
mod tests;
