//! Reads terms, acts and times of leadership from a history, as the replicas logged them.

use crate::history::event::{EXITED, Event, FROZEN, HARNESS, THAWED};

const LEADING: &str = "leading";
const CANCELLED: &str = "leading cancelled";
const STOPPED: &str = "stopped leading";
const STILL_LEADING: &str = "still leading";
const RECONCILED: &str = "reconciled";
const UNCHANGED: &str = "unchanged";
const FAILED: &str = "reconcile failed";
const FENCED: &str = "fenced: ";

/// One unbroken spell of leadership of a replica, by its own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The leader.
    pub replica: String,
    /// When it logged `leading`, in monotonic nanoseconds.
    pub from: u64,
    /// When it logged `leading cancelled`, or its process ended, in monotonic nanoseconds; `None` if neither has happened.
    pub until: Option<u64>,
}

/// One thing that a leader did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The replica.
    pub replica: String,
    /// The time, in monotonic nanoseconds.
    pub at: u64,
}

/// A time in which a replica had a term and could act: its term without the times in which it was frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leading {
    /// The replica.
    pub replica: String,
    /// When its term began. Of two that lead at once, the one with the later term is the rightful leader.
    pub term: u64,
    /// The start of this time, in monotonic nanoseconds.
    pub from: u64,
    /// Its end; `None` while it goes on.
    pub until: Option<u64>,
}

/// A time in which a replica could not act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The replica.
    pub replica: String,
    /// When it was stopped, in monotonic nanoseconds.
    pub from: u64,
    /// When it was resumed or killed; `None` while it is stopped.
    pub until: Option<u64>,
}

impl Leading {
    /// Whether `at` is within this time.
    pub fn contains(&self, at: u64) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// Returns the terms in the order of their start. The end of a process ends its term.
pub fn terms(events: &[Event]) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for event in events {
        let open = terms.iter_mut().find(|term| term.replica == event.replica && term.until.is_none());
        match (event.message.as_str(), open) {
            (LEADING, None) => {
                terms.push(Term { replica: event.replica.clone(), from: event.at, until: None });
            }
            // A leader whose work did not end in time logs no `leading cancelled`.
            (CANCELLED | STOPPED | EXITED, Some(term)) => term.until = Some(event.at),
            _ => {}
        }
    }
    terms
}

/// Whether the event is something that only a leader may do: a tick, or a write of the example `controller`.
pub fn is_act(event: &Event) -> bool {
    let wrote = || event.fields.get("action").and_then(|it| it.as_str()).is_some_and(|action| action != UNCHANGED);
    event.message == STILL_LEADING || (event.message == RECONCILED && wrote())
}

/// Returns why the API server refused a write of a former leader: the fence's message, from `fenced: ` on. `None` for other
/// events.
pub fn refusal(event: &Event) -> Option<&str> {
    let error = event.fields.get("error").filter(|_| event.message == FAILED)?.as_str()?;
    error.find(FENCED).map(|place| &error[place..])
}

/// Returns the acts in the order of their times.
pub fn acts(events: &[Event]) -> Vec<Act> {
    let acts = events.iter().filter(|event| is_act(event));
    acts.map(|event| Act { replica: event.replica.clone(), at: event.at }).collect()
}

/// Returns when each replica was frozen, in the order of the start.
pub fn frozen(events: &[Event]) -> Vec<Frozen> {
    let mut frozen: Vec<Frozen> = Vec::new();
    for event in events {
        let replica = match event.replica.as_str() {
            HARNESS => event.fields.get("to").and_then(|to| to.as_str()).unwrap_or_default(),
            replica => replica,
        };
        let open = frozen.iter_mut().find(|it| it.replica == replica && it.until.is_none());
        match (event.message.as_str(), open) {
            (FROZEN, None) if event.replica == HARNESS => {
                frozen.push(Frozen { replica: replica.to_owned(), from: event.at, until: None });
            }
            (THAWED | EXITED, Some(freeze)) => freeze.until = Some(event.at),
            _ => {}
        }
    }
    frozen
}

/// Returns every time in which a replica led, in the order of the terms.
pub fn leading(events: &[Event]) -> Vec<Leading> {
    let frozen = frozen(events);
    let mut all = Vec::new();
    for term in terms(events) {
        let mut from = Some(term.from);
        let mut add = |from: u64, until: Option<u64>| {
            // A replica may be frozen in the moment in which its term begins.
            if until.is_none_or(|until| from < until) {
                all.push(Leading { replica: term.replica.clone(), term: term.from, from, until });
            }
        };
        let own = frozen.iter().filter(|it| it.replica == term.replica && it.until.is_none_or(|end| end > term.from));
        for freeze in own.filter(|freeze| term.until.is_none_or(|end| freeze.from < end)) {
            if let Some(from) = std::mem::replace(&mut from, freeze.until) {
                add(from, Some(freeze.from));
            }
        }
        if let Some(from) = from {
            add(from, term.until);
        }
    }
    all
}
