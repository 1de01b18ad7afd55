//! The present mode and a count of the past ones: a connection has to meet a fault even if it checks only after the fault is
//! over.

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
    /// How often the mode was set to one that breaks connections, and the last such mode.
    breaks: usize,
    last_break: Mode,
    /// How many more requests the fault affects. Shared, since every request counts.
    left: Option<Arc<AtomicUsize>>,
}

/// What applies to a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// The action on it; `None` if it passes.
    pub(super) action: Option<Action>,
    /// The number of the mode's setting.
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

    /// Whether a connection is broken that began after this many breaks.
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

    /// Whether the mode was set again since.
    pub(super) fn is_over(&self, met: Met) -> bool {
        self.changes != met.change
    }

    /// Returns what applies to a request that has just arrived.
    pub(super) fn meet(&self, verb: Verb) -> Met {
        self.meet_if(verb, |_| true)
    }

    /// Returns what applies to a watch in flight.
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

    /// Whether the fault affects one more request, which is then counted.
    fn is_left(&self) -> bool {
        let take = |left: usize| left.checked_sub(1);
        self.left.as_ref().is_none_or(|left| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok())
    }
}
