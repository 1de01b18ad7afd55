//! Lets acts through while a term lasts, and waits for those that have begun.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::select;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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

    /// Whether an act may begin.
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
    /// Not to be called again within `act`: once a shutdown is asked for, that would refuse what `act` may still finish. Ask
    /// [`remaining`](Self::remaining) there.
    ///
    /// # Errors
    /// The gate was closed, or the term was over before `act` had completed.
    pub async fn run<F: Future>(&self, act: F) -> Result<F::Output, NotLeading> {
        if !self.is_open() {
            return Err(NotLeading);
        }
        let _running = self.running.token();
        let (mut act, mut over) = (pin!(act), pin!(self.over()));
        poll_fn(|context| {
            // Asks the clock before each step: this process may have been stopped since the last one.
            if self.remaining().is_zero() || over.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(NotLeading));
            }
            act.as_mut().poll(context).map(Ok)
        })
        .await
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
    fn from(term: crate::Term) -> Self {
        let cancelled = term.cancellation_token();
        Self::new(move || term.remaining(), cancelled)
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
