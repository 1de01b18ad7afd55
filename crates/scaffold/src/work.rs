//! The work that only the leader does. [`tick`] is the work of the demo, which logs a line per tick: replace it by your own.
//!
//! Keep its shape. The work asks before each act whether it still may, and it ends when it is cancelled.
//! `still_leading::lead` waits for that end, since the lease must not be released while the work still runs.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use still_leading::{End, LeadError, Limits, Phase, Terms};
use tokio::runtime::Handle;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{field::display, info};

use crate::{Status, Term};

/// The work of an application.
#[derive(Clone)]
pub struct Work {
    run: Arc<dyn Fn(Term, CancellationToken) -> BoxFuture<'static, Result<()>> + Send + Sync>,
    tick: Option<Duration>,
}

impl Work {
    /// Makes work from a function, which is called once per term: with the term, and a token that is cancelled when it must end.
    pub fn new<F>(work: impl Fn(Term, CancellationToken) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self { run: Arc::new(move |term, cancelled| work(term, cancelled).boxed()), tick: None }
    }

    /// The work of the demo: [`tick`].
    #[must_use]
    pub fn ticking(flags: Flags) -> Self {
        Self { tick: Some(flags.tick), ..Self::new(move |term, cancelled| tick(term, flags, cancelled)) }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("tick", &self.tick).finish_non_exhaustive()
    }
}

/// The flags of [`tick`].
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Flags {
    /// How often the leader acts
    #[arg(long, env, value_name = "DURATION", default_value = "5s", value_parser = longer_than_zero)]
    pub tick: Duration,

    /// How long an act takes
    ///
    /// It blocks its thread: neither SIGTERM nor the end of the term can interrupt it. After SIGTERM the replica waits for it,
    /// and renews the lease meanwhile. An act that outlasts the lease ends the process, with exit code 1.
    #[arg(long, env, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub act_duration: Duration,
}

fn longer_than_zero(value: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(value).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be longer than zero".to_owned()) } else { Ok(duration) }
}

/// The work of the demo. Send the term's epoch along with each write of your own work.
///
/// # Errors
/// It returns none.
pub async fn tick(term: Term, flags: Flags, cancelled: CancellationToken) -> Result<()> {
    let Flags { tick, act_duration } = flags;
    let mut n: u64 = 0;
    loop {
        select! {
            biased;
            () = cancelled.cancelled() => break,
            () = sleep(tick) => {}
        }
        // The last thing before the act. The process may have been stopped since the timer fired.
        if !term.may_act() {
            break;
        }
        n += 1;
        // On this thread on purpose. For the election, a long computation or a call into a C library looks the same.
        thread::sleep(act_duration);
        info!(n, "still leading");
    }
    info!("leading cancelled");
    Ok(())
}

/// Runs `work` on the runtime of `workers` for each term of this replica until `shutdown`. Calls `contending` each time the
/// replica starts to wait for a term.
///
/// # Errors
/// The work panicked, or ran on after its term.
pub async fn lead<S: Send + Sync>(
    beliefs: watch::Receiver<S>,
    view: fn(&S) -> Status,
    shutdown: CancellationToken,
    limits: Limits,
    work: Work,
    workers: &Handle,
    contending: impl Fn(),
) -> Result<End<Result<()>>, LeadError> {
    let Work { run, tick } = work;
    let tick = tick.map(|tick| display(humantime::format_duration(tick)));
    let observe = |phase: Phase<'_, Term>| match phase {
        Phase::Contending => contending(),
        Phase::Leading(term) => info!(tick, epoch = term.epoch(), "leading"),
        Phase::Stopped(reason) => info!(reason, "stopped leading"),
    };
    let beliefs = Beliefs { beliefs, view, overdue: Duration::ZERO };
    let work = move |term, cancelled| run(term, cancelled);
    still_leading::lead(beliefs, shutdown.cancelled_owned(), limits, workers, observe, work).await
}

/// The terms of a replica, as its elector publishes them.
struct Beliefs<S> {
    beliefs: watch::Receiver<S>,
    view: fn(&S) -> Status,
    /// How long the last term had been over when this was noticed. The process may have been stopped meanwhile.
    overdue: Duration,
}

impl<S> Beliefs<S> {
    fn status(&mut self) -> Status {
        (self.view)(&self.beliefs.borrow_and_update())
    }

    /// Waits for a change. If the elector is gone this never returns: the caller watches its task and ends the process.
    async fn changed(&mut self) {
        if self.beliefs.changed().await.is_err() {
            pending().await
        }
    }
}

impl<S: Send + Sync> Terms for Beliefs<S> {
    type Term = Term;

    async fn begin(&mut self) -> Term {
        loop {
            if let Some(term) = self.status().term.filter(Term::may_act) {
                return term;
            }
            self.changed().await;
        }
    }

    /// Waits until the elector no longer believes in `term`, or until `term` has run out. Returns the reason.
    async fn over(&mut self, term: &Term) -> String {
        let mut ends = None;
        loop {
            self.overdue = ends.map_or(Duration::ZERO, |ends: Instant| ends.elapsed());
            let status = self.status();
            if !status.term.as_ref().is_some_and(|current| current.is_same_as(term)) {
                return status.lost.unwrap_or_else(|| "the election was lost".to_owned());
            }
            // Asked anew, since a renewal may have moved the end.
            let remaining = term.remaining();
            if remaining.is_zero() {
                return "the term ran out".to_owned();
            }
            // A term without an end has no such moment.
            ends = Instant::now().checked_add(remaining);
            select! {
                () = self.changed() => {}
                () = sleep(remaining) => {}
            }
        }
    }

    fn is_over(&self, term: &Term) -> bool {
        !term.may_act()
    }

    fn overdue(&self, _: &Term) -> Duration {
        self.overdue
    }

    fn asked_to_hand_over(&self, term: &Term) -> CancellationToken {
        term.asked_to_hand_over()
    }

    async fn hand_over(&mut self, term: &Term) -> Result<(), LeadError> {
        term.give();
        self.over(term).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
