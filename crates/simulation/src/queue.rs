//! What happens when. Things of the same time happen in the order in which they were planned.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use k8s_openapi::api::coordination::v1::Lease;
use still_leading::internals::Event;

use crate::network::Key;
use crate::time::{NEVER, Ns};

/// What happens.
#[derive(Debug)]
pub(crate) enum Occurrence {
    Start(usize),
    Due(usize, u64),
    Arrives(Key, Option<Box<Lease>>),
    Answered(Key, Box<Event>),
    WatchArrives(Key),
    WatchFails(Key),
    Deliver(Key),
    Inject(usize),
    Heal(usize),
    Create,
    Clear,
    MustLead,
}

#[derive(Debug)]
struct Entry {
    at: Ns,
    sequence: u64,
    what: Occurrence,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// See the file.
#[derive(Debug)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    quantum: Ns,
}

impl Queue {
    /// An empty one, whose times are multiples of `quantum`.
    pub(crate) fn new(quantum: Ns) -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, quantum }
    }

    pub(crate) fn push(&mut self, at: Ns, what: Occurrence) {
        if at >= NEVER {
            return;
        }
        self.sequence += 1;
        let at = at.next_multiple_of(self.quantum);
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, what }));
    }

    pub(crate) fn pop(&mut self) -> Option<(Ns, Occurrence)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }
}
