//! Runs work while a replica leads, and ends it in order. This is independent of how the leader is elected.
//!
//! The order is always the same: cancel the work, wait until it has ended, and only then give up the lease. Every wait
//! has a bound. [`Elector::lead`](crate::Elector::lead) does this for the election of this crate; an application with
//! another election implements [`Terms`] and calls [`lead`].

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::select;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// The terms of a replica, one after another.
pub trait Terms: Send {
    /// One spell of leadership.
    type Term: Clone + Send + Sync + 'static;

    /// Waits until a term begins that is not over yet.
    fn begin(&mut self) -> impl Future<Output = Self::Term> + Send;

    /// Waits until `term` is over, and returns why.
    fn over(&mut self, term: &Self::Term) -> impl Future<Output = String> + Send;

    /// Whether `term` is over by now.
    fn is_over(&self, term: &Self::Term) -> bool;

    /// For how long `term` had been over when that was noticed: a process may have been paused meanwhile.
    fn overdue(&self, _term: &Self::Term) -> Duration {
        Duration::ZERO
    }

    /// The token that is cancelled when `term` is to be handed over to another replica. By default nobody asks for that.
    fn asked_to_hand_over(&self, _term: &Self::Term) -> CancellationToken {
        CancellationToken::new()
    }

    /// Gives the lease of `term` to another replica: the work has ended. Returns when the term is over.
    ///
    /// # Errors
    /// Something of the work still runs. The lease must be kept then.
    fn hand_over(&mut self, _term: &Self::Term) -> impl Future<Output = Result<(), LeadError>> + Send {
        async { Ok(()) }
    }
}

/// How long the work may take to end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After the term is over: the lease lasts for so much longer, so `lease_duration - renew_deadline`.
    pub after_loss: Duration,
    /// After a shutdown was asked for. The lease is renewed meanwhile; the end of the term ends this wait as well.
    pub drain: Duration,
}

/// What happens to the work, for logs and metrics.
#[derive(Debug)]
pub enum Phase<'a, T> {
    /// The replica waits for a term.
    Contending,
    /// A term has begun.
    Leading(&'a T),
    /// The work of a term has ended, for this reason.
    Stopped(&'a str),
}

/// How leading ended although nothing went wrong. No work runs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<T> {
    /// A shutdown was asked for.
    Shutdown,
    /// The work returned by itself while its term lasted.
    Returned(T),
}

/// How leading failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeadError {
    /// The work panicked. Nothing of it runs any more.
    #[error("the work panicked: {0}")]
    Panicked(String),
    /// The work did not end in time: it may still run, and another replica may lead. Only the end of the process helps.
    #[error("the work did not stop within {bound:?} ({reason})")]
    Overstayed {
        /// How long it had.
        bound: Duration,
        /// Why it had to stop.
        reason: String,
    },
    /// The elector is gone, by this panic or error.
    #[error("the elector ended by itself: {0}")]
    Elector(String),
}

