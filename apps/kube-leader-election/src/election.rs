//! Leader election with `kube-leader-election` 0.44: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - A term ends by this process's own clocks, one renew deadline after its last successful renewal was begun, whether or
//!   not any task has run since. Errors do not end it before; an answer that names another holder does at once.
//! - No attempt takes longer than a retry period, and `kube` repeats none behind the elector's back.
//! - A Lease counts once it has been kept for two retry periods. The crate acquires without compare-and-swap, so several
//!   replicas may have won, or a leader may have been robbed: they notice within that time.
//! - The elector contends again after every loss, until `release` is cancelled; then it steps down.
//!
//! Not promised, because the crate cannot:
//! - That a write does no harm when it reaches the server later than that: it carries no resourceVersion, the last wins.
//! - That a leader which is cut off stops before a standby leads whose wall clock is ahead by more than lease duration
//!   minus renew deadline (`renewTime` decides), or before one that finds the Lease deleted and creates it anew.
//! - Anything on a Lease that lacks a field, as other tools leave it: every attempt fails until somebody deletes it.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use kube::{Client, Config};
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
use tokio::sync::watch::{self, Sender};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// What is contended for, in whose name (unique among all processes that ever were), and how fast.
pub struct Params {
    pub namespace: String,
    pub lease_name: String,
    pub identity: String,
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry_period: Duration,
    /// Told how long each renewal took, and of each failure.
    pub on_attempt: Box<dyn Fn(Option<Duration>) + Send + Sync>,
}

/// What this replica knows about the election. Published after each attempt.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The API server has shown the Lease.
    pub synced: bool,
    /// The holder of the Lease.
    pub leader: Option<String>,
    /// This replica's own term. Ask [`Term::remaining`] before each act.
    pub term: Option<Term>,
    /// Why the last term ended.
    pub lost: Option<&'static str>,
}

/// One unbroken spell of leadership. A clone stays right for as long as the term lasts: renewals move its end.
#[derive(Clone, Debug)]
pub struct Term {
    /// The fencing token: the resourceVersion of the acquiring write, a larger number in each later term of any replica.
    pub epoch: String,
    end: watch::Receiver<(Instant, SystemTime)>,
}

impl Term {
    /// How long this replica may still act; zero when the term is over.
    pub fn remaining(&self) -> Duration {
        // Without its sender the lease is lost, or the elector gone.
        let goes_on = self.end.has_changed().is_ok();
        // One clock stands still while the machine is suspended, the other can be set: the earlier end counts.
        let (monotonic, wall) = *self.end.borrow();
        let by_wall = wall.duration_since(SystemTime::now()).unwrap_or_default();
        if goes_on { monotonic.saturating_duration_since(Instant::now()).min(by_wall) } else { Duration::ZERO }
    }
}

/// A client of the lease's own, because `kube` would repeat a 429, 503 or 504 up to 15 times inside one call.
///
/// # Errors
/// The configuration cannot be used.
pub fn client(mut config: Config) -> Result<Client> {
    config.default_retry = false;
    Client::try_from(config).context("building the client for the lease")
}

/// Contends for the Lease until `release` is cancelled, then steps down and returns. Cancel it only after the work has
/// ended: another replica may lead before this function returns.
///
/// # Errors
/// The Lease is still held in this replica's name, because it could not step down. It expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt } = params;
    let lock = LeaseLockParams { lease_name, holder_id: identity.clone(), lease_ttl: lease_duration };
    let lock = LeaseLock::new(client, &namespace, lock);
    // Since when the Lease is in this replica's name, its term, and what moves its end.
    let mut held: Option<(Instant, Term, Sender<_>)> = None;
    let mut status = Status::default();
    loop {
        // Read before the request: whatever others see as the time of the renewal is later.
        let began = Instant::now();
        let end = (began + renew_deadline, SystemTime::now() + renew_deadline);
        // Not ended by `release`: a renewal that arrived after stepping down would hold the Lease for nobody.
        let answer = attempt(&lock, retry_period).await;
        // A term that is over stays over: somebody else may have led meanwhile.
        held = held.filter(|(_, term, _)| !term.remaining().is_zero());
        match answer {
            Ok((Some(holder), version)) if holder == identity => {
                on_attempt(Some(began.elapsed()));
                let (since, term, moves) = held.get_or_insert_with(|| {
                    let (moves, end) = watch::channel(end);
                    (began, Term { epoch: version, end }, moves)
                });
                moves.send_replace(end);
                let kept = began.duration_since(*since) >= 2 * retry_period;
                status = Status { synced: true, leader: Some(holder), term: kept.then(|| term.clone()), lost: None };
            }
            Ok((leader, _)) => {
                held = None;
                status = Status { synced: true, leader, term: None, lost: Some("another holds it") };
            }
            Err(error) => {
                on_attempt(None);
                warn!(error = format!("{error:#}"), "could not acquire or renew the lease");
                // A win that was not confirmed does not count either.
                held = held.filter(|_| status.term.is_some());
                if held.is_none() {
                    status = Status { term: None, lost: Some("the renew deadline has passed"), ..status };
                }
            }
        }
        publish.send_replace(status.clone());
        if timeout_at(began + retry_period, release.cancelled()).await.is_ok() {
            break;
        }
    }
    publish.send_modify(|status| status.term = None);
    if held.is_some_and(|(_, term, _moves)| !term.remaining().is_zero()) {
        timeout(retry_period, lock.step_down()).await.context("no answer to stepping down")??;
    }
    Ok(())
}

/// One attempt: the holder of the Lease after it, if it was not released, and the resourceVersion.
async fn attempt(lock: &LeaseLock, bound: Duration) -> Result<(Option<String>, String)> {
    let answer = timeout(bound, lock.try_acquire_or_renew()).await.context("no answer within a retry period")??;
    // The holder decides, not the variant: a renewal that met the Lease of another says `Acquired` all the same.
    let (LeaseLockResult::Acquired(lease) | LeaseLockResult::NotAcquired(lease)) = answer;
    let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
    Ok((holder, lease.metadata.resource_version.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
