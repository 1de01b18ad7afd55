//! Leader election with `kube-coordinate` 2.0.0-rc.0: the template, which knows nothing of the rest of the demo.
//!
//! Promised:
//! - The crate ends a term on sight of another holder and on the first renewal that fails or hangs. Its time-outs are set
//!   such that its last success is at most one renew deadline old then, so a leader that is cut off stops in time.
//! - This process's own clocks end a term if no task has run for what the lease duration exceeds the renew deadline by,
//!   as after a stop and a resume. The elector then starts anew, since the crate still believes what it believed before.
//! - A win counts once it has lasted for a renewal and its time-out. On a Lease without holder the crate applies by force,
//!   so several replicas may win at once; and a cut-off leader, whose Lease somebody deleted, has stopped by then.
//! - No clock is compared with another one. The elector contends until `release` is cancelled.
//!
//! Not promised, because the crate cannot:
//! - To survive a single failed renewal, or to release the Lease: a successor waits until it expires, and up to 1.2 times
//!   the lease duration more, at random.
//! - To tell who leads, until when, or in which epoch; or that a request was refused, other than in its own log lines.
//! - To wait for a holder that asked for a longer lease than this replica does, to let another replica lead while a leader's
//!   writes arrive but too late, or to tell a claim in its name that another process wrote from its own.
//! - To keep the Lease while the wall clock stands still, since such a renewal changes nothing that others could see.
//! - Periods under one second: shorter ones are raised to what it takes.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use kube_coordinate::{LeaderElector, LeaderState};
use tokio::select;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
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

/// A client of the lease's own. `kube` 2 repeats no request, and the crate drops those that hang.
///
/// # Errors
/// The configuration cannot be used.
pub fn client(config: Config) -> Result<Client> {
    Client::try_from(config).context("building the client for the lease")
}

/// Contends for the Lease until `release` is cancelled, then returns. Cancel it only after the work has ended.
///
/// # Errors
/// The durations are too short for the crate, or its task has ended. After `release`: the Lease is still held in this
/// replica's name, because the crate has no release. It expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt } = params;
    // The crate reports no attempt.
    drop(on_attempt);
    let renew_period = retry_period.max(Duration::from_millis(1250));
    let api_timeout = (renew_deadline.saturating_sub(renew_period) / 2).max(Duration::from_secs(1));
    // A renewal may be answered late, the next is due a period after that answer, and it may hang.
    let belief_age_max = renew_period + 2 * api_timeout;
    let slack = lease_duration.saturating_sub(belief_age_max);
    ensure!(slack >= 4 * BEAT, "kube-coordinate needs a lease duration of {:?} or more", belief_age_max + 4 * BEAT);
    let config = kube_coordinate::Config {
        name: lease_name.clone(),
        namespace,
        identity: identity.clone(),
        manager: lease_name,
        lease_duration,
        // Its word for the pause between renewals.
        renew_deadline: renew_period,
        retry_period: renew_period.div_f64(1.25),
        api_timeout,
    };
    let mut elector = LeaderElector::spawn(config.clone(), client.clone())?;
    let mut state = elector.state();
    let (mut held, mut status): (Option<Held>, _) = (None, Status::default());
    let (leases, mut unknown_since) = (Api::namespaced(client.clone(), &config.namespace), Instant::now());
    loop {
        // Read before the question whether the term is over, since the process may be stopped in between.
        let (now, end) = (Instant::now(), End::after(slack));
        // The crate still believes what it believed before that: it has to ask anew.
        if held.take_if(|held| !held.renew(end)).is_some() {
            status = Status { leader: None, ..status.without_term("this process did not run") };
            publish.send_replace(status.clone());
            timeout(lease_duration, elector.shutdown()).await.context("the elector does not end")??;
            elector = LeaderElector::spawn(config.clone(), client.clone())?;
            state = elector.state();
        }
        let believed = state.borrow_and_update().clone();
        if believed.is_leader() {
            let held = held.get_or_insert_with(|| Held::new(now, None, end));
            let has_lasted = held.since.elapsed() >= renew_period + api_timeout;
            let (leader, term) = (Some(identity.clone()), has_lasted.then(|| held.term.clone()));
            status = Status { synced: true, leader, term, ..status };
        } else {
            held = None;
            let synced = status.synced || believed == LeaderState::Following;
            status = Status { synced, leader: None, ..status.without_term("another holds it, or a renewal failed") };
        }
        publish.send_replace(status.clone());
        // The crate says at each attempt that it may not create the Lease, and not that this one is gone.
        if believed != LeaderState::Standby {
            unknown_since = now;
        } else if unknown_since.elapsed() >= lease_duration {
            unknown_since = now;
            tokio::spawn(say_if_gone(leases.clone(), config.name.clone(), api_timeout));
        }
        select! {
            () = release.cancelled() => break,
            changed = state.changed() => changed.context("the task of kube-coordinate has ended")?,
            () = sleep(BEAT) => {}
        }
    }
    publish.send_modify(|status| status.term = None);
    timeout(lease_duration, elector.shutdown()).await.context("the elector does not end")??;
    ensure!(held.is_none(), "kube-coordinate has no release");
    Ok(())
}

/// Says what to do if there is no Lease. Every replica does, once in a lease duration.
async fn say_if_gone(leases: Api<Lease>, name: String, bound: Duration) {
    if let Ok(Ok(None)) = timeout(bound, leases.get_opt(&name)).await {
        warn!("the lease does not exist: apply it again, or let the Role create it (in the kit, create-lease)");
    }
}

#[cfg(test)]
mod tests;
