//! Leader election with `kube-leader-election` 0.44: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - A term ends by this process's own clocks, one renew deadline after its last successful renewal was begun, whether or
//!   not any task has run since. Errors do not end it before; an answer that names another holder does at once.
//! - No attempt takes longer than a retry period, and `kube` repeats none behind the elector's back.
//! - A Lease counts once it has been kept for two retry periods. The crate acquires without compare-and-swap, so several
//!   replicas may have won, or a leader may have been robbed: they notice within that time.
//! - It counts after a lease duration, and is not released before, if it is another Lease than before, or shows a claim in
//!   this replica's name that was no transition, so not the crate's: a leader that is cut off may still act.
//! - The elector contends again after every loss, until `release` is cancelled; then it steps down, also from a claim
//!   whose answer was lost, and tries again while its term lasts. A replica whose writes time out lets another one lead.
//!
//! Not promised, because the crate cannot:
//! - That a write does no harm when it reaches the server later than that: it carries no resourceVersion, the last wins.
//! - That a leader which is cut off stops before a standby leads whose wall clock is ahead by more than lease duration
//!   minus renew deadline (`renewTime` decides), or before a replica that starts after somebody deleted the Lease.
//! - That a leader whose wall clock stands still keeps the Lease, or that only one of two processes with one identity leads.
//! - That anybody leads earlier than a holder that is gone has asked for, or on a Lease that lacks a field, as other tools
//!   leave it: every attempt fails until somebody deletes it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, Config};
use kube_leader_election::{Error, LeaseLock, LeaseLockParams, LeaseLockResult};
use tokio::sync::watch::Sender;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The pause between two attempts to step down.
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
    since: Instant,
    term: Term,
    end: Arc<Mutex<Option<End>>>,
}

impl Held {
    fn new(since: Instant, epoch: Option<u64>, end: End) -> Self {
        let end = Arc::new(Mutex::new(Some(end)));
        Self { since, term: Term { epoch, end: Arc::downgrade(&end) }, end }
    }

    /// Moves the end, unless the term is over; whether it lasts.
    fn renew(&self, end: End) -> bool {
        !renew(&self.end, Some(end)).is_zero()
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
/// The Lease is still held in this replica's name, because it could not step down, or must not yet. It expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt } = params;
    let lock = LeaseLockParams { lease_name, holder_id: identity.clone(), lease_ttl: lease_duration };
    let lock = LeaseLock::new(client, &namespace, lock);
    let mut held: Option<Held> = None;
    let mut status = Status::default();
    // What was seen of the Lease last; until when a leader that is cut off may act.
    let (mut seen, mut unsettled) = (None, Instant::now());
    let unsure = loop {
        // Read before the request: whatever others see as the time of the renewal is later.
        let (began, end) = (Instant::now(), End::after(renew_deadline));
        // Not ended by `release`: a renewal that arrived after stepping down would hold the Lease for nobody.
        let answer = attempt(&lock, retry_period).await;
        // A term that is over stays over: somebody else may have led meanwhile.
        held = held.filter(|held| !held.term.remaining().is_zero());
        let mut pause = retry_period;
        let failed = answer.is_err();
        match answer {
            Ok(lease) => {
                let sight = Sight::of(&lease, &identity);
                if seen.replace(sight.clone()).is_some_and(|was| held.is_none() && sight.is_unsettled_after(&was)) {
                    unsettled = began + lease_duration;
                }
                let leader = holder(&lease);
                if sight.is_mine {
                    on_attempt(Some(began.elapsed()));
                    let epoch = lease.metadata.resource_version.and_then(|version| version.parse().ok());
                    let held = held.get_or_insert_with(|| Held::new(began, epoch, end));
                    held.renew(end);
                    let is_kept = began >= unsettled.max(held.since + 2 * retry_period);
                    let term = is_kept.then(|| held.term.clone());
                    status = Status { synced: true, leader, term, ..status };
                } else {
                    held = None;
                    let why = lost_to(leader.as_deref());
                    status = Status { synced: true, leader, ..status.without_term(why) };
                }
            }
            Err(error) => {
                on_attempt(None);
                warn!(error = format!("{error:#}"), "could not acquire or renew the lease");
                // A win that was not confirmed does not count either.
                held = held.filter(|_| status.term.is_some());
                if held.is_none() {
                    status = status.without_term("the renew deadline has passed");
                    // A write that arrives all the same, but late, keeps the Lease for a replica that cannot lead.
                    if error.is::<Elapsed>() && status.leader.as_ref() == Some(&identity) {
                        pause = 2 * lease_duration;
                    }
                }
            }
        }
        publish.send_replace(status.clone());
        if timeout_at(began + pause, release.cancelled()).await.is_ok() {
            break failed;
        }
    };
    publish.send_modify(|status| status.term = None);
    // An attempt that failed may have acquired the Lease all the same.
    let remaining = held.map_or(Duration::ZERO, |held| held.term.remaining());
    let bound = if unsure { remaining.max(2 * retry_period) } else { remaining };
    ensure!(bound.is_zero() || Instant::now() >= unsettled, "a leader that is cut off may still act");
    if bound.is_zero() { Ok(()) } else { timeout(bound, step_down(&lock, retry_period)).await.context("stepping down") }
}

fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty())
}

/// What distinguishes one claim from another.
#[derive(Clone)]
struct Sight {
    uid: Option<String>,
    transitions: Option<i32>,
    is_mine: bool,
}

impl Sight {
    fn of(lease: &Lease, identity: &str) -> Self {
        let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions);
        Self { uid: lease.metadata.uid.clone(), transitions, is_mine: holder(lease).as_deref() == Some(identity) }
    }

    /// Whether it is another Lease than `before`, or in this replica's name by no transition, so not by the crate.
    fn is_unsettled_after(&self, before: &Self) -> bool {
        let is_named = self.is_mine && !before.is_mine && self.transitions == before.transitions;
        self.uid != before.uid || is_named
    }
}

/// Steps down if the Lease is in this replica's name, which the crate reads first. Tries until it succeeds.
async fn step_down(lock: &LeaseLock, bound: Duration) {
    loop {
        match timeout(bound, lock.step_down()).await {
            Ok(Ok(()) | Err(Error::ReleaseLockWhenNotLeading { .. })) => return,
            failure => warn!(?failure, "could not step down"),
        }
        sleep(RELEASE_PAUSE).await;
    }
}

/// One attempt: the Lease after it.
async fn attempt(lock: &LeaseLock, bound: Duration) -> Result<Lease> {
    let answer = timeout(bound, lock.try_acquire_or_renew()).await.context("no answer within a retry period")??;
    // Who leads is for the holder to say, not for the variant: a renewal that met the Lease of another says `Acquired`.
    let (LeaseLockResult::Acquired(lease) | LeaseLockResult::NotAcquired(lease)) = answer;
    Ok(lease)
}

/// Why a term ended whose Lease names this leader.
fn lost_to(leader: Option<&str>) -> String {
    leader
        .map_or_else(|| "the lease was released by somebody else".to_owned(), |it| format!("the lease is held by {it}"))
}

#[cfg(test)]
mod tests;
