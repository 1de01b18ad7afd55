//! The life of a replica, and the one order in which it ends: stop the work, wait for it, release the lease, exit.
//! Every wait has a bound.
//!
//! Two runtimes keep the two halves apart. The election, and what ends the work in time, run on the thread of `main`. The work
//! and HTTP run on threads of their own: work that blocks all of these stops neither renewals nor the deadline.

use std::env;
use std::mem::ManuallyDrop;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use still_leading::{End, LeadError, Limits, Lockout};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::select;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::work::{self, Work};
use crate::{Args, Metrics, Status, Term, connect, http, logs, signals};

/// How long the process waits for the last tasks after the release.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often the replica checks whether the API server has locked it out.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// The kubelet sets it in every container, also where `enableServiceLinks` is off.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";

/// The application, with which every variant's `main.rs` begins. `F` are the flags of its work.
#[derive(Debug)]
pub struct App<F = work::Flags> {
    /// The flags that every application has.
    pub args: Args,
    /// The flags of the work.
    pub flags: F,
    /// The identity of this process, unique among all that ever were.
    pub identity: String,
    /// The metrics. The variant reports its requests to them.
    pub metrics: Metrics,
    /// Whether the API server lets this replica in. The variant reports its client's answers to it.
    pub lockout: Lockout,
    /// Tasks that still have something to do after the release of the lease. The process waits a second for them.
    pub last_words: TaskTracker,
    shutdown: CancellationToken,
    workers: Workers,
}

/// An election as the application sees it. `S` is what the variant's elector publishes.
#[derive(Debug)]
pub struct Election<S> {
    /// The Lease that is contended for, as `namespace/name`; `None` without a contest.
    pub lease: Option<String>,
    /// What the elector believes.
    pub beliefs: watch::Receiver<S>,
    /// Reads a belief as a [`Status`].
    pub view: fn(&S) -> Status,
    /// The elector's task. It must end only after `release` is cancelled; an earlier end is a failure.
    pub task: JoinHandle<Result<()>>,
    /// Asks the elector to release the lease and to end.
    pub release: CancellationToken,
}

impl App {
    /// As [`App::start_with`], with the work of the demo, which logs a line at each tick.
    ///
    /// # Errors
    /// As [`App::start_with`].
    pub fn start(variant: &str) -> Result<Self> {
        Self::start_with(variant)
    }

    /// As [`App::work_for_life`], with the work of the demo.
    ///
    /// # Errors
    /// As [`App::work_while_leading`].
    pub async fn lead_for_life(self) -> Result<()> {
        let work = Work::ticking(self.flags);
        self.work_for_life(work).await
    }

    /// As [`App::work_while_leading`], with the work of the demo.
    ///
    /// # Errors
    /// As [`App::work_while_leading`].
    pub async fn run<S: Send + Sync + 'static>(self, election: Election<S>) -> Result<()> {
        let work = Work::ticking(self.flags);
        self.work_while_leading(election, work).await
    }
}

impl<F: clap::Args> App<F> {
    /// Parses the flags, starts logging and listens for signals. A flag that cannot be used ends the process with one
    /// line and code 2.
    ///
    /// # Errors
    /// Logging or signal handling cannot be set up.
    pub fn start_with(variant: &str) -> Result<Self> {
        let (args, flags) = Args::parse_for(variant);
        let identity = args.new_identity().to_string();
        logs::init(args.log_format, &identity)?;
        let metrics = Metrics::new(&args.lease_name);
        let (shutdown, workers) = (signals::shutdown_token()?, Workers::start()?);
        let (lockout, last_words) = (Lockout::default(), TaskTracker::new());
        Ok(Self { args, flags, identity, metrics, lockout, last_words, shutdown, workers })
    }

    /// The runtime of the work and of HTTP. Tasks that run for as long as the process lives belong there as well.
    #[must_use]
    pub fn workers(&self) -> &Handle {
        self.workers.handle()
    }