/// Runs `work` on the runtime of `workers`, once for each term, until `shutdown` completes. The work receives the term and a
/// token that is cancelled when the work must end. `observe` learns of each phase.
///
/// The returned future belongs on a thread that the work cannot block. Dropping it aborts the work, and does not wait.
///
/// # Errors
/// The work panicked or outlived its time. After [`LeadError::Overstayed`] the lease must not be released.
pub async fn lead<S, W, F>(
    terms: S,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
    workers: &Handle,
    observe: impl FnMut(Phase<'_, S::Term>),
    work: W,
) -> Result<End<F::Output>, LeadError>
where
    S: Terms,
    W: Fn(S::Term, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output: Send + 'static> + Send,
{
    lead_tracked(terms, shutdown, limits, (workers, &TaskTracker::new()), observe, work).await
}

/// As [`lead`]. The tracker knows of the work from before it starts until it has ended, however that comes.
pub(crate) async fn lead_tracked<S, W, F>(
    mut terms: S,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
    (workers, tracker): (&Handle, &TaskTracker),
    mut observe: impl FnMut(Phase<'_, S::Term>),
    work: W,
) -> Result<End<F::Output>, LeadError>
where
    S: Terms,
    W: Fn(S::Term, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output: Send + 'static> + Send,
{
    let mut shutdown = std::pin::pin!(shutdown);
    let work = Arc::new(work);
    loop {
        observe(Phase::Contending);
        // In this order, here and below: no term begins once a shutdown was asked for.
        let term = select! {
            biased;
            () = &mut shutdown => return Ok(End::Shutdown),
            term = terms.begin() => term,
        };
        observe(Phase::Leading(&term));
        let cancelled = CancellationToken::new();
        // Also when the work ends by itself, or nobody waits for it: what it has left in other tasks learns of it.
        let _cancel = cancelled.clone().drop_guard();
        let (of_task, its_term, its_token) = (Arc::clone(&work), term.clone(), cancelled.clone());
        // The closure runs in the task as well, since it may block or panic like the rest of the work.
        let task = tracker.spawn_on(async move { of_task(its_term, its_token).await }, workers);
        let mut task = AbortOnDropHandle::new(task);
        let asked = terms.asked_to_hand_over(&term);
        let stop = select! {
            biased;
            () = &mut shutdown => Stop::Shutdown,
            () = asked.cancelled() => Stop::HandOver,
            reason = terms.over(&term) => Stop::Lost(reason),
            end = &mut task => {
                let output = ended(end)?;
                if !terms.is_over(&term) && asked.is_cancelled() {
                    // The work asked for it, and was first.
                    observe(Phase::Stopped(HANDING_OVER));
                    // What it has left in other tasks must begin no act while those that run are waited for.
                    cancelled.cancel();
                    terms.hand_over(&term).await?;
                    continue;
                }
                if !terms.is_over(&term) {
                    observe(Phase::Stopped("the work ended by itself"));
                    return Ok(output.map_or(End::Shutdown, End::Returned));
                }
                // The work asks as well, and may come first to the end of its term.
                observe(Phase::Stopped(&terms.over(&term).await));
                continue;
            }
        };
        cancelled.cancel();
        match stop {
            Stop::Lost(reason) => {
                let reason = after_loss(task, left(&terms, &term, limits), reason).await?;
                observe(Phase::Stopped(&reason));
            }
            Stop::Shutdown => {
                let reason = drain(&mut terms, &term, task, limits, SHUTTING_DOWN).await?;
                observe(Phase::Stopped(&reason));
                return Ok(End::Shutdown);
            }
            Stop::HandOver => {
                let reason = drain(&mut terms, &term, task, limits, HANDING_OVER).await?;
                observe(Phase::Stopped(&reason));
                terms.hand_over(&term).await?;
            }
        }
    }
}

const SHUTTING_DOWN: &str = "shutting down";
const HANDING_OVER: &str = "handing over";

/// Why the work of a term has to stop.
enum Stop {
    Shutdown,
    Lost(String),
    HandOver,
}

/// What the lease has left for work whose term is over.
fn left<S: Terms>(terms: &S, term: &S::Term, limits: Limits) -> Duration {
    limits.after_loss.saturating_sub(terms.overdue(term))
}

/// Waits for work whose term is over. Work that does not stop makes every promise of the election void.
async fn after_loss<T>(task: AbortOnDropHandle<T>, bound: Duration, reason: String) -> Result<String, LeadError> {
    match timeout(bound, task).await {
        Ok(end) => ended(end).map(|_| reason),
        Err(_) => Err(LeadError::Overstayed { bound, reason }),
    }
}

/// Waits for work that was asked to end in order: until its time is up, or its term and what the lease has left after it.
async fn drain<S: Terms, T>(
    terms: &mut S,
    term: &S::Term,
    mut task: AbortOnDropHandle<T>,
    limits: Limits,
    reason: &str,
) -> Result<String, LeadError> {
    let reason = reason.to_owned();
    let lost = select! {
        biased;
        end = &mut task => return ended(end).map(|_| reason),
        lost = terms.over(term) => lost,
        () = sleep(limits.drain) => return Err(LeadError::Overstayed { bound: limits.drain, reason }),
    };
    after_loss(task, left(terms, term, limits), lost).await
}

/// The output of the work; `None` if the runtime that it ran on was shut down.
fn ended<T>(end: Result<T, JoinError>) -> Result<Option<T>, LeadError> {
    match end.map_err(JoinError::try_into_panic) {
        Ok(output) => Ok(Some(output)),
        Err(Ok(panic)) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(LeadError::Panicked(text.unwrap_or_else(|| "without a message".to_owned())))
        }
        Err(Err(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
