//! Lets acts through while a term lasts, and waits for those that have begun.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio::{select, task_local};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::bounded::bounded;

task_local! {
    /// The token of the gate that the present act runs in.
    static WITHIN: CancellationToken;
}

/// A term of another election does not say when it is over before its time, so it is asked so often.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Lets acts through while a term lasts, and knows which of them still run.
///
/// It works with the term of any election: a deadline that renewals move, and a token that is cancelled when the work should
/// end. A clone is the same gate.
#[derive(Clone)]
pub struct Gate {
    remaining: Arc<dyn Fn() -> Duration + Send + Sync>,
    cancelled: CancellationToken,
    running: TaskTracker,
}

/// The term is over, so the act did not begin, or was dropped before it had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the term is over")]
pub struct NotLeading;

impl Gate {
    /// A gate for a term that lasts for `remaining` from now on; zero once it is over. `cancelled` is the token that
    /// [`lead`](crate::lead) hands to the work: no act begins after it, and those that run may end in order.
    pub fn new(remaining: impl Fn() -> Duration + Send + Sync + 'static, cancelled: CancellationToken) -> Self {
        Self { remaining: Arc::new(remaining), cancelled, running: TaskTracker::new() }
    }

    /// How long the term still lasts without another renewal; zero when it is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        (self.remaining)()
    }

    /// Whether an act may begin: the term lasts, and no shutdown was asked for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.cancelled.is_cancelled() && !self.remaining().is_zero()
    }

    /// The token that is cancelled when the work should end.
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Runs `act` if the gate is open, for as long as the term lasts. The term is asked before each step of `act`. When it
    /// is over, `act` is dropped at its next `.await`; an act that blocks its thread cannot be stopped by this.
    /// [`idle`](Self::idle) waits for it in any case.
    ///
    /// An act that should end at a shutdown asks [`cancellation_token`](Self::cancellation_token).
    ///
    /// An act of this gate may run others until the term is over, also when the gate has closed meanwhile: what may finish
    /// after a shutdown was asked for may still write. A task that the act has spawned is no part of it.
    ///
    /// # Errors
    /// The gate was closed, or the term was over before `act` had completed.
    pub async fn run<F: Future>(&self, act: F) -> Result<F::Output, NotLeading> {
        let running = self.begin().ok_or(NotLeading)?;
        self.run_begun(running, act).await
    }

    /// As [`run`](Self::run), for an act that blocks. It runs on a thread for such acts. When the term is over, the caller
    /// goes on at once, and [`idle`](Self::idle) still waits for the act: nothing can stop it. So it should be short, or
    /// ask [`remaining`](Self::remaining) now and then.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// If the act panics.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotLeading> {
        let (running, gate) = (self.begin().ok_or(NotLeading)?, self.clone());
        let act = spawn_blocking(move || {
            let _running = running;
            // It may have waited for a thread.
            if gate.remaining().is_zero() { Err(NotLeading) } else { Ok(act()) }
        });
        match self.run_begun(self.running.token(), act).await? {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is being shut down.
                Err(_) => Err(NotLeading),
            },
        }
    }

    /// An act begins: it counts as running for as long as what this returns is there. `None` if it must not begin.
    pub(crate) fn begin(&self) -> Option<TaskTrackerToken> {
        // Counted first, asked second. Else `idle` could return in between, and the act would run after it.
        let running = self.running.token();
        let is_within = WITHIN.try_with(|gate| *gate == self.cancelled).unwrap_or(false);
        (self.is_open() || is_within && !self.remaining().is_zero()).then_some(running)
    }

    /// Runs an act that was let through already.
    pub(crate) async fn run_begun<F: Future>(
        &self,
        running: TaskTrackerToken,
        act: F,
    ) -> Result<F::Output, NotLeading> {
        // Dropped after the act.
        let _running = running;
        let act = WITHIN.scope(self.cancelled.clone(), act);
        bounded(act, || self.remaining().is_zero(), self.over()).await.ok_or(NotLeading)
    }

    /// Waits until the term is over. A shutdown alone does not end it.
    pub async fn over(&self) {
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return;
            }
            let soon = sleep(remaining.min(ASK_AGAIN));
            if self.cancelled.is_cancelled() {
                soon.await;
                continue;
            }
            select! {
                () = self.cancelled.cancelled() => {}
                () = soon => {}
            }
        }
    }

    /// Waits until no act runs that this gate has let through. Call it when no act begins any more.
    pub async fn idle(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// So many acts run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }
}

#[cfg(feature = "kube")]
impl From<crate::Term> for Gate {
    /// Every gate of a term counts the same acts. A term that did not come from [`Elector::lead`](crate::Elector::lead) is
    /// told of no shutdown: use [`Gate::new`] with a token of your own there.
    fn from(term: crate::Term) -> Self {
        let (cancelled, running) = (term.cancellation_token(), term.acts());
        Self { running, ..Self::new(move || term.remaining(), cancelled) }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Gate");
        shown.field("remaining", &self.remaining()).field("running", &self.running()).finish()
    }
}

#[cfg(test)]
mod tests;
