//! The driver: runs the decisions of `lease.rs` on `kube`, on a thread of its own.

pub(crate) mod driver;
mod hand_over;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{io, process, thread};

use kube::Client;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::dispatcher::{self, Dispatch};

use crate::access::{Access, AccessError, Say};
use crate::clock::BootClock;
use crate::config::{Config, InvalidConfig, OnOverstay};
use crate::identity::Identity;
use crate::lead::{self, End, LeadError, Limits, Phase, Terms};
use crate::lockout::Lockout;
use crate::report::{Note, Reporter};
use crate::requests::Requests;
use crate::status::Status;
use crate::term::Term;

pub use driver::ReleaseError;
use driver::{Driver, Wish};
pub use hand_over::HandOver;

/// The log gets so long to say the last word.
const LAST_WORD: Duration = Duration::from_secs(1);
/// As `LAST_WORD`, while work goes on that must not. It is taken from the time that this work had to end.
const LAST_WORD_OF_OVERSTAY: Duration = Duration::from_millis(100);

/// Contends for one Lease.
///
/// The elector runs on an OS thread of its own, with a connection of its own. Work that blocks every thread of the
/// application, or a log that nobody reads, stops neither renewals nor the deadline nor the release.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use still_leading::{Access, Config, Elector, shutdown_signal};
///
/// let config = Config { lease: "my-controller".into(), identity: std::env::var("POD_NAME")?.into(), ..Config::default() };
/// let elector = Elector::new(Access::infer().await?, config)?;
/// let end = elector.lead(shutdown_signal(), |term| async move {
///     // Your work. It ends when this completes: the term is over, or a shutdown was asked for.
///     term.cancelled().await;
/// });
/// println!("{:?}", end.await?);
/// # Ok(())
/// # }
/// ```
pub struct Elector {
    config: Config,
    lease: String,
    runtime: OwnRuntime,
    requests: Requests,
    reporter: Reporter,
    publish: watch::Sender<Status>,
    wish: mpsc::UnboundedSender<Wish>,
    wishes: mpsc::UnboundedReceiver<Wish>,
}

