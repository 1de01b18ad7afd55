//! Leader election with `kube-lease-manager` 0.13: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - The first request that fails or hangs ends a term, and so does an answer without this holder. The time-outs are such
//!   that the last renewal is at most one renew deadline old then. (`watch` would keep errors to itself and lead on.)
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
use kube::{Client, Config};
use kube_lease_manager::{LeaseCreateMode::UseExistent, LeaseManager, LeaseParams};
use tokio::select;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often this process shows that it is running. A small part of the time for which that counts.
const BEAT: Duration = Duration::from_millis(250);

/// What is contended for, in whose name (unique among all processes that ever were), and how fast.
pub struct Params {
    pub namespace: String,
    pub lease_name: String,
    pub identity: String,
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry_period: Duration,
}

/// What this replica knows about the election. Published at each beat.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The API server has shown the Lease.
    pub synced: bool,
    /// The holder of the Lease, if it is this replica.
    pub leader: Option<String>,
    /// This replica's own term. Ask [`Term::remaining`] before each act.
    pub term: Option<Term>,
    /// Why the last term ended.
    pub lost: Option<&'static str>,
}

/// When a term ends, by two clocks: one stands still while the machine is suspended, the other can be set. Empty once it is
/// over.
type End = Mutex<Option<(Instant, SystemTime)>>;

/// One unbroken spell of leadership. A clone stays right for as long as the term lasts.
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

/// A client of the lease's own: by default `kube` has no read time-out, and repeats a 429, 503 or 504 up to 15 times.
///
/// # Errors
/// The configuration cannot be used.
pub fn client(mut config: Config, renew_deadline: Duration) -> Result<Client> {
    // A renewal is two requests, each a connect and an answer; a slow one may be followed by one that fails slowly.
    let bound = Some(renew_deadline / 8);
    (config.connect_timeout, config.read_timeout, config.write_timeout) = (bound, bound, bound);
    // Otherwise the time that a connection was idle counts as waiting for the answer.
    (config.default_retry, config.reset_reader_on_write) = (false, true);
    Client::try_from(config).context("building the client for the lease")
}

/// Contends for the Lease until `release` is cancelled, then releases it and returns. Cancel it only after the work has
/// ended: another replica may lead before this function returns.
///
/// # Errors
/// The durations are too short for the crate, or, after `release`, the Lease could not be released and expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name: lease, identity, lease_duration, renew_deadline, retry_period } = params;
    let long_enough = renew_deadline >= Duration::from_secs(2) && lease_duration >= renew_deadline + 4 * BEAT;
    ensure!(long_enough, "kube-lease-manager needs a renew deadline of 2s or more, and a lease duration 1s above it");
    let renew_period = Duration::from_secs(retry_period.min(renew_deadline / 2).as_secs().max(1));
    let lock = LeaseParams::new(identity.clone(), lease_duration.as_secs(), (lease_duration - renew_period).as_secs());
    let manager = || LeaseManager::new(client.clone(), lease.clone(), namespace.clone(), lock.clone(), UseExistent);
    let pace = (lease_duration - renew_deadline, renew_period + renew_deadline / 4);
    let (mut round, mut unsure) = (Instant::now(), false);
    while timeout_at(round, release.cancelled()).await.is_err() {
        round = Instant::now() + retry_period;
        let attempt = async {
            // One for each round: a manager looks at the Lease of another only when the expiry that it knows has passed.
            let manager = manager().await?;
            publish.send_modify(|status| status.synced = true);
            if !timeout_at(round, manager.changed()).await.unwrap_or(Ok(false))? {
                return Ok("another holds it");
            }
            publish.send_modify(|status| status.leader = Some(identity.clone()));
            lead(&manager, pace, &publish, &release).await
        };
        let failed = |error| warn!(%error, "could not acquire or renew the lease");
        let end = attempt.await.map_err(failed);
        unsure = end.is_err();
        let lost = end.unwrap_or("a request failed");
        if !release.is_cancelled() {
            publish.send_modify(|it| *it = Status { synced: it.synced, lost: Some(lost), ..Status::default() });
        }
    }
    publish.send_modify(|status| status.term = None);
    // A request that failed may have acquired the Lease all the same; the crate reads it before it releases.
    let bound = if publish.borrow().leader.is_some() { renew_deadline / 2 } else { 2 * retry_period };
    let release = async {
        loop {
            // In a task of its own, because the crate panics when the release meets a conflict.
            let manager = manager();
            match tokio::spawn(async move { manager.await?.release().await }).await {
                Ok(Ok(())) => return,
                failure => warn!(?failure, "could not release the lease"),
            }
            sleep(BEAT).await;
        }
    };
    if unsure || publish.borrow().leader.is_some() {
        timeout(bound, release).await.context("releasing the lease")?;
    }
    Ok(())
}

/// Leads with `manager` until that ends, or until `release` is cancelled; why.
async fn lead(
    manager: &LeaseManager,
    (slack, settle): (Duration, Duration),
    publish: &Sender<Status>,
    release: &CancellationToken,
) -> kube_lease_manager::Result<&'static str> {
    let new_end = || (Instant::now() + slack, SystemTime::now() + slack);
    let (since, current) = (Instant::now(), Arc::new(Mutex::new(Some(new_end()))));
    let (term, mut lost) = (Term { end: Arc::downgrade(&current) }, std::pin::pin!(manager.changed()));
    // Read before the question whether the term is over, since the process may be stopped in between.
    while !renew(&current, Some(new_end())).is_zero() {
        publish.send_modify(|status| status.term = (since.elapsed() >= settle).then(|| term.clone()));
        select! {
            // The crate first: after a stop and a resume its own timers are due as well.
            biased;
            lost = &mut lost => return lost.map(|_| "another holds it"),
            () = release.cancelled() => return Ok("shutting down"),
            () = sleep(BEAT) => {}
        }
    }
    Ok("this process did not run")
}

#[cfg(test)]
mod tests;