    /// Completes once a signal asks to stop. For waits before the work.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<F> {
        self.shutdown.clone().cancelled_owned()
    }

    /// Waits for what the election needs first, such as the credentials: at most a minute, or five at a terminal. Returns
    /// `None` if a signal asks to stop meanwhile.
    ///
    /// # Errors
    /// `connect` fails, or takes too long.
    pub async fn connect<T>(&self, connect: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        connect::unless(self.shutdown(), connect).await
    }

    /// Runs without an election: this replica leads until a signal stops it.
    ///
    /// # Errors
    /// As [`App::work_while_leading`].
    pub async fn work_for_life(self, work: Work) -> Result<()> {
        say_that_the_election_is_off(env::var_os(IN_A_POD).is_some());
        self.metrics.election_is_off();
        let leader = Some(self.identity.clone());
        let status = Status { ready: true, leader, term: Some(Term::for_life()), lost: None };
        // The task keeps the sender, since a closed channel means that an elector has died.
        let (publish, beliefs) = watch::channel(status);
        let release = CancellationToken::new();
        let released = release.clone();
        let task = tokio::spawn(async move {
            released.cancelled().await;
            drop(publish);
            Ok(())
        });
        self.work_while_leading(Election { lease: None, beliefs, view: Clone::clone, task, release }, work).await
    }

    /// Does the work whenever this replica leads, until a signal asks to stop; then ends in order.
    ///
    /// # Errors
    /// The address cannot be listened on, or the elector or the work ended by itself, or the work outlived its lease. Then
    /// the caller must end the process, since work may still be running. If the work ended by itself, the lease was released.
    pub async fn work_while_leading<S>(self, election: Election<S>, work: Work) -> Result<()>
    where
        S: Send + Sync + 'static,
    {
        let Self { args, identity, metrics, lockout, last_words, shutdown, workers, .. } = self;
        let Election { lease, beliefs, view, mut task, release } = election;
        let believed = beliefs.clone();
        let status: Arc<dyn Fn() -> Status + Send + Sync> = Arc::new(move || view(&believed.borrow()));
        let of_client = lockout.clone();
        let locked_out: Arc<dyn Fn() -> Option<String> + Send + Sync> =
            Arc::new(move || of_client.reason(args.renew_deadline));
        if let Some(address) = args.listen.0 {
            let (identity, metrics) = (identity.clone(), metrics.clone());
            let state = http::State { identity, status, locked_out: Arc::clone(&locked_out), metrics };
            let served = workers.handle().spawn(http::serve(address, state)).await;
            if let Err(error) = served.map_err(Into::into).flatten() {
                // The elector may have acquired the lease meanwhile, and no work will ever run.
                release.cancel();
                wait_for_release(task, args.renew_deadline).await;
                return Err(error);
            }
        }
        tokio::spawn(report_lockout(locked_out, metrics.clone()));
        tokio::spawn(report_leaders(beliefs.clone(), view, metrics));
        if lease.is_some() {
            tokio::spawn(say_if_never_ready(beliefs.clone(), view, args.lease_duration * 2));
        }

        let limits = Limits { after_loss: args.lease_duration - args.renew_deadline, drain: args.drain_timeout };
        let contending = || {
            if let Some(lease) = &lease {
                info!(lease, identity, "attempting to acquire leader lease");
            }
        };
        let lead = work::lead(beliefs, view, shutdown, limits, work, workers.handle(), contending);
        let end = select! {
            // The elector first: once it has died, the result of the work comes too late.
            biased;
            end = &mut task => bail!("the elector ended by itself: {}", describe(end)),
            end = lead => end,
        };
        if let Err(error @ LeadError::Overstayed { .. }) = end {
            // The work may still run. So the lease is kept, and the process ends.
            return Err(error.into());
        }
        release.cancel();
        wait_for_release(task, args.renew_deadline).await;
        last_words.close();
        let _ = timeout(LAST_WORDS, last_words.wait()).await;
        match end? {
            End::Shutdown => Ok(()),
            End::Returned(Ok(())) => bail!("the work ended by itself"),
            End::Returned(Err(error)) => Err(error.context("the work ended by itself")),
        }
    }
}

