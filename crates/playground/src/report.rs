//! What came of each fault, read out of the events. Pure functions: nothing here knows of processes or of the clock.
//!
//! Two things are kept apart. A *reign* is the time in which a replica took itself for the leader and could act: a
//! frozen process cannot. An *act* is what it did. Two acted at once when one acted although another one's later term
//! had begun and still went on; that is what an election is there to prevent.

mod table;

pub use table::table;

use std::time::Duration;

use still_leading_testbed::Event;
use still_leading_testbed::history::{EXITED, HARNESS, Term, acts, overlaps, terms};

use crate::faults::Fault;
use crate::print::seconds;

/// Two terms may seem to overlap because a process that has lost its lease has yet to be run to say so.
const NOTICE_MIN: Duration = Duration::from_millis(100);

/// One fault that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// What.
    pub fault: Fault,
    /// To whom: who led before.
    pub victim: String,
    /// When, in monotonic nanoseconds.
    pub at: u64,
    /// When it was undone, if it was.
    pub healed: Option<u64>,
}

/// A time in which a replica took itself for the leader and could act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// Who.
    pub replica: String,
    /// When the term began that it belongs to. Of two reigns, that of the later term is the rightful one.
    pub term: u64,
    /// Its begin.
    pub from: u64,
    /// Its end; none while it goes on.
    pub until: Option<u64>,
}

/// An act of a replica although another one's later term had begun and went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleAct {
    /// Who acted.
    pub replica: String,
    /// Who led.
    pub beside: String,
    /// When it acted.
    pub at: u64,
    /// Since when both could act.
    pub since: u64,
}

/// Stale acts in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtOnce {
    /// Who acted although another one led.
    pub who: String,
    /// That other one.
    pub beside: String,
    /// How often.
    pub acts: usize,
    /// From when both could act to the last such act.
    pub lasting: Duration,
}

/// What came of one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Who led before.
    pub before: String,
    /// The first other one that led, and how long after the fault.
    pub successor: Option<(String, Duration)>,
    /// Who led in the end.
    pub after: Option<String>,
    /// For how long nobody led, in all.
    pub gap: Duration,
    /// Whether two acted at once.
    pub at_once: Option<AtOnce>,
    /// For how long two took themselves for the leader, though perhaps only one acted.
    pub believed: Duration,
    /// How often the victim acted after it was thawed, in the term from before. None if it was not frozen.
    pub after_thaw: Option<usize>,
}

/// Judges what happened from the fault until `until`.
pub fn judge(events: &[Event], episode: &Episode, until: u64) -> Verdict {
    let (at, victim) = (episode.at, &episode.victim);
    let reigns = reigns(events);
    let terms = terms(events);
    let first = terms.iter().find(|term| term.replica != *victim && (at..=until).contains(&term.from));
    let stale: Vec<StaleAct> = stale_acts(events).into_iter().filter(|act| (at..=until).contains(&act.at)).collect();
    Verdict {
        before: victim.clone(),
        successor: first.map(|term| (term.replica.clone(), Duration::from_nanos(term.from - at))),
        after: leader_at(&reigns, until).map(str::to_owned),
        gap: gap(&reigns, at, until),
        at_once: summary(&stale),
        believed: believed(&reigns, at, until),
        after_thaw: (episode.fault == Fault::Freeze).then(|| acts_after_thaw(events, episode)).flatten(),
    }
}

/// Every spell in which a replica took itself for the leader and was not frozen.
pub fn reigns(events: &[Event]) -> Vec<Reign> {
    let frozen = frozen(events);
    let mut reigns = Vec::new();
    for term in terms(events) {
        let mut from = Some(term.from);
        let own = frozen.iter().filter(|it| it.replica == term.replica && it.until.is_none_or(|end| end > term.from));
        for freeze in own.filter(|freeze| term.until.is_none_or(|end| freeze.from < end)) {
            // An empty reign is none: a replica may be frozen just when its term begins.
            let Some(from) = std::mem::replace(&mut from, freeze.until).filter(|from| *from < freeze.from) else {
                continue;
            };
            let until = Some(freeze.from);
            reigns.push(Reign { replica: term.replica.clone(), term: term.from, from, until });
        }
        if let Some(from) = from.filter(|from| term.until.is_none_or(|end| *from < end)) {
            reigns.push(Reign { replica: term.replica.clone(), term: term.from, from, until: term.until });
        }
    }
    reigns
}

/// When each replica was frozen, as a [`Term`] of the frost.
pub fn frozen(events: &[Event]) -> Vec<Term> {
    let mut frozen: Vec<Term> = Vec::new();
    for event in events {
        let victim = match event.replica.as_str() {
            HARNESS => event.fields.get("to").and_then(|to| to.as_str()).unwrap_or_default(),
            replica => replica,
        };
        let open = frozen.iter_mut().find(|it| it.replica == victim && it.until.is_none());
        match (event.message.as_str(), open) {
            ("SIGSTOP", None) if event.replica == HARNESS => {
                frozen.push(Term { replica: victim.to_owned(), from: event.at, until: None });
            }
            ("SIGCONT" | EXITED, Some(freeze)) => freeze.until = Some(event.at),
            _ => {}
        }
    }
    frozen
}

/// Who led at a moment; of several, the one whose term began last.
pub fn leader_at(reigns: &[Reign], at: u64) -> Option<&str> {
    let current = reigns.iter().filter(|reign| reign.from <= at && reign.until.is_none_or(|until| until > at));
    current.max_by_key(|reign| reign.term).map(|reign| reign.replica.as_str())
}

