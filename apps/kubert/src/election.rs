//! Leader election with the leases of `kubert` 0.25: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - A term ends by this process's own clocks, one renew deadline after its last successful renewal was begun, whether or
//!   not any task has run since. Errors do not end it before; an answer that names another holder does at once.
//! - A claim in this replica's name by which it does not lead already is not renewed: somebody else wrote it, or it came too
//!   late. It has to expire first, and others may take it then.
//! - No attempt takes longer than a retry period.
//! - A Lease is acquired, renewed and vacated by compare-and-swap on its resourceVersion: of several replicas one wins.
//! - The elector contends again after every loss and every error, until `release` is cancelled; then it vacates the Lease,
//!   also one whose acquisition was not answered, and tries again while its term lasts.
//!   The crate's own task (`spawn`) would end for good after four failed tries, hence `ensure_claimed` in a loop of ours.
//! - A standby asks every retry period, and so takes over at most that much after a Lease was vacated.
//!
//! Not promised, because the crate cannot:
//! - Anything against a standby whose wall clock is ahead by more than what the lease duration exceeds the renew deadline
//!   by (for a leader that is cut off) or the retry period by (for any other): expiry is read off `renewTime`. For the
//!   same reason a leader whose wall clock stands still loses the Lease, and a holder's own duration is waited for.
//! - That a leader which is cut off stops before a standby leads that finds its Lease replaced by an empty one.
//! - That anybody leads once the Lease was deleted, until somebody applies it again: the crate never creates one.
//! - Moderation: it answers a 409 by trying again without a pause, here for at most a retry period at a time.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use kube::{Api, Client, Config};
use kubert::lease::{Claim, ClaimParams, Error, LeaseManager};
use tokio::sync::OnceCell;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The pause between two attempts to vacate the Lease.
const RELEASE_PAUSE: Duration = Duration::from_millis(250);

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

/// When a term ends, by two clocks: one stands still while the machine is suspended, the other can be set. Empty once it is
/// over.
type End = Mutex<Option<(Instant, SystemTime)>>;

/// One unbroken spell of leadership. A clone stays right for as long as the term lasts: renewals move its end.
#[derive(Clone, Debug)]
pub struct Term {
    /// Owned by the elector: without it the lease is lost, or the elector gone.
    end: Weak<End>,
}

impl Term {
    /// How long this replica may still act; zero when the term is over. Once over, a term stays over.
    pub fn remaining(&self) -> Duration {
        self.end.upgrade().map_or(Duration::ZERO, |end| renew(&end, None))
    }
}

/// How long it was until `end`, which moves to `renewed` unless it has passed.
fn renew(end: &End, renewed: Option<(Instant, SystemTime)>) -> Duration {
    let mut end = end.lock().unwrap_or_else(PoisonError::into_inner);
    let remaining = end.map_or(Duration::ZERO, |(monotonic, wall)| {
        let by_wall = wall.duration_since(SystemTime::now()).unwrap_or_default();
        monotonic.saturating_duration_since(Instant::now()).min(by_wall)
    });
    *end = renewed.or(*end).filter(|_| !remaining.is_zero());
    remaining
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
    // This replica's term, and what owns its end.
    let mut held: Option<(Term, Arc<End>)> = None;
    let mut status = Status::default();
    let unsure = loop {
        // Read before the request: whatever others see as the time of the renewal is later.
        let (began, wall) = (Instant::now(), SystemTime::now());
        let end = (began + renew_deadline, wall + renew_deadline);
        let attempt = async {
            let manager = manager.get_or_try_init(|| LeaseManager::init(api.clone(), &lease_name)).await?;
            claim(manager, &identity, &claim_params, held.is_some()).await
        };
        let answer = timeout(retry_period, attempt).await.unwrap_or(Err(Error::Timeout));
        // A term that is over stays over: somebody else may have led meanwhile.
        held = held.filter(|(_, current)| !renew(current, None).is_zero());
        let failed = answer.is_err();
        match answer {
            // A claim that expires earlier was not written just now: the clock was set back, and nothing was renewed.
            Ok((claim, true))
                if claim.holder == identity && SystemTime::from(claim.expiry) >= wall + lease_duration =>
            {
                on_attempt(Some(began.elapsed()));
                let (term, current) = held.get_or_insert_with(|| {
                    let current = Arc::new(Mutex::new(Some(end)));
                    (Term { end: Arc::downgrade(&current) }, current)
                });
                renew(current, Some(end));
                status = Status { synced: true, leader: Some(identity.clone()), term: Some(term.clone()), lost: None };
            }
            Ok((claim, _)) if claim.holder != identity => {
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
                // The manager read the Lease when it was made, whatever became of the writes.
                status.synced = manager.initialized();
            }
        }
        publish.send_replace(status.clone());
        if timeout_at(began + retry_period, release.cancelled()).await.is_ok() {
            break failed;
        }
    };
    publish.send_modify(|status| status.term = None);
    // An attempt that failed may have acquired the Lease all the same.
    let remaining = held.map_or(Duration::ZERO, |(_, current)| renew(&current, None));
    let bound = if unsure { remaining.max(2 * retry_period) } else { remaining };
    match manager.get() {
        Some(manager) if !bound.is_zero() => {
            timeout(bound, vacate(manager, &identity, retry_period)).await.context("vacating the lease")
        }
        _ => Ok(()),
    }
}

/// Acquires or renews the Lease; the claim on it, and whether it was asked for.
async fn claim(
    manager: &LeaseManager,
    identity: &str,
    params: &ClaimParams,
    leads: bool,
) -> Result<(Arc<Claim>, bool), Error> {
    // What a manager knows of the claim of another is what it read last: a standby has to ask.
    if !leads
        && let Some(claim) = manager.sync().await?
        && claim.holder == identity
    {
        // Written by somebody else, or too late: renewing it would be leading by it, so it has to expire.
        return Ok((claim, false));
    }
    manager.ensure_claimed(identity, params).await.map(|claim| (claim, true))
}

/// Vacates the Lease if it is in this replica's name. Tries until it succeeds.
async fn vacate(manager: &LeaseManager, identity: &str, bound: Duration) {
    loop {
        // The manager forgets the claim when it fails to vacate it, and may not know of one whose answer was lost.
        let attempt = async { manager.sync().await.and(manager.vacate(identity).await) };
        match timeout(bound, attempt).await {
            Ok(Ok(_)) => return,
            failure => warn!(?failure, "could not vacate the lease"),
        }
        sleep(RELEASE_PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
