//! Leader election with the library `still-leading`: the adapter between it and the scaffold.
//!
//! Promised, by the library (its README has the tests):
//! - Every write is a compare-and-swap on uid and resourceVersion. Only a claim that this process wrote is its own.
//! - A term ends by this process's own clock, one renew deadline after its last successful renewal was sent, whether or
//!   not any task has run since. The clock counts time in suspend, and no setting of the wall clock matters.
//! - The sight of another holder ends a term at once. Errors do not end it before the deadline.
//! - Renewals, the deadline and the release run on a thread of their own, which the application cannot hold up.
//! - A standby takes over one write after a release, and on its own timer after a crash.
//! - Nobody leads on a Lease that was made anew before the leader on its predecessor must have stopped.
//!
//! Not promised:
//! - That two replicas never act at once if a leader's clock runs slower than a standby's by more than the ratio of lease
//!   duration to renew deadline, or if the process is paused after it checked [`Term::remaining`] and before it acted.
//!   Send [`Term::epoch`] along with writes, and let the receiver reject older ones.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use still_leading::{Access, Attempt, Elector, Identity};
use tokio::select;
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

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

impl From<&still_leading::Status> for Status {
    fn from(status: &still_leading::Status) -> Self {
        let (leader, term) = (status.leader.clone(), status.term.clone().map(Term));
        Self { synced: status.synced, leader, term, lost: status.lost.as_ref().map(ToString::to_string) }
    }
}

/// One unbroken spell of leadership. A clone stays right for as long as the term lasts: renewals move its end.
#[derive(Clone, Debug)]
pub struct Term(still_leading::Term);

impl Term {
    /// The fencing token, where the crate has one: a number that is larger in each later term of any replica.
    pub fn epoch(&self) -> Option<u64> {
        Some(self.0.epoch())
    }

    /// How long this replica may still act; zero when the term is over. Once over, a term stays over.
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }
}

/// The library's own, which says when a hand-over is asked for.
impl From<Term> for still_leading::Term {
    fn from(Term(term): Term) -> Self {
        term
    }
}

/// What the library makes its client of: it does so itself, because the client lives on the elector's own thread.
pub struct Client {
    access: Access,
    generation: Option<String>,
    hands_over: bool,
}

/// As before, for a process of this generation whose work ends for a hand-over.
impl From<(Client, Option<String>)> for Client {
    fn from((client, generation): (Client, Option<String>)) -> Self {
        Self { generation, hands_over: true, ..client }
    }
}

/// A client of the lease's own.
///
/// # Errors
/// None here: [`run`] says if the configuration cannot be used.
pub fn client(access: Access) -> Result<Client> {
    Ok(Client { access, generation: None, hands_over: false })
}

/// Contends for the Lease until `release` is cancelled, then gives it up and returns. Cancel it only after the work has
/// ended: another replica may lead before this function returns.
///
/// # Errors
/// A parameter or the configuration cannot be used, the elector has died, or the Lease is still held in this replica's
/// name, because the release was not answered. It expires by itself.
pub async fn run(client: Client, params: Params, publish: Sender<Status>, release: CancellationToken) -> Result<()> {
    let Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt } = params;
    let Client { access, generation, hands_over } = client;
    let config = still_leading::Config {
        namespace: Some(namespace),
        lease: lease_name,
        identity: Identity::assume_unique(identity),
        generation,
        hands_over,
        lease_duration,
        renew_deadline,
        retry_period,
        on_attempt: Some(Arc::new(move |attempt| match attempt {
            Attempt::Wrote(took) => on_attempt(Some(took)),
            Attempt::Failed => on_attempt(None),
        })),
        ..still_leading::Config::default()
    };
    let elector = Elector::new(access, config)?;
    let mut status = elector.status();
    let mut running = elector.start();
    loop {
        publish.send_replace(Status::from(&*status.borrow_and_update()));
        select! {
            biased;
            () = release.cancelled() => break,
            () = running.died() => bail!("the elector has died"),
            Ok(()) = status.changed() => {}
        }
    }
    publish.send_modify(|status| status.term = None);
    Ok(running.release().await?)
}
