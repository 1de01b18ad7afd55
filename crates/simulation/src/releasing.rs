//! How far a process has come in giving the Lease up.

use std::time::Duration;

use crate::time::{NEVER, Ns};

/// See the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Releasing {
    /// When it gives up; not known before the request in flight was answered.
    pub(crate) gives_up: Option<Ns>,
    pub(crate) pause: Duration,
    pub(crate) sleeps_until: Ns,
    pub(crate) was_refused: bool,
    /// The process contends again when it has given the Lease up.
    pub(crate) is_hand_over: bool,
    pub(crate) is_done: bool,
}

impl Releasing {
    /// When it goes on without anything coming from outside.
    pub(crate) fn due(&self) -> Ns {
        let gives_up = self.gives_up.unwrap_or(NEVER);
        if self.sleeps_until > 0 { self.sleeps_until.min(gives_up) } else { gives_up }
    }
}
