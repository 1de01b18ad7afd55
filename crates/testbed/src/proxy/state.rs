//! What the mode is and was: a connection has to meet a fault even if it is over when the connection looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fault::Action;
use super::mode::Mode;
use crate::verb::Verb;

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    mode: Mode,
    /// How often the mode was set.
    changes: usize,
    /// How often it was set to one that breaks connections, and which was the last.
    breaks: usize,
    last_break: Mode,
    /// How many more requests the fault is for. Shared, because every request counts.
    left: Option<Arc<AtomicUsize>>,
}

/// What a request met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// None: it passes.
    pub(super) action: Option<Action>,
    /// Which setting of the mode that was.
    pub(super) change: usize,
}

impl State {
    pub(super) fn set(&mut self, mode: Mode) {
        self.mode = mode;
        self.changes += 1;
        self.left = match mode {
            Mode::Http(fault) => fault.times.map(|times| Arc::new(AtomicUsize::new(times))),
            _ => None,
        };
        if mode.breaks_connections() {
            self.breaks += 1;
            self.last_break = mode;
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn breaks(&self) -> usize {
        self.breaks
    }

    /// Whether a connection is broken that stands since there had been so many breaks.
    pub(super) fn has_broken(&self, breaks: usize) -> bool {
        self.breaks > breaks || !self.mode.serves()
    }

    /// Whether a broken connection may end.
    pub(super) fn lets_go(&self) -> bool {
        match self.last_break {
            Mode::HalfOpen => false,
            Mode::BlackHole => self.mode != Mode::BlackHole,
            _ => true,
        }
    }

    /// Whether a broken connection ends with a reset.
    pub(super) fn resets(&self) -> bool {
        self.last_break == Mode::Reset
    }

    /// Whether the mode was set again since then.
    pub(super) fn is_over(&self, met: Met) -> bool {
        self.changes != met.change
    }

    /// What a request meets that has just arrived.
    pub(super) fn meet(&self, verb: Verb) -> Met {
        self.meet_if(verb, |_| true)
    }

    /// What a watch meets that is in flight.
    pub(super) fn meet_in_flight(&self) -> Met {
        self.meet_if(Verb::Watch, Action::meets_watches_in_flight)
    }

    fn meet_if(&self, verb: Verb, suits: impl Fn(Action) -> bool) -> Met {
        let action = match self.mode {
            Mode::Http(fault) if fault.concerns(verb) && suits(fault.what) && self.is_left() => Some(fault.what),
            _ => None,
        };
        Met { action, change: self.changes }
    }

    /// Takes one of what is left.
    fn is_left(&self) -> bool {
        let take = |left: usize| left.checked_sub(1);
        self.left.as_ref().is_none_or(|left| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok())
    }
}
