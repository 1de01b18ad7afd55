//! Judges a history: overlaps, stale acts, gaps, and who led when. Pure functions, so that a saved history can be judged
//! again.
//!
//! - An *overlap* is a time in which two replicas had a term and could act, or acted. A frozen replica cannot act.
//! - A *stale act* is an act after the end of the actor's term. The term ends when its replica logs that, when the process
//!   ends, or when a later term of another replica begins: a Lease has one holder.
//! - A *gap* is a time in which nobody led.
//!
//! A history does not always show enough to judge by, so a [`Verdict`] can also be [`Verdict::Unknown`].

mod terms;

pub use terms::{Act, Frozen, Leading, Term, acts, frozen, is_act, leading, refusal, terms};

use std::fmt;
use std::time::Duration;

use super::event::{Event, LOG_LOST};

/// What a history shows about a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// The promise was kept.
    Held,
    /// The promise was broken. Has each occasion, in the order of the times.
    Violated(Vec<T>),
    /// The history does not show whether the promise was kept. Has each reason.
    Unknown(Vec<Doubt>),
}

/// Something that a history does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The replica whose log does not show it.
    pub replica: String,
    /// When it happened or was noticed, in monotonic nanoseconds.
    pub at: u64,
    /// What is missing.
    pub reason: Reason,
}

/// Why a history does not show something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The last lines of the log could not be read.
    LogLost,
    /// The term of another replica began and this replica did not act any more, but it did not log the end of its own term.
    NoEndLogged,
    /// The replica acted after a later term of another replica was over or that replica was frozen. It may have acquired
    /// the Lease again without logging a new term.
    LaterTermOver,
}

/// A time in which two replicas had a term and could act, or acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The replica whose term began first, then the other one.
    pub replicas: [String; 2],
    /// Its start, in monotonic nanoseconds.
    pub from: u64,
    /// Its end, in monotonic nanoseconds; `None` while it goes on. An act outside of any term of its actor takes no time.
    pub until: Option<u64>,
}

/// An act after the end of the actor's term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleAct {
    /// The replica that acted.
    pub replica: String,
    /// Who led at the time, if another replica did.
    pub beside: Option<String>,
    /// When it acted, in monotonic nanoseconds.
    pub at: u64,
    /// Since when its term was over and it could act.
    pub since: u64,
}

/// A time in which nobody led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its start, in monotonic nanoseconds.
    pub from: u64,
    /// Its end, in monotonic nanoseconds.
    pub until: u64,
}

impl<T> Verdict<T> {
    /// Whether the promise was kept. False if that is unknown.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held)
    }

    fn of(violations: Vec<T>, doubts: Vec<Doubt>) -> Self {
        match (violations.is_empty(), doubts.is_empty()) {
            (false, _) => Self::Violated(violations),
            (true, false) => Self::Unknown(doubts),
            (true, true) => Self::Held,
        }
    }
}

impl Gap {
    /// Returns how long it lasted.
    pub fn length(&self) -> Duration {
        Duration::from_nanos(self.until.saturating_sub(self.from))
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replica = &self.replica;
        match self.reason {
            Reason::LogLost => write!(f, "the end of the log of {replica} was lost"),
            Reason::NoEndLogged => write!(f, "{replica} did not log the end of its term"),
            Reason::LaterTermOver => {
                write!(f, "{replica} acted after another term than its own was over, and did not log a new one")
            }
        }
    }
}

/// Returns who led at a moment: of several, the one whose term began last.
pub fn leader_at(leading: &[Leading], at: u64) -> Option<&Leading> {
    leading.iter().filter(|it| it.contains(at)).max_by_key(|it| (it.term, &it.replica))
}

/// Returns how often, after `from` and up to `until`, a term began of another replica than the one that led before.
pub fn changes(events: &[Event], from: u64, until: u64) -> usize {
    let terms = terms(events);
    let pairs = terms.windows(2).filter(|pair| pair[0].replica != pair[1].replica);
    pairs.filter(|pair| from < pair[1].from && pair[1].from <= until).count()
}

/// Returns every overlap of two replicas, as far as the history shows. Terms that only touch do not overlap.
pub fn overlaps(events: &[Event]) -> Vec<Overlap> {
    let (leading, terms) = (leading(events), terms(events));
    let mut overlaps = Vec::new();
    for (place, a) in leading.iter().enumerate() {
        for b in leading[place + 1..].iter().filter(|b| b.replica != a.replica) {
            let (first, second) = if (a.term, a.from) <= (b.term, b.from) { (a, b) } else { (b, a) };
            let from = a.from.max(b.from);
            let until = earlier(a.until, b.until);
            if until.is_none_or(|until| from < until) {
                overlaps.push(Overlap { replicas: [first.replica.clone(), second.replica.clone()], from, until });
            }
        }
    }
    let has_term = |act: &Act| {
        terms
            .iter()
            .any(|it| it.replica == act.replica && it.from <= act.at && it.until.is_none_or(|end| act.at <= end))
    };
    for act in acts(events).into_iter().filter(|act| !has_term(act)) {
        let others = leading.iter().filter(|it| it.replica != act.replica && it.contains(act.at));
        overlaps.extend(others.map(|other| Overlap {
            replicas: [act.replica.clone(), other.replica.clone()],
            from: act.at,
            until: Some(act.at),
        }));
    }
    overlaps.sort_by_key(|it| it.from);
    overlaps
}

