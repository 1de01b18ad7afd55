//! Leader election with `k8s-controller` 0.15: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - Every write is a compare-and-swap on the resourceVersion, and no clock is compared with another one: a standby waits
//!   until it has seen the Lease unchanged for a lease duration.
//! - A term ends at most one renew deadline after its last successful renewal was begun, and at once when a renewal meets
//!   another holder. Errors do not end it before. The crate looks every retry period only, so it is given that much less.
//! - This process's own clocks end a term if no task has run for what the lease duration exceeds the renew deadline by.
//! - Each request is bounded, which the crate does only for renewals, and `kube` repeats none behind the elector's back.
//! - The elector contends again after every loss, until `release` is cancelled; then it releases the Lease, reads whether
//!   that succeeded, and tries again within its bound. A standby asks every 1 to 1.5 retry periods, at random.
//!
//! Not promised, because the crate cannot:
//! - To tell who leads, until when and in which epoch, or why a term was lost.
//! - That a leader which is cut off stops before a standby leads that finds its Lease replaced by an empty one.
//! - To wait for a holder that asked for a longer lease than this replica does.
//! - That only one of two processes with one identity leads, or that another replica leads while this one's writes arrive,
//!   but too late: any claim in its own name is its own.
//! - That anybody leads on a Lease whose times its parser refuses, such as those after the year 9999.
//!
//! Nor, because we chose so: to create a deleted Lease again. The crate would, at the price of the verb `create`, and at
//! once, beside a leader that is cut off. Without that verb nobody leads until somebody applies the Lease again.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_controller::LeaderElection;
use k8s_openapi::api::coordination::v1::Lease;
use kube::client::Body;
use kube::{Api, Client, Config};
use tokio::select;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, timeout};
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
/// The durations or the identity are not such that the crate takes them, or, after `release`, the Lease could not be
/// released and expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt } = params;
    // The crate panics instead, and counts the lease in whole seconds.
    let long_enough = lease_duration >= renew_deadline + 4 * BEAT && renew_deadline > 2 * retry_period;
    ensure!(
        long_enough,
        "k8s-controller needs a renew deadline of more than two retry periods, and 1s below the lease"
    );
    ensure!(i32::try_from(lease_duration.as_secs()).is_ok(), "a lease duration of {lease_duration:?} is too long");
    ensure!(!identity.is_empty(), "the identity is empty");
    // An acquisition takes two requests. The crate's first look at the deadline comes a retry period after them.
    let request_timeout = (renew_deadline - retry_period) / 3;
    let seen = Arc::new(AtomicBool::new(false));
    let client = bounded(client, request_timeout, on_attempt.into(), Arc::clone(&seen));
    let election = LeaderElection::new(client.clone(), &namespace, &lease_name, &identity)
        .with_lease_duration(lease_duration)
        .with_renew_deadline(renew_deadline - retry_period)
        .with_retry_period(retry_period);
    let slack = lease_duration - renew_deadline;
    let mut status = Status::default();
    let mut holds = false;
    while !release.is_cancelled() {
        let won = CancellationToken::new();
        let leading = won.clone();
        // The crate starts this future when it has acquired the Lease, and drops it when the Lease is lost. It must not end:
        // the crate would release the Lease, although the work may still run.
        let mut lost = std::pin::pin!(election.with_lease(async move {
            leading.cancel();
            pending::<()>().await
        }));
        let mut held: Option<Held> = None;
        let why = loop {
            // Read before the question whether the term is over, since the process may be stopped in between.
            let end = End::after(slack);
            if held.as_ref().is_some_and(|held| !held.renew(end)) {
                break "this process did not run";
            }
            if won.is_cancelled() {
                let held = held.get_or_insert_with(|| Held::new(None, end));
                (status.leader, status.term) = (Some(identity.clone()), Some(held.term.clone()));
            }
            status.synced = seen.load(Ordering::Relaxed);
            publish.send_replace(status.clone());
            select! {
                // The crate first: after a stop and a resume its own timers are due as well.
                biased;
                _ = &mut lost => break "the lease is held by another, or no renewal succeeded",
                () = release.cancelled() => break "shutting down",
                () = won.cancelled(), if held.is_none() => {}
                () = sleep(BEAT) => {}
            }
        };
        holds = held.is_some();
        status = Status { leader: None, ..status.without_term(why) };
        publish.send_replace(status.clone());
    }
    let bound = if holds { renew_deadline / 2 } else { 2 * retry_period };
    let api = Api::namespaced(client, &namespace);
    timeout(bound, release_until_done(&election, &api, &lease_name, &identity)).await.context("releasing the lease")
}

/// Releases the Lease if it is in this replica's name. The crate keeps to itself whether that succeeded.
async fn release_until_done(election: &LeaderElection, api: &Api<Lease>, name: &str, identity: &str) {
    let mut pause = Duration::ZERO;
    loop {
        match api.get_opt(name).await {
            Ok(lease) => {
                let holder = lease.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
                if holder.as_deref() != Some(identity) {
                    return;
                }
            }
            Err(error) => warn!(%error, "could not read whether the lease is released"),
        }
        sleep(pause).await;
        pause = BEAT;
        election.release().await;
    }
}

/// The same client with a bound on each request as a whole. It reports what the crate does not: attempts, whether the
/// Lease was seen, and that it is gone.
fn bounded(
    client: Client,
    bound: Duration,
    on_attempt: Arc<dyn Fn(Option<Duration>) + Send + Sync>,
    seen: Arc<AtomicBool>,
) -> Client {
    let (namespace, gone) = (client.default_namespace().to_owned(), Arc::new(AtomicBool::new(false)));
    let service = service_fn(move |request: Request<Body>| {
        let (client, on_attempt) = (client.clone(), Arc::clone(&on_attempt));
        let (seen, gone) = (Arc::clone(&seen), Arc::clone(&gone));
        async move {
            let (began, is_write) = (Instant::now(), request.method() != Method::GET);
            let answer = timeout(bound, async {
                let (head, body) = client.send(request).await?.into_parts();
                Ok::<_, BoxError>(Response::from_parts(head, Body::from(body.collect().await?.to_bytes())))
            });
            let answer = answer.await.map_err(BoxError::from).flatten();
            match &answer {
                Ok(answer) if answer.status().is_success() && is_write => on_attempt(Some(began.elapsed())),
                Ok(answer) if answer.status().is_success() => {
                    seen.store(true, Ordering::Relaxed);
                    gone.store(false, Ordering::Relaxed);
                }
                // Said once, since the crate says at each attempt what it lacks, and not that this one is gone.
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND => {
                    on_attempt(None);
                    if !gone.swap(true, Ordering::Relaxed) {
                        warn!("the lease does not exist: apply it again");
                    }
                }
                _ => on_attempt(None),
            }
            answer
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests;