/// Why an [`Elector`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration violates a relation.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The configuration of the client cannot be used.
    #[error("the client for the lease: {0}")]
    Client(#[source] AccessError),
    /// The operating system gives no thread.
    #[error("starting the elector: {0}")]
    Thread(#[source] io::Error),
}

impl Elector {
    /// An elector that does not contend yet.
    ///
    /// The client is the elector's own: no retries behind its back (`kube` would repeat a 429, 503 or 504 up to 15
    /// times), and no connection pool that it shares with the work. With an [`Access`] that was [inferred](Access::infer) it
    /// keeps itself usable; with a `kube::Config` as far as that tells where its parts came from.
    ///
    /// # Errors
    /// A relation between the values of `config` is violated, the client cannot be built, or the operating system gives
    /// no thread.
    pub fn new(access: impl Into<Access>, config: Config) -> Result<Self, Error> {
        let access = access.into();
        let namespace = config.namespace.clone().unwrap_or_else(|| access.default_namespace().to_owned());
        Self::with_client(config, namespace, |say| access.keep(say))
    }

    fn with_client(
        config: Config,
        namespace: String,
        client: impl FnOnce(Say) -> Result<(Client, Lockout), AccessError>,
    ) -> Result<Self, Error> {
        config.check_in(Some(&namespace))?;
        let runtime = OwnRuntime::build().map_err(Error::Thread)?;
        let repeat_after = config.lease_duration.saturating_mul(2);
        let reporter = Reporter::start(repeat_after, config.on_attempt.clone()).map_err(Error::Thread)?;
        // The client starts tasks, which have to live on the elector's runtime.
        let (client, lockout) = runtime.enter(|| client(say(&reporter))).map_err(Error::Client)?;
        let timing = config.timing();
        let lease = format!("{namespace}/{}", config.lease);
        let name = config.lease.clone();
        let requests = Requests::with_lockout(client, namespace, name, timing, reporter.clone(), lockout);
        let (publish, _) = watch::channel(Status::default());
        let (wish, wishes) = mpsc::unbounded_channel();
        Ok(Self { config, lease, runtime, requests, reporter, publish, wish, wishes })
    }

    /// The identity under which this elector contends.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.config.identity
    }

    /// The Lease that is contended for, as `namespace/name`.
    #[must_use]
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// What the elector knows, whenever it changes. The sender is gone once the elector has ended.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.publish.subscribe()
    }

    /// For handing the leadership over while this elector leads. Take it before [`lead`](Self::lead) or
    /// [`start`](Self::start).
    ///
    /// An operator does the same with `kubectl annotate lease <lease> still-leading.dev/hand-over-to=<pod>`.
    #[must_use]
    pub fn hand_over(&self) -> HandOver {
        HandOver::new(self.wish.clone())
    }

    /// Contends, and runs `work` once for each term, until `shutdown` completes; then ends the work, waits for it, and
    /// releases the Lease.
    ///
    /// `work` is spawned on the Tokio runtime that this is called on. It should end when
    /// [`Term::cancelled`] completes. What it runs through a [`Gate`](crate::Gate) of the term is waited for as well, in
    /// whichever task it runs. If it outlives the term or the drain time-out, [`Config::on_overstay`] decides;
    /// the Lease is kept then, and expires by itself. If it returns or panics while its term lasts, the Lease is released
    /// and this returns.
    ///
    /// `shutdown` runs on a thread of its own, where it may block; if it panics, that counts as a shutdown. Dropping the
    /// returned future aborts the work, waits for its end on the elector's thread, and releases the Lease there, provided
    /// that the process lives so long. So pass every reason to stop as `shutdown`, and await what this returns.
    ///
    /// # Errors
    /// The work panicked or outlived its time, or the elector has died.
    ///
    /// # Panics
    /// If it is not called on a Tokio runtime.
    pub async fn lead<S, W, F>(self, shutdown: S, work: W) -> Result<End<F::Output>, LeadError>
    where
        S: Future<Output = ()> + Send + 'static,
        W: Fn(Term) -> F + Send + Sync + 'static,
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let workers = Handle::current();
        let limits = Limits {
            after_loss: (self.config.lease_duration - self.config.renew_deadline).saturating_sub(LAST_WORD_OF_OVERSTAY),
            drain: self.config.drain_timeout,
        };
        let observe = self.observer();
        let (tracker, acts) = (TaskTracker::new(), TaskTracker::new());
        let leaders = self.status();
        let terms = Published { status: self.status(), acts: acts.clone(), after_loss: limits.after_loss };
        let of_terms = acts.clone();
        let work = move |term: Term, token| work(term.of_lead(token, of_terms.clone()));
        let shutdown = on_a_thread_of_its_own(shutdown);
        let (tell, answer) = oneshot::channel();
        let abandoned = CancellationToken::new();
        let _abandon = abandoned.clone().drop_guard();

        let Self { config, runtime, requests, reporter, publish, wishes, .. } = self;
        runtime.on_a_thread(move || async move {
            let release = CancellationToken::new();
            let mut driver = Box::pin(driver(requests, &reporter, publish, wishes).led().run(release.clone()));
            let end = {
                let mut led = pin!(lead::lead_tracked(terms, shutdown, limits, (&workers, &tracker), observe, work));
                let mut leaders = pin!(announce(leaders, &reporter));
                select! {
                    biased;
                    end = &mut led => Some(end),
                    _ = &mut driver => Some(Err(LeadError::Elector("it returned".to_owned()))),
                    () = abandoned.cancelled() => None,
                    () = &mut leaders => None,
                }
            };
            let end = match end {
                Some(Err(error @ LeadError::Overstayed { .. })) => Err(error),
                Some(end) => ended(&[&acts], limits.after_loss, "an act of a gate runs on").await.and(end),
                // Nobody waits for the end any more. The work was aborted, and may still have to notice.
                None => {
                    let all = ended(&[&tracker, &acts], limits.after_loss, "the future of lead was dropped").await;
                    all.map(|()| End::Shutdown)
                }
            };
            if let Err(error @ LeadError::Overstayed { .. }) = &end {
                // Belief off, and no renewal any more. The Lease stays as it is.
                drop(driver);
                reporter.note(Note::Overstayed(error.to_string()));
                reporter.flush(LAST_WORD_OF_OVERSTAY);
                if config.on_overstay == OnOverstay::ExitProcess {
                    process::exit(1);
                }
            } else {
                release.cancel();
                if let Err(error) = driver.await {
                    reporter.note(Note::CouldNotRelease(error.to_string()));
                }
                reporter.flush(LAST_WORD);
            }
            // Nobody may be waiting for it.
            let _ = tell.send(end);
        });
        match answer.await {
            Ok(end) => end,
            Err(_) => Err(LeadError::Elector("it panicked".to_owned())),
        }
    }

    /// Contends without running anything, for an application that runs its work itself. Use [`lead`](Self::lead) unless
    /// you have to.
    #[must_use]
    pub fn start(self) -> Running {
        let status = self.status();
        let Self { runtime, requests, reporter, publish, wishes, .. } = self;
        let (release, stop) = (CancellationToken::new(), CancellationToken::new());
        let (tell, ended) = watch::channel(None);
        let (released, stopped) = (release.clone(), stop.clone());
        runtime.on_a_thread(move || async move {
            let driver = driver(requests, &reporter, publish, wishes);
            let end = select! {
                biased;
                end = driver.run(released) => end,
                () = stopped.cancelled() => return,
            };
            reporter.flush(LAST_WORD);
            tell.send_replace(Some(end));
        });
        Running { status, release, ended, _stop: stop.drop_guard() }
    }

    fn observer(&self) -> impl FnMut(Phase<'_, Term>) + Send + use<> {
        let reporter = self.reporter.clone();
        let contending = Note::Contending { lease: self.lease.clone(), identity: self.config.identity.to_string() };
        move |phase| {
            reporter.note(match phase {
                Phase::Contending => contending.clone(),
                Phase::Leading(term) => Note::Leading { epoch: term.epoch() },
                Phase::Stopped(reason) => Note::StoppedLeading(reason.to_owned()),
            });
        }
    }
}