/// Judges whether two replicas never led or acted at the same time.
pub fn no_overlap(events: &[Event]) -> Verdict<Overlap> {
    let (certain, doubts) = judged_overlaps(events);
    Verdict::of(certain, doubts)
}

/// Returns the overlaps that the history proves, and why it may not show others.
pub fn judged_overlaps(events: &[Event]) -> (Vec<Overlap>, Vec<Doubt>) {
    let (terms, acts) = (terms(events), acts(events));
    // A replica that does not log the end of its term looks like a leader for as long as its process runs. If it does not act any
    // more, it may have stopped in time.
    let is_silent = |overlap: &Overlap| {
        let older = &overlap.replicas[0];
        let own = terms.iter().rfind(|term| term.replica == *older && term.from <= overlap.from);
        let is_open = own.is_some_and(|term| term.until.is_none());
        let within = |at: u64| overlap.from <= at && overlap.until.is_none_or(|until| at <= until);
        is_open && !acts.iter().any(|act| act.replica == *older && within(act.at))
    };
    let (silent, certain): (Vec<_>, Vec<_>) = overlaps(events).into_iter().partition(is_silent);
    let doubts = silent.into_iter().map(|Overlap { replicas: [replica, _], from: at, .. }| {
        let reason = Reason::NoEndLogged;
        Doubt { replica, at, reason }
    });
    (certain, doubts.chain(lost(events, 0)).collect())
}

/// Returns every stale act that the history proves, in the order of their times.
pub fn stale_acts(events: &[Event]) -> Vec<StaleAct> {
    judged_acts(events).0
}

/// Judges whether nobody acted after the end of its term, at the times that `counts` selects.
pub fn no_stale_act(events: &[Event], counts: impl Fn(u64) -> bool) -> Verdict<StaleAct> {
    let (mut stale, mut doubts) = judged_acts(events);
    stale.retain(|act| counts(act.at));
    doubts.retain(|doubt| counts(doubt.at));
    doubts.extend(lost(events, 0));
    Verdict::of(stale, doubts)
}

/// Returns the stale acts, and doubts about acts that may be stale.
fn judged_acts(events: &[Event]) -> (Vec<StaleAct>, Vec<Doubt>) {
    let (terms, leading) = (terms(events), leading(events));
    let (mut stale, mut doubts) = (Vec::new(), Vec::new());
    for Act { replica, at } in acts(events) {
        let others: Vec<Leading> = leading.iter().filter(|it| it.replica != replica).cloned().collect();
        let beside = leader_at(&others, at);
        let own = terms.iter().rfind(|term| term.replica == replica && term.from <= at);
        let ended = match own {
            // A replica that never had a term acts outside of any.
            None => Some(0),
            Some(own) => own.until.filter(|until| *until < at),
        };
        // If two terms began at once, the order of the names decides.
        let is_later = |term: u64, of: &String| own.is_some_and(|own| (own.from, &own.replica) < (term, of));
        let resumed = leading.iter().rfind(|it| it.replica == replica && it.from <= at).map_or(0, |it| it.from);
        let mut add = |beside: Option<&Leading>, over: u64| {
            let since = beside.map_or(over, |other| other.from.max(over));
            let since = if since == 0 { at } else { since };
            let beside = beside.map(|other| other.replica.clone());
            stale.push(StaleAct { replica: replica.clone(), beside, at, since });
        };
        match (ended, beside) {
            (Some(ended), beside) => add(beside, ended),
            (None, Some(other)) if is_later(other.term, &other.replica) => add(Some(other), resumed),
            (None, _)
                if terms.iter().any(|it| it.replica != replica && it.from <= at && is_later(it.from, &it.replica)) =>
            {
                doubts.push(Doubt { replica, at, reason: Reason::LaterTermOver });
            }
            (None, _) => {}
        }
    }
    (stale, doubts)
}

/// Returns every time between `from` and `until` in which nobody led, as far as the history shows.
pub fn gaps(events: &[Event], from: u64, until: u64) -> Vec<Gap> {
    let spans = leading(events).into_iter().map(|it| (it.from, it.until.unwrap_or(until).min(until)));
    let mut spans: Vec<(u64, u64)> = spans.filter(|(start, end)| start < end).collect();
    spans.sort_unstable();
    let (mut gaps, mut covered) = (Vec::new(), from);
    for (start, end) in spans.into_iter().chain([(until, until)]) {
        if covered < start {
            gaps.push(Gap { from: covered, until: start });
        }
        covered = covered.max(end);
    }
    gaps
}

/// Judges whether somebody led all the time between `from` and `until`.
pub fn no_gap(events: &[Event], from: u64, until: u64) -> Verdict<Gap> {
    // A lost line may be the start of a term, so no gap is certain.
    match lost(events, from) {
        doubts if doubts.is_empty() => Verdict::of(gaps(events, from, until), doubts),
        doubts => Verdict::Unknown(doubts),
    }
}

/// Returns a doubt for each log whose end was lost after `from`.
fn lost(events: &[Event], from: u64) -> Vec<Doubt> {
    let lost = events.iter().filter(|event| event.message == LOG_LOST && event.at >= from);
    lost.map(|event| Doubt { replica: event.replica.clone(), at: event.at, reason: Reason::LogLost }).collect()
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
