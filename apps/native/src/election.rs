//! Leader election on `kube` alone. With `lease.rs` (the decisions) and `requests.rs` (what goes over the wire) this
//! file is the template: the three know nothing of the rest of the demo, so that they can be copied as they are.
//!
//! Promised:
//! - Every write is a compare-and-swap on uid and resourceVersion. A lost race is never mistaken for a win.
//! - A term ends by this process's own clock, one renew deadline after its last successful renewal was sent, whether or
//!   not any task has run since. The clock counts time in suspend, and no setting of the wall clock matters.
//! - The sight of another holder ends a term at once; errors do not end it before the deadline.
//! - No request outlives its time-out, and none is retried behind the elector's back.
//! - A standby waits on a watch: it takes over one write after a release, on its own timer after a crash, and by asking
//!   when the watch is dead, forbidden or silent.
//! - The elector contends again after every loss, until `release` is cancelled.
//!
//! Not promised:
//! - That two replicas never act at once if a leader's clock runs slower than a standby's by more than the ratio of lease
//!   duration to renew deadline, or if the process is stopped between the question [`Term::remaining`] and the act. Send
//!   [`Term::epoch`] along with writes, and have the receiver refuse older ones.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Client, Config};
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::lease::{Action, Event, Moment, State, Timing, step};
use crate::requests::{Failure, Params, Requests, Watch, attempt_timeout};

/// What this replica knows about the election. Published whenever it changes.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The API server has shown the Lease, or its absence.
    pub synced: bool,
    /// The holder of the Lease.
    pub leader: Option<String>,
    /// This replica's own term. Ask [`Term::remaining`] before each act.
    pub term: Option<Term>,
    /// Why the last term ended.
    pub lost: Option<String>,
}

/// One unbroken spell of leadership. A clone stays right for as long as the term lasts: renewals move its end.
#[derive(Clone, Debug)]
pub struct Term {
    epoch: Arc<str>,
    valid_until_ns: Arc<AtomicU64>,
    clock: Clock,
}

impl Term {
    /// The fencing token: the resourceVersion that the acquiring write was answered with, which is a larger number in
    /// each later term of any replica.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// How long this replica may still act; zero when the term is over.
    pub fn remaining(&self) -> Duration {
        Duration::from_nanos(self.valid_until_ns.load(Ordering::Acquire)).saturating_sub(self.clock.now())
    }

    fn set_valid_until(&self, moment: Moment) {
        self.valid_until_ns.store(u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
    }
}

/// Time since the elector started, suspend included.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Instant,
    started_after_boot: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { started: Instant::now(), started_after_boot: time_since_boot() }
    }

    fn now(&self) -> Moment {
        // `Instant` does not count suspend, the time since boot does; in tests only the former can be moved.
        self.started.elapsed().max(time_since_boot().saturating_sub(self.started_after_boot))
    }
}

#[cfg(target_os = "linux")]
fn time_since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// Elsewhere suspend is not counted: fit for trying things out, not for a cluster.
#[cfg(not(target_os = "linux"))]
fn time_since_boot() -> Duration {
    Duration::ZERO
}

/// A client of the lease's own: no retries behind the elector's back (`kube` would repeat a 429, 503 or 504 up to 15
/// times), and no connection pool shared with the work.
///
/// # Errors
/// The configuration cannot be used.
pub fn client(mut config: Config, timing: &Timing) -> Result<Client> {
    config.default_retry = false;
    config.connect_timeout = Some(attempt_timeout(timing));
    Client::try_from(config).context("building the client for the lease")
}

/// Contends for the Lease until `release` is cancelled, then gives it up and returns. Cancel it only after the work has
/// ended: another replica may lead before this function returns.
///
/// # Errors
/// The Lease is still held in this replica's name, because the release was not answered. It expires by itself.
pub async fn run(
    client: Client,
    params: Params,
    publish: watch::Sender<Status>,
    release: CancellationToken,
) -> Result<()> {
    let mut elector = Elector::new(client, params, publish);
    let mut event = Event::Tick;
    while !release.is_cancelled() {
        let wake = elector.advance(event);
        event = select! {
            // In this order: a shutdown, then the answer that is due, then what others did.
            biased;
            () = release.cancelled() => break,
            event = answer(&mut elector.request) => event,
            event = elector.watch.next() => event,
            () = sleep(wake.saturating_sub(elector.clock.now())) => Event::Tick,
        };
    }
    elector.release().await
}

