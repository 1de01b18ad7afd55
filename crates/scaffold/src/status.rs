//! What the elector believes, as the application sees it. Leadership is a deadline, not a boolean.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// What this replica knows about the election.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Whether the elector has seen the Lease. Before that, the other fields mean nothing.
    pub ready: bool,
    /// The identity of the leader, where the election reports it.
    pub leader: Option<String>,
    /// This replica's own term. Present does not mean that it may act: ask [`Term::may_act`].
    pub term: Option<Term>,
    /// Why the last term ended, where the election reports it.
    pub lost: Option<String>,
}

/// One unbroken spell of leadership.
#[derive(Clone)]
pub struct Term {
    epoch: Option<u64>,
    /// Whether somebody has seen the term end. All clones of the same term share it.
    over: Arc<AtomicBool>,
    remaining: Arc<dyn Fn() -> Duration + Send + Sync>,
    hand_over: Option<HandOver>,
}

/// How the lease is handed over to another replica while the process goes on.
#[derive(Clone)]
struct HandOver {
    asked: CancellationToken,
    give: Arc<dyn Fn() + Send + Sync>,
}

impl Term {
    /// Makes a term with its fencing token, where the election has one, and a function that returns how long it remains valid.
    /// The function is called for each question, so that a process that was stopped and resumed gets the answer of the moment.
    pub fn new(epoch: Option<u64>, remaining: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { epoch, over: Arc::default(), remaining: Arc::new(remaining), hand_over: None }
    }

    /// The same, for an election that can hand over to another replica: `asked` is cancelled when the work is to end for
    /// that, and `give` releases the lease once it has ended.
    #[must_use]
    pub fn with_hand_over(self, asked: CancellationToken, give: impl Fn() + Send + Sync + 'static) -> Self {
        Self { hand_over: Some(HandOver { asked, give: Arc::new(give) }), ..self }
    }

    /// Cancelled when the work is to end for another replica to lead; never, if the election cannot hand over.
    pub(crate) fn asked_to_hand_over(&self) -> CancellationToken {
        self.hand_over.as_ref().map_or_else(CancellationToken::new, |it| it.asked.clone())
    }

    /// Releases the lease. The work has ended.
    pub(crate) fn give(&self) {
        if let Some(hand_over) = &self.hand_over {
            (hand_over.give)();
        }
    }

    /// Makes a term that never ends, for a replica without an election.
    #[must_use]
    pub fn for_life() -> Self {
        Self::new(None, || Duration::MAX)
    }

    /// Returns the fencing token. It is larger in each later term of any replica.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Returns how long this replica may still act; zero when the term is over. A term that is over stays over, even if the
    /// election renews it in the same moment.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        if self.over.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let remaining = (self.remaining)();
        if remaining.is_zero() {
            self.over.store(true, Ordering::Release);
        }
        remaining
    }

    /// Whether this replica may act now.
    #[must_use]
    pub fn may_act(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Whether `other` is the same term. Without epochs, this cannot distinguish two terms.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term").field("epoch", &self.epoch).field("remaining", &self.remaining()).finish()
    }
}