/// Every act of one whose place had been taken. An act after the own term's end counts as one of that term.
pub fn stale_acts(events: &[Event]) -> Vec<StaleAct> {
    let (terms, reigns) = (terms(events), reigns(events));
    let mut stale = Vec::new();
    for act in acts(events) {
        let own = terms.iter().rfind(|term| term.replica == act.replica && term.from <= act.at);
        // Terms are in the order of their begin, so of two that began at once the second one is the later.
        let later = |term: &&Reign| own.is_some_and(|own| (own.from, &own.replica) < (term.term, &term.replica));
        let others = reigns.iter().filter(|reign| reign.replica != act.replica && reign.from <= act.at);
        let Some(other) = others.filter(later).find(|reign| reign.until.is_none_or(|until| until > act.at)) else {
            continue;
        };
        let resumed = reigns.iter().rfind(|reign| reign.replica == act.replica && reign.from <= act.at);
        let since = other.from.max(resumed.map_or(0, |reign| reign.from));
        stale.push(StaleAct { replica: act.replica, beside: other.replica.clone(), at: act.at, since });
    }
    stale
}

fn summary(stale: &[StaleAct]) -> Option<AtOnce> {
    let (first, last) = (stale.first()?, stale.last()?);
    let lasting = Duration::from_nanos(last.at.saturating_sub(first.since));
    Some(AtOnce { who: first.replica.clone(), beside: first.beside.clone(), acts: stale.len(), lasting })
}

/// How much of a time no reign covers.
fn gap(reigns: &[Reign], from: u64, until: u64) -> Duration {
    let mut spans: Vec<(u64, u64)> =
        reigns.iter().map(|reign| (reign.from.max(from), reign.until.unwrap_or(until).min(until))).collect();
    spans.retain(|(begin, end)| begin < end);
    spans.sort_unstable();
    let (mut covered, mut nobody) = (from, 0);
    for (begin, end) in spans {
        nobody += begin.saturating_sub(covered);
        covered = covered.max(end);
    }
    Duration::from_nanos(nobody + until.saturating_sub(covered))
}

/// For how long two took themselves for the leader, short moments aside.
fn believed(reigns: &[Reign], from: u64, until: u64) -> Duration {
    let as_term = |reign: &Reign| Term { replica: reign.replica.clone(), from: reign.from, until: reign.until };
    let terms: Vec<Term> = reigns.iter().map(as_term).collect();
    let lengths = overlaps(&terms).into_iter().map(|overlap| {
        let (begin, end) = (overlap.from.max(from), overlap.until.unwrap_or(until).min(until));
        Duration::from_nanos(end.saturating_sub(begin))
    });
    lengths.filter(|length| *length >= NOTICE_MIN).sum()
}

fn acts_after_thaw(events: &[Event], episode: &Episode) -> Option<usize> {
    let thawed = episode.healed?;
    // What it does in a term that it has won since is its right.
    let terms = terms(events);
    let again = terms.iter().find(|term| term.replica == episode.victim && term.from > thawed);
    let end = again.map_or(u64::MAX, |term| term.from);
    let acts = acts(events);
    Some(acts.iter().filter(|act| act.replica == episode.victim && (thawed..end).contains(&act.at)).count())
}

impl Verdict {
    /// What happened, in one line for a person.
    pub fn line(&self, fault: Fault) -> String {
        let mut parts = vec![self.who_leads(fault), self.nobody_led(), self.acted_at_once()];
        if self.at_once.is_none() && !self.believed.is_zero() {
            parts.push(format!("for {} two took themselves for the leader", seconds(self.believed)));
        }
        parts.extend(self.acted_after_thaw());
        parts.join("; ")
    }

    fn who_leads(&self, fault: Fault) -> String {
        match (&self.after, &self.successor) {
            (None, _) => "nobody leads".to_owned(),
            (Some(after), None) if self.gap.is_zero() => format!("{after} led on"),
            (Some(after), None) => format!("{after} leads again"),
            (Some(after), Some((first, took))) if after == first => {
                format!("{after} leads, {} after {}", seconds(*took), cause(fault))
            }
            (Some(after), Some((first, took))) => {
                format!("{first} led {} after {}, and now {after} leads", seconds(*took), cause(fault))
            }
        }
    }

    fn nobody_led(&self) -> String {
        if self.gap.is_zero() {
            "there was always a leader".to_owned()
        } else {
            format!("nobody led for {}", seconds(self.gap))
        }
    }

    fn acted_at_once(&self) -> String {
        match &self.at_once {
            None => "two never acted at once".to_owned(),
            Some(AtOnce { who, beside, acts, lasting }) => {
                let lasting = seconds(*lasting);
                format!("TWO ACTED AT ONCE: {who} acted {} within {lasting} although {beside} led", times(*acts))
            }
        }
    }

    fn acted_after_thaw(&self) -> Option<String> {
        let acts = self.after_thaw?;
        let before = &self.before;
        Some(match acts {
            0 => format!("{before} did not act after the thaw"),
            acts => format!("{before} acted {} after the thaw", times(acts)),
        })
    }
}

fn cause(fault: Fault) -> &'static str {
    match fault {
        Fault::Term => "SIGTERM",
        Fault::Kill => "SIGKILL",
        Fault::Freeze => "SIGSTOP",
        Fault::Network(_) => "the fault",
    }
}

fn times(n: usize) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

#[cfg(test)]
mod tests;
