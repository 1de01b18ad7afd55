//! Leader election with the leases of `kubert` 0.25: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - A term ends by this process's own clocks, one renew deadline after its last successful renewal was begun, whether or
//!   not any task has run since. Errors do not end it before; an answer that names another holder does at once.
//! - No attempt takes longer than a retry period.
//! - A Lease is acquired, renewed and vacated by compare-and-swap on its resourceVersion: of several replicas one wins.
//! - The elector contends again after every loss and every error, until `release` is cancelled; then it vacates the Lease.
//!   The crate's own task (`spawn`) would end for good after four failed tries, hence `ensure_claimed` in a loop of ours.
//! - A standby asks every retry period, and so takes over at most that much after a Lease was vacated.
//!
//! Not promised, because the crate cannot:
//! - Anything against a standby whose wall clock is ahead by more than what the lease duration exceeds the renew deadline
//!   by (for a leader that is cut off) or the retry period by (for any other): expiry is read off `renewTime`.
//! - That a leader which is cut off stops before a standby leads that finds its Lease replaced by an empty one.
//! - That anybody leads once the Lease was deleted, until somebody applies it again: the crate never creates one.
//! - Moderation: it answers a 409 by trying again without a pause, here for at most a retry period at a time.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use kube::{Api, Client, Config};
use kubert::lease::{ClaimParams, Error, LeaseManager};
use tokio::sync::OnceCell;
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

/// A client of the lease's own. `kube` 1 repeats no request, and an attempt that hangs is dropped by [`run`].
///
/// # Errors
/// The configuration cannot be used.
pub fn client(config: Config) -> Result<Client> {
    Client::try_from(config).context("building the client for the lease")
}

/// Contends for the Lease until `release` is cancelled, then vacates it and returns. Cancel it only after the work has
/// ended: another replica may lead before this function returns.
///
/// # Errors
/// The Lease is still held in this replica's name, because it could not be vacated. It expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt } = params;
    let (api, manager) = (Api::namespaced(client, &namespace), OnceCell::new());
    // With a grace period as long as the lease, each call renews; the pace is this loop's.
    let claim_params = ClaimParams { lease_duration, renew_grace_period: lease_duration };
    // This replica's term, and what moves its end.
    let mut held: Option<(Term, Sender<_>)> = None;
    let mut status = Status::default();
    loop {
        // Read before the request: whatever others see as the time of the renewal is later.
        let (began, wall) = (Instant::now(), SystemTime::now());
        let end = (began + renew_deadline, wall + renew_deadline);
        let attempt = async {
            let manager = manager.get_or_try_init(|| LeaseManager::init(api.clone(), &lease_name)).await?;
            // What a manager knows of the claim of another is what it read last: a standby has to ask.
            if held.is_none() {
                manager.sync().await?;
            }
            manager.ensure_claimed(&identity, &claim_params).await
        };
        let answer = timeout(retry_period, attempt).await.unwrap_or(Err(Error::Timeout));
        // A term that is over stays over: somebody else may have led meanwhile.
        held = held.filter(|(term, _)| !term.remaining().is_zero());
        match answer {
            // A claim that expires earlier was not written just now: the clock was set back, and nothing was renewed.
            Ok(claim) if claim.holder == identity && SystemTime::from(claim.expiry) >= wall + lease_duration => {
                on_attempt(Some(began.elapsed()));
                let (term, moves) = held.get_or_insert_with(|| {
                    let (moves, end) = watch::channel(end);
                    (Term { end }, moves)
                });
                moves.send_replace(end);
                status = Status { synced: true, leader: Some(identity.clone()), term: Some(term.clone()), lost: None };
            }
            Ok(claim) if claim.holder != identity => {
                held = None;
                let leader = Some(claim.holder.clone());
                status = Status { synced: true, leader, term: None, lost: Some("another holds it") };
            }
            unsure => {
                on_attempt(None);
                warn!(error = unsure.err().map(|error| error.to_string()), "could not claim or renew the lease");
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
    if let (Some(manager), Some(_)) = (manager.get(), held) {
        timeout(retry_period, manager.vacate(&identity)).await.context("no answer to vacating")??;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
