//! The replica's half of a watch: opened again whenever it ends, at most once every retry period. As `watch_for_ever` in
//! the library's requests.rs.

use std::time::Duration;

use crate::time::{Ns, nanos};

/// What the watch wants to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Ask the server for a watch of this number.
    Open(u64),
    /// Tell the elector that the watch has ended.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Pausing,
    Opening { gives_up: Ns },
    Open,
}

/// See the file.
#[derive(Clone, Debug)]
pub struct Watch {
    number: u64,
    phase: Phase,
    next_start: Ns,
}

impl Watch {
    /// A watch that opens at `now`, later than the watches up to `number`.
    pub fn start(number: u64, now: Ns) -> Self {
        Self { number, phase: Phase::Pausing, next_start: now }
    }

    /// The number of the watch that is open or opening.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What is due at `now`, if anything. `timeout` and `retry` are in virtual time.
    pub fn poll(&mut self, now: Ns, timeout: Duration, retry: Duration) -> Option<Want> {
        match self.phase {
            Phase::Pausing if self.next_start <= now => {
                self.number += 1;
                self.next_start = now + nanos(retry);
                self.phase = Phase::Opening { gives_up: now + nanos(timeout) };
                Some(Want::Open(self.number))
            }
            Phase::Opening { gives_up } if gives_up <= now => self.ends(self.number),
            _ => None,
        }
    }

    /// The server has accepted the watch `number`. Returns whether that is the one that is opening.
    pub fn opened(&mut self, number: u64) -> bool {
        let is_it = number == self.number && matches!(self.phase, Phase::Opening { .. });
        if is_it {
            self.phase = Phase::Open;
        }
        is_it
    }

    /// The watch `number` has ended, or was refused.
    pub fn ends(&mut self, number: u64) -> Option<Want> {
        if number != self.number || self.phase == Phase::Pausing {
            return None;
        }
        self.phase = Phase::Pausing;
        Some(Want::Ended)
    }

    /// Whether what the server sends on the watch `number` arrives.
    pub fn is_open(&self, number: u64) -> bool {
        number == self.number && self.phase == Phase::Open
    }

    /// When something is due.
    pub fn due(&self) -> Option<Ns> {
        match self.phase {
            Phase::Pausing => Some(self.next_start),
            Phase::Opening { gives_up } => Some(gives_up),
            Phase::Open => None,
        }
    }
}