fn driver(
    requests: Requests,
    reporter: &Reporter,
    publish: watch::Sender<Status>,
    wishes: mpsc::UnboundedReceiver<Wish>,
) -> Driver {
    Driver::new(requests, reporter.clone(), Arc::new(BootClock::start()), publish).with_wishes(wishes)
}

/// Logs what becomes of the credentials.
fn say(reporter: &Reporter) -> Say {
    let reporter = reporter.clone();
    Say::new(move |news| {
        reporter.note(news.map_or_else(|error| Note::CannotRenewAccess(error.to_string()), |()| Note::AccessRenewed))
    })
}

/// An elector that contends, see [`Elector::start`]. Dropping it ends the term at once and leaves the Lease to expire.
#[derive(Debug)]
pub struct Running {
    status: watch::Receiver<Status>,
    release: CancellationToken,
    ended: watch::Receiver<Option<Result<(), ReleaseError>>>,
    _stop: DropGuard,
}

impl Running {
    /// What the elector knows, whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until the elector has died, which only a bug can do. Its term, if any, is over then.
    pub async fn died(&mut self) {
        // Nobody has asked it to release, so any end is one too many.
        let _ = self.ended.wait_for(Option::is_some).await;
    }

    /// Ends the term and gives up the Lease. Call it only after the work has ended: another replica may lead before
    /// this returns.
    ///
    /// # Errors
    /// The Lease is still held in this replica's name, because the release was not answered. It expires by itself.
    pub async fn release(mut self) -> Result<(), ReleaseError> {
        self.release.cancel();
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Err(ReleaseError::Died)),
            Err(_) => Err(ReleaseError::Died),
        }
    }
}

/// Logs each change of leader, and when the API server has locked this replica out.
async fn announce(mut status: watch::Receiver<Status>, reporter: &Reporter) {
    let (mut known, mut is_locked_out) = (None, false);
    loop {
        let Status { leader, locked_out, .. } = status.borrow_and_update().clone();
        if leader != known {
            known.clone_from(&leader);
            if let Some(leader) = leader {
                reporter.note(Note::NewLeader(leader));
            }
        }
        let was_locked_out = std::mem::replace(&mut is_locked_out, locked_out.is_some());
        if let Some(reason) = locked_out.filter(|_| !was_locked_out) {
            reporter.note(Note::LockedOut(reason));
        }
        if status.changed().await.is_err() {
            // The elector is gone, which others notice.
            std::future::pending().await
        }
    }
}

/// Runs `shutdown` where it may block. The returned future completes when it has, also by a panic.
fn on_a_thread_of_its_own(shutdown: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
    let asked = CancellationToken::new();
    let (guard, done) = (asked.clone().drop_guard(), CancellationToken::new());
    let of_thread = done.clone();
    let run = move || {
        let _asked = guard;
        if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
            runtime.block_on(async {
                select! {
                    () = shutdown => {}
                    () = of_thread.cancelled() => {}
                }
            });
        }
    };
    // Without a thread the guard is dropped, and that counts as a shutdown.
    drop(thread::Builder::new().name("lease-shutdown".to_owned()).spawn(run));
    let done = done.drop_guard();
    async move {
        let _done = done;
        asked.cancelled().await;
    }
}

