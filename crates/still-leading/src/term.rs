//! A term as the application holds it: a deadline, not a boolean.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::select;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounded::bounded;
use crate::clock::Clock;
use crate::lease::{Lost, Moment};

/// One unbroken spell of leadership. Cheap to clone; renewals move the end of all clones.
///
/// Once over, a term stays over. Ask [`remaining`](Self::remaining) before each act, or run the act inside
/// [`guard`](Self::guard): the answer turns to zero by this process's own clock, even if no task has run since.
#[derive(Clone)]
pub struct Term {
    shared: Arc<Shared>,
    cancelled: CancellationToken,
    /// Cancelled when the term is to be handed over.
    asked: CancellationToken,
    /// Cancelled when the work has ended and the Lease may be released.
    given_up: CancellationToken,
    /// `lead` runs the work, and alone knows when it has ended.
    is_led: bool,
    /// What runs through the gates of this term.
    acts: TaskTracker,
}

struct Shared {
    epoch: u64,
    /// In nanoseconds of the clock; zero once the term is over.
    valid_until: AtomicU64,
    clock: Arc<dyn Clock>,
    over: CancellationToken,
    lost: OnceLock<Lost>,
    /// When it ended, on the clock.
    ended_at: OnceLock<Moment>,
}

/// The term ended before the guarded future did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the term is over: {0}")]
pub struct TermOver(pub Lost);

impl Term {
    pub(crate) fn new(epoch: u64, valid_until: Moment, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            epoch,
            valid_until: AtomicU64::new(nanos(valid_until)),
            clock,
            over: CancellationToken::new(),
            lost: OnceLock::new(),
            ended_at: OnceLock::new(),
        };
        let asked = CancellationToken::new();
        let (given_up, acts) = (CancellationToken::new(), TaskTracker::new());
        Self { shared: Arc::new(shared), cancelled: asked.clone(), asked, given_up, is_led: false, acts }
    }

    /// The fencing token: the resourceVersion that the acquiring write produced, or was first seen with.
    ///
    /// Send it along with whatever the leader writes, and let the receiver reject an epoch that is smaller than one that
    /// it has accepted. A later term of any replica has a larger epoch, with one exception: after etcd was restored from
    /// a backup, resourceVersions start again from the backup. Then epochs may repeat, and somebody has to lower
    /// what the receivers have stored.
    ///
    /// Zero if the API server's resourceVersion is not a number. Kubernetes documents that it is.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// How long this replica may still act without another renewal; zero when the term is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        loop {
            let valid_until = self.shared.valid_until.load(Ordering::Acquire);
            let remaining = Duration::from_nanos(valid_until).saturating_sub(self.shared.clock.now());
            if !remaining.is_zero() || valid_until == 0 {
                return remaining;
            }
            // Whoever has seen the end has seen it for good: no renewal may bring this term back.
            let sealed = self.shared.valid_until.compare_exchange(valid_until, 0, Ordering::AcqRel, Ordering::Acquire);
            if sealed.is_ok() {
                self.shared.ended_at.set(Duration::from_nanos(valid_until)).unwrap_or_default();
                return Duration::ZERO;
            }
        }
    }

    /// Whether the term is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits until the term is over, and returns why. Right also if the elector does not run: it asks the clock.
    pub async fn ended(&self) -> Lost {
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return self.lost();
            }
            select! {
                () = self.shared.over.cancelled() => {}
                // Renewals move the end, so this asks anew.
                () = sleep(remaining) => {}
            }
        }
    }

    /// Waits until the work should stop: the term is over, or a shutdown or a hand-over was asked for.
    ///
    /// After a shutdown or a hand-over was asked for, the term goes on until the work has ended, so that it can end in order.
    pub async fn cancelled(&self) {
        select! {
            () = self.cancelled.cancelled() => {}
            _ = self.ended() => {}
        }
    }

    /// The token behind [`cancelled`](Self::cancelled), for interfaces that want a `'static` future, such as
    /// `Controller::graceful_shutdown_on(term.cancellation_token().cancelled_owned())`. It is cancelled by
    /// [`Elector::lead`](crate::Elector::lead), as soon as the term is over or a shutdown or a hand-over was asked for. Of an
    /// elector that was [started](crate::Elector::start), it is cancelled only when a hand-over was asked for.
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Runs `future` for as long as the term lasts. It is dropped at its next `.await` when the term is over; a future
    /// that blocks its thread cannot be stopped by this. [`Config::on_overstay`](crate::Config::on_overstay) says what
    /// happens to such work.
    ///
    /// # Errors
    /// The term was over before `future` had completed.
    pub async fn guard<F: Future>(&self, future: F) -> Result<F::Output, TermOver> {
        bounded(future, || self.is_over(), self.ended()).await.ok_or_else(|| TermOver(self.lost()))
    }

    /// Gives the leadership to another replica, which may be any: this one contends again after the others.
    ///
    /// In [`Elector::lead`](crate::Elector::lead) the work is cancelled and ends first, as at a shutdown. An application with an
    /// elector that was [started](crate::Elector::start) calls this only after its work has ended: the Lease is released at
    /// once. It does so when [`cancelled`](Self::cancelled) completes while the term lasts, since then a hand-over was asked for.
    pub fn hand_over(&self) {
        if self.is_led { self.asked.cancel() } else { self.given_up.cancel() }
    }

    /// Why the term ended. The elector says so, unless the clock was first.
    fn lost(&self) -> Lost {
        self.shared.lost.get().cloned().unwrap_or(Lost::RenewDeadline)
    }

    /// The term as `lead` hands it to the work: told when to end, and with its acts waited for.
    pub(crate) fn of_lead(self, cancelled: CancellationToken, acts: TaskTracker) -> Self {
        Self { cancelled, acts, ..self }
    }

    /// The same for work that `lead` runs: nobody else says that it has ended.
    pub(crate) fn led(self) -> Self {
        Self { is_led: true, ..self }
    }

    /// Has the Lease released: the work has ended.
    pub(crate) fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Has the work cancelled for a hand-over. Returns whether this is the first time.
    pub(crate) fn ask_to_hand_over(&self) -> bool {
        let is_first = !self.asked.is_cancelled();
        self.asked.cancel();
        is_first
    }

    /// Cancelled when the term is to be handed over.
    pub(crate) fn asked_to_hand_over(&self) -> CancellationToken {
        self.asked.clone()
    }

    /// Waits until the work has ended, for the Lease to be released.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    pub(crate) fn acts(&self) -> TaskTracker {
        self.acts.clone()
    }

    /// Moves the end. Returns whether the term still lasted.
    pub(crate) fn extend(&self, valid_until: Moment) -> bool {
        let end = nanos(valid_until);
        while !self.is_over() {
            let present = self.shared.valid_until.load(Ordering::Acquire);
            if present >= end || present == 0 {
                return present != 0;
            }
            if self.shared.valid_until.compare_exchange(present, end, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return true;
            }
        }
        false
    }

    pub(crate) fn end(&self, lost: Lost) {
        // The reason first: whoever sees the end asks for it.
        self.shared.lost.set(lost).unwrap_or_default();
        if !self.is_over() {
            self.shared.ended_at.set(self.shared.clock.now()).unwrap_or_default();
        }
        self.shared.valid_until.store(0, Ordering::Release);
        self.shared.over.cancel();
    }

    /// For how long it has been over.
    pub(crate) fn overdue(&self) -> Duration {
        self.shared.ended_at.get().map_or(Duration::ZERO, |ended| self.shared.clock.now().saturating_sub(*ended))
    }

    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term").field("epoch", &self.epoch()).field("remaining", &self.remaining()).finish()
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
