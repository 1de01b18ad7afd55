//! Leader election with the leases of `kubert` 0.25: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - A term ends by this process's own clocks, one renew deadline after its last successful renewal was begun, whether or
//!   not any task has run since. Errors do not end it before; an answer that names another holder does at once.
//! - A claim that does not expire one lease duration from now by the wall clock is not a renewal: the clock was set.
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
//! - That anybody leads soon after a wall clock that was ahead is set right: its claim stands until the time that it wrote.
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

/// What is contended for, in whose name, and how patiently.
pub struct Params {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub lease_name: String,
    /// In whose name. Unique among all processes that ever were, so with a random part for each process.
    pub identity: String,
    /// How long a standby waits after the last renewal that it saw. 15 s by default in client-go.
    pub lease_duration: Duration,
    /// How long a leader goes on after its last successful renewal. Below the lease duration; 10 s in client-go.
    pub renew_deadline: Duration,
    /// The pause between two attempts. Below half of the renew deadline; 2 s in client-go.
    pub retry_period: Duration,
    /// Called with how long each accepted write took, and with `None` for each failure; where the crate reports them.
    pub on_attempt: Box<dyn Fn(Option<Duration>) + Send + Sync>,
}

/// What this replica knows about the election.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The API server has shown the Lease.
    pub synced: bool,
    /// The holder of the Lease, where the crate reports it.
    pub leader: Option<String>,
    /// This replica's own term. Ask [`Term::remaining`] before each act.
    pub term: Option<Term>,
    /// Why the last term of this replica ended.
    pub lost: Option<String>,
}

impl Status {
    /// The same without a term, and with the reason if there was one.
    fn without_term(self, why: impl Into<String>) -> Self {
        let lost = if self.term.is_some() { Some(why.into()) } else { self.lost };
        Self { term: None, lost, ..self }
    }
}

/// One unbroken spell of leadership. A clone stays right for as long as the term lasts: renewals move its end.
#[derive(Clone, Debug)]
pub struct Term {
    epoch: Option<u64>,
    /// Empty once the term is over. Owned by [`Held`]: without it the Lease is lost, or the elector gone.
    end: Weak<Mutex<Option<End>>>,
}

impl Term {
    /// The fencing token, where the crate has one: a number that is larger in each later term of any replica.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// How long this replica may still act; zero when the term is over. Once over, a term stays over.
    pub fn remaining(&self) -> Duration {
        self.end.upgrade().map_or(Duration::ZERO, |end| renew(&end, None))
    }
}

/// When a term ends, by two clocks: the first stands still while the machine is suspended, the second can be set.
#[derive(Clone, Copy, Debug)]
struct End(Instant, SystemTime);

impl End {
    fn after(time: Duration) -> Self {
        Self(Instant::now() + time, SystemTime::now() + time)
    }

    fn remaining(self) -> Duration {
        let by_wall = self.1.duration_since(SystemTime::now()).unwrap_or_default();
        self.0.saturating_duration_since(Instant::now()).min(by_wall)
    }
}

/// How long it was until `end`, which moves to `renewed` unless it has passed.
fn renew(end: &Mutex<Option<End>>, renewed: Option<End>) -> Duration {
    let mut end = end.lock().unwrap_or_else(PoisonError::into_inner);
    let remaining = end.map_or(Duration::ZERO, End::remaining);
    *end = renewed.or(*end).filter(|_| !remaining.is_zero());
    remaining
}

/// The Lease in this replica's name. The term ends when this is dropped.
struct Held {
    term: Term,
    end: Arc<Mutex<Option<End>>>,
}

impl Held {
    fn new(epoch: Option<u64>, end: End) -> Self {
        let end = Arc::new(Mutex::new(Some(end)));
        Self { term: Term { epoch, end: Arc::downgrade(&end) }, end }
    }

    /// Moves the end, unless the term is over; whether it lasts.
    fn renew(&self, end: End) -> bool {
        !renew(&self.end, Some(end)).is_zero()
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
    let mut held: Option<Held> = None;
    let mut status = Status::default();
    let unsure = loop {
        // Read before the request: whatever others see as the time of the renewal is later.
        let (began, wall, end) = (Instant::now(), SystemTime::now(), End::after(renew_deadline));
        let attempt = async {
            let manager = manager.get_or_try_init(|| LeaseManager::init(api.clone(), &lease_name)).await?;
            claim(manager, &identity, &claim_params, held.is_some()).await
        };
        let answer = timeout(retry_period, attempt).await.unwrap_or(Err(Error::Timeout));
        // A term that is over stays over: somebody else may have led meanwhile.
        held = held.filter(|held| !held.term.remaining().is_zero());
        let failed = answer.is_err();
        // A claim that was written just now expires one lease duration after a moment of this attempt, on this wall clock.
        // Any other one is what the manager remembers: the clock was set meanwhile, and nothing was renewed.
        let just_now = wall + lease_duration..=SystemTime::now() + lease_duration;
        match answer {
            Ok((claim, true)) if claim.holder == identity && just_now.contains(&claim.expiry.into()) => {
                on_attempt(Some(began.elapsed()));
                let held = held.get_or_insert_with(|| Held::new(None, end));
                held.renew(end);
                let (leader, term) = (Some(identity.clone()), Some(held.term.clone()));
                status = Status { synced: true, leader, term, ..status };
            }
            Ok((claim, _)) if claim.holder != identity => {
                held = None;
                let leader = Some(claim.holder.clone()).filter(|holder| !holder.is_empty());
                let why = lost_to(leader.as_deref());
                status = Status { synced: true, leader, ..status.without_term(why) };
            }
            unsure => {
                on_attempt(None);
                let error = unsure.err();
                let hint = error.as_ref().and_then(hint);
                warn!(error = error.map(|error| error.to_string()), hint, "could not claim or renew the lease");
                if held.is_none() {
                    status = status.without_term("the renew deadline has passed");
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
    let remaining = held.map_or(Duration::ZERO, |held| held.term.remaining());
    let bound = if unsure { remaining.max(2 * retry_period) } else { remaining };
    match manager.get() {
        Some(manager) if !bound.is_zero() => {
            timeout(bound, vacate(manager, &identity, retry_period)).await.context("vacating the lease")
        }
        _ => Ok(()),
    }
}

/// What to do about an attempt that failed, where that is known.
fn hint(error: &Error) -> Option<&'static str> {
    let is_gone = matches!(error, Error::Api(kube::Error::Api(status)) if status.code == 404);
    is_gone.then_some("the lease does not exist: apply it again")
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

/// Why a term ended whose Lease names this leader.
fn lost_to(leader: Option<&str>) -> String {
    leader
        .map_or_else(|| "the lease was released by somebody else".to_owned(), |it| format!("the lease is held by {it}"))
}

#[cfg(test)]
mod tests;
