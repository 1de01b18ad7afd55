//! The work that only the leader does: here, one log line each tick. This is the part to replace by your own.
//!
//! What stays is the shape. The work asks before each act whether it still may, it ends when it is cancelled, and
//! somebody else waits for that end: a lease must not be given away while the work still runs.

use std::future::pending;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{Status, Term};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pause between two acts.
    pub tick: Duration,
    /// How long the work may run on after its term was lost: the lease has that much left.
    pub after_loss: Duration,
    /// How long the work may run on after a shutdown was asked for. The lease is renewed meanwhile.
    pub at_shutdown: Duration,
}

/// The work itself. The term carries the epoch, to be sent along with whatever the work writes.
async fn work(term: Term, tick: Duration, cancelled: CancellationToken) {
    let mut n: u64 = 0;
    loop {
        select! {
            biased;
            () = cancelled.cancelled() => break,
            () = sleep(tick) => {}
        }
        // The last thing before the act: this process may have been stopped since, and a timer says nothing about that.
        if !term.may_act() {
            break;
        }
        n += 1;
        info!(n, "still leading");
    }
    info!("leading cancelled");
}

/// Runs [`work`] for each term of this replica until `shutdown`. `contending` is called whenever the replica starts to
/// wait for a term.
///
/// # Errors
/// The work ended by itself or overstayed.
pub async fn lead<S>(
    mut beliefs: watch::Receiver<S>,
    view: fn(&S) -> Status,
    shutdown: CancellationToken,
    limits: Limits,
    contending: impl Fn(),
) -> Result<()> {
    loop {
        contending();
        let term = select! {
            () = shutdown.cancelled() => return Ok(()),
            term = begin_of_term(&mut beliefs, view) => term,
        };
        info!(tick = %humantime::format_duration(limits.tick), epoch = term.epoch(), "leading");
        let cancel = CancellationToken::new();
        let mut task = tokio::spawn(work(term.clone(), limits.tick, cancel.clone()));
        let (reason, bound) = select! {
            () = shutdown.cancelled() => ("shutting down".to_owned(), limits.at_shutdown),
            reason = end_of_term(&mut beliefs, view, &term) => (reason, limits.after_loss),
            // The work also asks, and may come first to the end of its term.
            end = &mut task => {
                end?;
                if term.may_act() {
                    bail!("the work ended by itself");
                }
                info!(reason = "the term ran out", "stopped leading");
                continue;
            }
        };
        cancel.cancel();
        stop(task, bound, &reason).await?;
        info!(reason, "stopped leading");
        if shutdown.is_cancelled() {
            return Ok(());
        }
    }
}

/// Work that does not stop makes every promise of the election void; only the end of the process helps then.
async fn stop(task: JoinHandle<()>, bound: Duration, reason: &str) -> Result<()> {
    match timeout(bound, task).await {
        Ok(end) => Ok(end?),
        Err(_) => bail!("the work did not stop within {} ({reason})", humantime::format_duration(bound)),
    }
}

async fn begin_of_term<S>(beliefs: &mut watch::Receiver<S>, view: fn(&S) -> Status) -> Term {
    loop {
        if let Some(term) = view(&beliefs.borrow_and_update()).term.filter(Term::may_act) {
            return term;
        }
        changed(beliefs).await;
    }
}

/// Waits until the elector no longer believes in `term`, or `term` has run out although the elector said nothing.
async fn end_of_term<S>(beliefs: &mut watch::Receiver<S>, view: fn(&S) -> Status, term: &Term) -> String {
    loop {
        let status = view(&beliefs.borrow_and_update());
        if !status.term.as_ref().is_some_and(|current| current.is_same_as(term)) {
            return status.lost.unwrap_or_else(|| "the election was lost".to_owned());
        }
        // Read anew, since a renewal has moved the end.
        let remaining = term.remaining();
        if remaining.is_zero() {
            return "the term ran out".to_owned();
        }
        select! {
            () = changed(beliefs) => {}
            () = sleep(remaining) => {}
        }
    }
}

/// An elector that is gone says nothing more. The caller watches its task and ends the process with the reason.
async fn changed<S>(beliefs: &mut watch::Receiver<S>) {
    if beliefs.changed().await.is_err() {
        pending().await
    }
}

#[cfg(test)]
mod tests;
