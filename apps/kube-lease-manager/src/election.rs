//! Leader election with `kube-lease-manager` 0.13: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - The first request that fails or hangs ends a term, and so does an answer without this holder. Each request is bounded
//!   such that the last renewal is at most one renew deadline old then. (`watch` would keep errors to itself and lead on.)
//! - This process's own clocks end a term if no task has run for what the lease duration exceeds the renew deadline by.
//! - A win counts once it has lasted for a renewal period and a time-out: the crate clears expired Leases and renews without
//!   a condition, so a leader may have been robbed, and one that is cut off may lead on. Both notice within that time.
//! - The elector contends until `release` is cancelled; then it releases the Lease, also one whose acquisition
//!   was not answered, and tries again for half a renew deadline. Standbys ask every retry period.
//!
//! Not promised, because the crate cannot:
//! - To survive a single failed request, or to tell who leads, until when and in which epoch.
//! - That a leader which is cut off stops before a standby leads whose wall clock is ahead by more than lease duration
//!   minus renew deadline; nor anything against a write that arrives later than the time for which a win has to last.
//! - That only one of two processes with the same identity leads, that a leader whose wall clock stands still keeps the Lease,
//!   or a bound on the wait for a holder that is gone, other than the duration that it asked for.
//! - That another replica leads while a leader's writes arrive, but too late: the crate renews any claim in its name.
//!
//! Nor, because we chose so: to create a deleted Lease again. `AutoCreate` would, at the price of the verb `create`.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::{Client, Config};
use kube_lease_manager::{LeaseCreateMode::UseExistent, LeaseManager, LeaseManagerError, LeaseParams};
use tokio::select;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, service_fn};
use tracing::warn;

/// How often this process shows that it is running. A small part of the time for which that counts.
const BEAT: Duration = Duration::from_millis(250);

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

/// Contends for the Lease until `release` is cancelled, then releases it and returns. Cancel it only after the work has
/// ended: another replica may lead before this function returns.
///
/// # Errors
/// The durations are too short for the crate, or, after `release`, the Lease could not be released and expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt } = params;
    let long_enough = renew_deadline >= Duration::from_secs(2) && lease_duration >= renew_deadline + 4 * BEAT;
    ensure!(long_enough, "kube-lease-manager needs a renew deadline of 2s or more, and a lease duration 1s above it");
    let renew_period = Duration::from_secs(retry_period.min(renew_deadline / 2).as_secs().max(1));
    // From when a write was sent: its answer, the pause, and the two requests of the renewal that fails.
    let request_timeout = (renew_deadline - renew_period) / 3;
    let client = bounded(client, request_timeout, on_attempt.into());
    let lock = LeaseParams::new(identity.clone(), lease_duration.as_secs(), (lease_duration - renew_period).as_secs());
    let manager =
        || LeaseManager::new(client.clone(), lease_name.clone(), namespace.clone(), lock.clone(), UseExistent);
    let limits = Limits { slack: lease_duration - renew_deadline, confirmed_after: renew_period + request_timeout };
    let (mut status, mut next_round) = (Status::default(), Instant::now());
    // For how long to try to release in the end: not at all if the Lease is not in this replica's name.
    let mut release_bound = Duration::ZERO;
    while timeout_at(next_round, release.cancelled()).await.is_err() {
        next_round = Instant::now() + retry_period;
        let round = async {
            // One for each round: a manager looks at the Lease of another only when the expiry that it knows has passed.
            let manager = manager().await?;
            status.synced = true;
            publish.send_replace(status.clone());
            if !timeout_at(next_round, manager.changed()).await.unwrap_or(Ok(false))? {
                return Ok(Some("another holds it"));
            }
            status.leader = Some(identity.clone());
            lead(&manager, limits, &mut status, &publish, &release).await
        };
        let lost = match round.await {
            Ok(Some(lost)) => {
                release_bound = Duration::ZERO;
                lost
            }
            Ok(None) => {
                release_bound = renew_deadline / 2;
                break;
            }
            Err(error) => {
                warn!(%error, hint = hint(&error), "could not acquire or renew the lease");
                // It may have acquired the Lease all the same.
                release_bound = 2 * retry_period;
                "a request failed"
            }
        };
        status = Status { leader: None, ..status.without_term(lost) };
        publish.send_replace(status.clone());
    }
    publish.send_modify(|status| status.term = None);
    if release_bound.is_zero() {
        return Ok(());
    }
    let release = async {
        loop {
            // It reads before it writes.
            let released = async { manager().await?.release().await };
            match released.await {
                Ok(()) => return,
                Err(error) => warn!(%error, "could not release the lease"),
            }
            sleep(BEAT).await;
        }
    };
    timeout(release_bound, release).await.context("releasing the lease")
}

/// What to do about an attempt that failed, where that is known. With `UseExistent` the crate never creates the Lease.
fn hint(error: &LeaseManagerError) -> Option<&'static str> {
    let is_gone = matches!(error, LeaseManagerError::NonexistentLease(_));
    is_gone.then_some("the lease does not exist: apply it again")
}

/// How long a term lasts without a beat, and when a win counts.
#[derive(Clone, Copy)]
struct Limits {
    slack: Duration,
    confirmed_after: Duration,
}

/// Leads with `manager` until that ends; why. `None` if `release` was cancelled before.
async fn lead(
    manager: &LeaseManager,
    limits: Limits,
    status: &mut Status,
    publish: &Sender<Status>,
    release: &CancellationToken,
) -> kube_lease_manager::Result<Option<&'static str>> {
    let held = Held::new(Instant::now(), None, End::after(limits.slack));
    let mut lost = std::pin::pin!(manager.changed());
    // The new end is read before the question whether the term is over: the process may be stopped in between.
    while held.renew(End::after(limits.slack)) {
        let is_confirmed = held.since.elapsed() >= limits.confirmed_after;
        status.term = is_confirmed.then(|| held.term.clone());
        publish.send_replace(status.clone());
        select! {
            // The crate first: after a stop and a resume its own timers are due as well.
            biased;
            lost = &mut lost => return lost.map(|_| Some("another holds it")),
            () = release.cancelled() => return Ok(None),
            () = sleep(BEAT) => {}
        }
    }
    Ok(Some("this process did not run"))
}

/// The same client with a bound on each request as a whole, which the crate does not set; with a conflict as the failure that it
/// is; and with what the crate does not tell.
fn bounded(client: Client, bound: Duration, on_attempt: Arc<dyn Fn(Option<Duration>) + Send + Sync>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (client, on_attempt) = (client.clone(), Arc::clone(&on_attempt));
        async move {
            let (began, is_write) = (Instant::now(), request.method() != Method::GET);
            let answer = timeout(bound, async {
                let (head, body) = client.send(request).await?.into_parts();
                Ok::<_, BoxError>(Response::from_parts(head, Body::from(body.collect().await?.to_bytes())))
            });
            let answer = answer.await.map_err(BoxError::from).flatten();
            match answer {
                // The crate would sleep over it and lead on, and a release would panic.
                Ok(answer) if answer.status() == StatusCode::CONFLICT => {
                    on_attempt(None);
                    Err("the API server answered 409 Conflict".into())
                }
                Ok(answer) if answer.status().is_success() => {
                    if is_write {
                        on_attempt(Some(began.elapsed()));
                    }
                    Ok(answer)
                }
                failure => {
                    on_attempt(None);
                    failure
                }
            }
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests;
