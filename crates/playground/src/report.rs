//! What came of each fault, by the [judge](still_leading_testbed::history::judge) of the testbed. Pure functions: nothing
//! here knows of processes or of the clock.

mod table;

pub use table::table;

use std::time::Duration;

use still_leading_testbed::Event;
use still_leading_testbed::history::judge::{
    Gap, StaleAct, gaps, leader_at, leading, overlaps, refusal, stale_acts, terms,
};

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

/// Stale acts in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleActs {
    /// Who acted after the end of its term.
    pub who: String,
    /// Who led at the time, if another one did: then two acted at once.
    pub beside: Option<String>,
    /// How often.
    pub acts: usize,
    /// From when its term was over and it could act, to the last such act.
    pub lasting: Duration,
}

/// What came of one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who led before.
    pub before: String,
    /// The first other one that led, and how long after the fault.
    pub successor: Option<(String, Duration)>,
    /// Who led in the end.
    pub after: Option<String>,
    /// For how long nobody led, in all.
    pub gap: Duration,
    /// Acts after the end of the actor's term, if there were any.
    pub stale: Option<StaleActs>,
    /// For how long two terms overlapped, though perhaps only one acted.
    pub overlap: Duration,
    /// How many stale acts of the victim came after it was thawed. None if it was not frozen and thawed.
    pub after_thaw: Option<usize>,
    /// How many writes the API server refused, because a later leader had written.
    pub refused: usize,
}

/// Judges what happened from the fault until `until`.
pub fn outcome(events: &[Event], episode: &Episode, until: u64) -> Outcome {
    let (at, victim) = (episode.at, &episode.victim);
    let terms = terms(events);
    let first = terms.iter().find(|term| term.replica != *victim && (at..=until).contains(&term.from));
    let stale: Vec<StaleAct> = stale_acts(events).into_iter().filter(|act| (at..=until).contains(&act.at)).collect();
    let thawed = episode.healed.filter(|_| episode.fault == Fault::Freeze);
    let of_victim = |thawed: u64| stale.iter().filter(|act| act.replica == *victim && act.at >= thawed).count();
    Outcome {
        before: victim.clone(),
        successor: first.map(|term| (term.replica.clone(), Duration::from_nanos(term.from - at))),
        after: leader_at(&leading(events), until).map(|leading| leading.replica.clone()),
        gap: gaps(events, at, until).iter().map(Gap::length).sum(),
        stale: summary(&stale),
        overlap: overlap(events, at, until),
        after_thaw: thawed.map(of_victim),
        refused: events.iter().filter(|event| (at..=until).contains(&event.at) && refusal(event).is_some()).count(),
    }
}

/// Tells of those beside another leader, if there are any: they are the worse ones.
fn summary(stale: &[StaleAct]) -> Option<StaleActs> {
    let first = stale.iter().find(|act| act.beside.is_some()).or(stale.first())?;
    let alike: Vec<&StaleAct> = stale.iter().filter(|act| act.beside.is_some() == first.beside.is_some()).collect();
    let lasting = Duration::from_nanos(alike.last()?.at.saturating_sub(first.since));
    let mut who: Vec<&str> = Vec::new();
    for act in &alike {
        if !who.contains(&act.replica.as_str()) {
            who.push(&act.replica);
        }
    }
    let is_same = alike.iter().all(|act| act.beside == first.beside);
    let beside = first.beside.clone().map(|name| if is_same { name } else { "another one".to_owned() });
    Some(StaleActs { who: who.join(" and "), beside, acts: alike.len(), lasting })
}

/// For how long two terms overlapped, short moments aside.
fn overlap(events: &[Event], from: u64, until: u64) -> Duration {
    let lengths = overlaps(events).into_iter().map(|overlap| {
        let (start, end) = (overlap.from.max(from), overlap.until.unwrap_or(until).min(until));
        Duration::from_nanos(end.saturating_sub(start))
    });
    lengths.filter(|length| *length >= NOTICE_MIN).sum()
}

impl Outcome {
    /// What happened, in one line for a person.
    pub fn line(&self, fault: Fault) -> String {
        let mut parts = vec![self.who_leads(fault), self.nobody_led(), self.stale_acts()];
        if self.stale.is_none() && !self.overlap.is_zero() {
            parts.push(format!("for {} two took themselves for the leader", seconds(self.overlap)));
        }
        parts.extend(self.acted_after_thaw());
        if self.refused > 0 {
            parts.push(format!("the fence refused {}", writes(self.refused)));
        }
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

    fn stale_acts(&self) -> String {
        let Some(StaleActs { who, beside, acts, lasting }) = &self.stale else {
            return "two never acted at once".to_owned();
        };
        let acted = format!("{who} acted {} within {}", times(*acts), seconds(*lasting));
        match beside {
            Some(beside) => format!("TWO ACTED AT ONCE: {acted} although {beside} led"),
            None => format!("STALE ACTS: {acted} after the end of its term"),
        }
    }

    fn acted_after_thaw(&self) -> Option<String> {
        let before = &self.before;
        Some(match self.after_thaw? {
            0 => format!("{before} made no stale act after the thaw"),
            1 => format!("{before} made 1 stale act after the thaw"),
            acts => format!("{before} made {acts} stale acts after the thaw"),
        })
    }
}

/// A number of them.
pub fn writes(n: usize) -> String {
    if n == 1 { "1 write".to_owned() } else { format!("{n} writes") }
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