/// Waits until none of these runs any more. What was aborted is over at its next `.await`, if it has one.
async fn ended(trackers: &[&TaskTracker], bound: Duration, reason: &str) -> Result<(), LeadError> {
    let all = async {
        for tracker in trackers {
            tracker.close();
            tracker.wait().await;
        }
    };
    timeout(bound, all).await.map_err(|_| LeadError::Overstayed { bound, reason: reason.to_owned() })
}

/// The runtime of the elector's thread. Unlike tokio's own it may be dropped anywhere, also where an elector is made.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn build() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_all().build()?)))
    }

    /// Calls `make` where tasks can be started that live on this runtime.
    fn enter<T>(&self, make: impl FnOnce() -> T) -> T {
        let _entered = self.0.as_ref().map(Runtime::enter);
        make()
    }

    /// Runs what `start` returns, on a thread of its own. Events of libraries are not logged from there, since the log may
    /// block; the elector's own go through the [`Reporter`].
    fn on_a_thread<F: Future<Output = ()>>(mut self, start: impl FnOnce() -> F + Send + 'static) {
        let run = move || {
            if let Some(runtime) = self.0.take() {
                dispatcher::with_default(&Dispatch::none(), || runtime.block_on(start()));
            }
        };
        // Without a thread the closure is dropped, and with it all that the caller waits for: as if the elector had died.
        drop(thread::Builder::new().name("lease-elector".to_owned()).spawn(run));
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The terms that the elector publishes.
struct Published {
    status: watch::Receiver<Status>,
    /// What runs through the gates of all terms.
    acts: TaskTracker,
    after_loss: Duration,
}

impl Terms for Published {
    type Term = Term;

    async fn begin(&mut self) -> Term {
        loop {
            let term = self.status.borrow_and_update().term.clone();
            if let Some(term) = term.filter(|term| !term.is_over()) {
                return term;
            }
            if self.status.changed().await.is_err() {
                // The elector is gone, and begins no term any more. Its end is noticed elsewhere.
                return std::future::pending().await;
            }
        }
    }

    async fn over(&mut self, term: &Term) -> String {
        term.ended().await.to_string()
    }

    fn is_over(&self, term: &Term) -> bool {
        term.is_over()
    }

    fn overdue(&self, term: &Term) -> Duration {
        term.overdue()
    }

    fn asked_to_hand_over(&self, term: &Term) -> CancellationToken {
        term.asked_to_hand_over()
    }

    async fn hand_over(&mut self, term: &Term) -> Result<(), LeadError> {
        ended(&[&self.acts], self.after_loss, "an act of a gate runs on").await?;
        // The next term has acts as well.
        self.acts.reopen();
        term.give_up();
        term.ended().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { lease: "my-lease".to_owned(), identity: "pod-0".into(), ..Config::default() }
    }

    fn kube() -> kube::Config {
        // The discard port of this machine: nobody answers there.
        kube::Config::new("http://127.0.0.1:9".parse().unwrap())
    }

    #[test]
    fn a_bad_configuration_is_an_error_before_anything_is_started() {
        let bad = Config { lease: "UPPER".to_owned(), ..config() };
        assert!(matches!(Elector::new(kube(), bad), Err(Error::Config(_))));
        let mut elsewhere = kube();
        elsewhere.default_namespace = "not_a_namespace".to_owned();
        assert!(matches!(Elector::new(elsewhere, config()), Err(Error::Config(_))), "the default namespace as well");
    }

    #[tokio::test]
    async fn an_elector_that_never_started_and_one_that_failed_may_be_dropped_anywhere() {
        drop(Elector::new(kube(), config()).unwrap());
        let mut broken = kube();
        broken.root_cert = Some(vec![b"no certificate".to_vec()]);
        broken.cluster_url = "https://127.0.0.1:9".parse().unwrap();
        assert!(matches!(Elector::new(broken, config()), Err(Error::Client(_))));
    }

    #[tokio::test]
    async fn an_elector_that_is_dropped_leaves_no_term_and_no_thread_behind() {
        let running = Elector::new(kube(), config()).unwrap().start();
        let mut status = running.status();
        drop(running);
        let gone = async { while status.changed().await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the elector goes on");
        assert!(status.borrow().term.is_none());
    }
}