type Request = Pin<Box<dyn Future<Output = Event> + Send>>;

/// The answer to the request in flight; waits for ever if there is none.
async fn answer(request: &mut Option<Request>) -> Event {
    match request {
        Some(pending) => {
            let event = pending.await;
            *request = None;
            event
        }
        None => std::future::pending().await,
    }
}

struct Elector {
    timing: Timing,
    requests: Requests,
    state: State,
    term: Option<Term>,
    request: Option<Request>,
    watch: Watch,
    clock: Clock,
    publish: watch::Sender<Status>,
}

impl Elector {
    fn new(client: Client, params: Params, publish: watch::Sender<Status>) -> Self {
        let timing = params.timing.clone();
        let requests = Requests::new(client, params);
        let watch = requests.watch();
        let (state, clock) = (State::default(), Clock::start());
        Self { timing, requests, state, term: None, request: None, watch, clock, publish }
    }

    /// Takes note of `event`, sends what is to be sent, and returns when to look again.
    fn advance(&mut self, mut event: Event) -> Moment {
        loop {
            let was_watching = self.state.is_watching();
            let by_read = matches!(event, Event::Read(_));
            let action = step(&self.timing, &mut self.state, event, self.clock.now());
            self.tell();
            if by_read && was_watching && !self.state.is_watching() {
                warn!("the watch has stalled, starting another one");
                self.watch = self.requests.watch();
            }
            let requests = self.requests.clone();
            match action {
                Action::Wait(wake) => return wake,
                Action::Read => self.request = Some(Box::pin(async move { requests.read().await })),
                Action::Write => {
                    let lease = self.state.claim(&self.timing, MicroTime(Timestamp::now()));
                    self.request = Some(Box::pin(async move { requests.write(lease).await }));
                }
            }
            event = Event::Tick;
        }
    }

    /// Publishes what has changed. A term that is over turns invalid before anybody is told.
    fn tell(&mut self) {
        let decided = self.state.term();
        if let Some(term) = &self.term
            && decided.is_none_or(|decided| decided.epoch != *term.epoch)
        {
            term.set_valid_until(Moment::ZERO);
            self.term = None;
        }
        if let Some(decided) = decided {
            let clock = self.clock;
            let begin = || Term { epoch: decided.epoch.as_str().into(), valid_until_ns: Arc::default(), clock };
            self.term.get_or_insert_with(begin).set_valid_until(decided.valid_until);
        }
        let epoch = |term: &Option<Term>| term.as_ref().map(|term| Arc::clone(&term.epoch));
        self.publish.send_if_modified(|status| {
            let known = (status.synced, status.leader.as_deref(), epoch(&status.term));
            if known == (self.state.is_synced(), self.state.holder(), epoch(&self.term)) {
                return false;
            }
            *status = Status {
                synced: self.state.is_synced(),
                leader: self.state.holder().map(str::to_owned),
                term: self.term.clone(),
                lost: self.state.lost().map(str::to_owned),
            };
            true
        });
    }

    /// Belief off, then one guarded write. A request in flight is awaited first: it may be the one that acquires.
    async fn release(mut self) -> Result<()> {
        if let Some(term) = self.term.take() {
            term.set_valid_until(Moment::ZERO);
        }
        self.publish.send_modify(|status| status.term = None);
        if let Some(pending) = self.request.take() {
            let event = pending.await;
            step(&self.timing, &mut self.state, event, self.clock.now());
        }
        for _ in 0..2 {
            let Some(lease) = self.state.release(&self.timing, MicroTime(Timestamp::now())) else { return Ok(()) };
            match self.requests.put(lease).await {
                Ok(_) => return Ok(()),
                // Somebody wrote since, or took it: ask once, and give up what is still ours.
                Err(Failure::Refused(_)) => {
                    let lease = self.requests.get().await.context("reading the lease to release it")?;
                    step(&self.timing, &mut self.state, Event::Read(lease), self.clock.now());
                }
                Err(error) => return Err(error).context("releasing the lease"),
            }
        }
        bail!("the release was refused twice");
    }
}

#[cfg(test)]
mod tests;