/// The runtime of the work and of HTTP.
#[derive(Debug)]
enum Workers {
    /// Threads of their own. They are never joined: work that does not yield would be waited for.
    Own(ManuallyDrop<Runtime>),
    /// A runtime with a clock that tests move.
    #[cfg(test)]
    Given(Handle),
}

impl Workers {
    fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("work").enable_all().build();
        Ok(Self::Own(ManuallyDrop::new(runtime.context("starting the threads of the work")?)))
    }

    fn handle(&self) -> &Handle {
        match self {
            Self::Own(runtime) => runtime.handle(),
            #[cfg(test)]
            Self::Given(handle) => handle,
        }
    }
}

/// Logs that the election is off. A developer asked for that; a pod may run beside replicas, or beside its successor in a
/// rollout, so there it is a warning.
fn say_that_the_election_is_off(in_a_pod: bool) {
    let message = "leader election is off, this replica leads for life";
    if in_a_pod {
        warn!(hint = "ENABLE_LEADER_ELECTION=true in the pod's environment", "{message}");
    } else {
        info!(hint = "--enable-leader-election", "{message}");
    }
}

/// Waits for the release, and logs why it failed. The lease then expires by itself: that delays a successor, and this replica
/// has not failed.
async fn wait_for_release(task: JoinHandle<Result<()>>, bound: Duration) {
    match timeout(bound, task).await {
        Ok(Ok(Ok(()))) => {}
        Ok(end) => warn!(reason = describe(end), "could not release the lease, it expires by itself"),
        Err(_) => warn!(reason = "no answer in time", "could not release the lease, it expires by itself"),
    }
}

/// Logs the usual causes once, if the election does not see the Lease within `bound`. The crates log only the symptom, a
/// failed request.
async fn say_if_never_ready<S>(mut beliefs: watch::Receiver<S>, view: fn(&S) -> Status, bound: Duration) {
    if timeout(bound, beliefs.wait_for(|belief| view(belief).ready)).await.is_err() {
        warn!(
            "the lease was not seen for {bound:?}: look whether it exists and this account may read it, and whether a \
             NetworkPolicy or a firewall lets this pod out to the API server's port"
        );
    }
}

fn describe(end: Result<Result<()>, JoinError>) -> String {
    match end {
        Ok(Ok(())) => "it returned".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) => format!("{:#}", anyhow!(error)),
    }
}

/// Logs and counts each change of leader, where the election reports the leader.
async fn report_leaders<S>(mut beliefs: watch::Receiver<S>, view: fn(&S) -> Status, metrics: Metrics) {
    let mut known = None;
    loop {
        let leader = view(&beliefs.borrow_and_update()).leader;
        if leader.is_some() && leader != known {
            info!(leader, "new leader");
            metrics.leader_changed();
            known = leader;
        }
        if beliefs.changed().await.is_err() {
            return;
        }
    }
}

/// Logs that the API server has locked this replica out, once each time that it begins.
async fn report_lockout(locked_out: Arc<dyn Fn() -> Option<String> + Send + Sync>, metrics: Metrics) {
    let mut known = false;
    loop {
        let reason = locked_out();
        metrics.locked_out(reason.is_some());
        if let Some(reason) = reason.as_ref().filter(|_| !known) {
            error!(reason, "locked out of the API server");
        }
        known = reason.is_some();
        sleep(LOOK_AFTER).await;
    }
}

/// Ends the process: code 0, or code 1 with the reason as the last line of the log. Returning from `main` instead would
/// wait for tasks that never yield, and with them for work that has outlived its lease.
pub fn exit(result: Result<()>) -> ! {
    match result {
        Ok(()) => {
            logs::flush();
            process::exit(0)
        }
        Err(error) => {
            if tracing::dispatcher::has_been_set() {
                error!(reason = format!("{error:#}"), "exiting");
                logs::flush();
            } else {
                eprintln!("error: {error:#}");
            }
            process::exit(1)
        }
    }
}

#[cfg(test)]
mod tests;
