//! The outcome of each fault, by the testbed's [judge](still_leading_testbed::history::judge). Pure functions: nothing here
//! knows of processes or of the clock.

mod table;

pub use table::table;

use std::time::Duration;

use still_leading_testbed::Event;
use still_leading_testbed::history::judge::{
    Gap, StaleAct, gaps, leader_at, leading, overlaps, refusal, stale_acts, terms,
};

use crate::faults::Fault;
use crate::print::seconds;

/// A shorter overlap does not count: a process that has lost its lease may not have run yet to log that.
const NOTICE_MIN: Duration = Duration::from_millis(100);

/// One fault that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The fault.
    pub fault: Fault,
    /// The replica that it hit: the leader at that time.
    pub victim: String,
    /// When it was injected, in monotonic nanoseconds.
    pub at: u64,
    /// When it was healed, if it was.
    pub healed: Option<u64>,
    /// When another fault came before this one's outcome showed, if one did. What happens from then on is counted as the other's.
    pub until: Option<u64>,
    /// Its outcome as last printed. The table at the end shows the same figures.
    pub told: Option<Outcome>,
}

/// One fault in the table, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// Its outcome, as far as it was seen.
    pub outcome: Outcome,
    /// Whether the election survived it.
    pub verdict: Verdict,
}

/// Whether the election survived a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody led after it.
    Led,
    /// Nobody led after it, for longer than a failover takes.
    NobodyLed,
    /// The demo ended, or another fault came, before its outcome showed.
    Undecided,
}

/// How long to wait before an outcome counts.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a new leader is watched.
    pub settling: Duration,
    /// A leader that survives a fault for this long keeps its lease.
    pub holding: Duration,
    /// Longer than any failover takes.
    pub bound: Duration,
}

/// A summary of stale acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleActs {
    /// Who acted after the end of its term.
    pub who: String,
    /// Who led at the time, if another replica did. Then two acted at once.
    pub beside: Option<String>,
    /// How many acts.
    pub acts: usize,
    /// The time from when its term was over and it could act to the last such act.
    pub lasting: Duration,
}

/// The outcome of one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who led before.
    pub before: String,
    /// The first other replica that led, and how long after the fault.
    pub successor: Option<(String, Duration)>,
    /// Who led in the end.
    pub after: Option<String>,
    /// How long nobody led, in total.
    pub gap: Duration,
    /// Acts after the end of the actor's term, if there were any.
    pub stale: Option<StaleActs>,
    /// How long two terms overlapped. That does not mean that both acted.
    pub overlap: Duration,
    /// How many stale acts of the victim came after the thaw. `None` if it was not frozen and thawed.
    pub after_thaw: Option<usize>,
    /// How many writes the API server refused because a later leader had written.
    pub refused: usize,
}

/// Judges what happened from the fault until `now`, or until the next fault. What the victim does after a thaw is judged up to
/// `now` in any case.
pub fn outcome(events: &[Event], episode: &Episode, now: u64) -> Outcome {
    let (at, victim) = (episode.at, &episode.victim);
    let until = episode.until.map_or(now, |until| until.min(now));
    let terms = terms(events);
    let first = terms.iter().find(|term| term.replica != *victim && (at..=until).contains(&term.from));
    let thawed = episode.healed.filter(|_| episode.fault == Fault::Freeze);
    let is_its = |act: &StaleAct| {
        let after_thaw = thawed.is_some_and(|thawed| act.replica == *victim && act.at >= thawed);
        (at..=now).contains(&act.at) && (act.at <= until || after_thaw)
    };
    let stale: Vec<StaleAct> = stale_acts(events).into_iter().filter(is_its).collect();
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

/// Summarises stale acts. If some were beside another leader, only those count, since they are worse.
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

/// How long two terms overlapped, short moments aside.
fn overlap(events: &[Event], from: u64, until: u64) -> Duration {
    let lengths = overlaps(events).into_iter().map(|overlap| {
        let (start, end) = (overlap.from.max(from), overlap.until.unwrap_or(until).min(until));
        Duration::from_nanos(end.saturating_sub(start))
    });
    lengths.filter(|length| *length >= NOTICE_MIN).sum()
}

/// Whether the outcome shows by `now`: there is a new leader and it was watched, or the leader has survived, or the fault was
/// healed and what followed was watched. After another fault there is nothing more to wait for.
pub fn shows(episode: &Episode, outcome: &Outcome, patience: Patience, now: u64) -> bool {
    let nanos = |duration: Duration| duration.as_nanos() as u64;
    let until = episode.until.unwrap_or(now);
    let led_on = outcome.after.as_ref() == Some(&episode.victim);
    let survived = episode.fault.can_be_survived() && led_on && until > episode.at + nanos(patience.holding);
    let Some((_, took)) = &outcome.successor else {
        let undone = episode.until.is_none() && episode.healed.is_some_and(|at| now > at + nanos(patience.settling));
        return outcome.after.is_some() && (survived || undone);
    };
    let settled = now > episode.at + nanos(*took) + nanos(patience.settling);
    (settled && outcome.after.is_some()) || episode.until.is_some()
}

/// Judges a fault at the end of the demo.
pub fn conclude(events: &[Event], episode: &Episode, patience: Patience, end: u64) -> Row {
    let fault = episode.fault;
    if let Some(told) = &episode.told {
        let verdict = if told.was_survived() { Verdict::Led } else { Verdict::NobodyLed };
        return Row { fault, outcome: told.clone(), verdict };
    }
    let outcome = outcome(events, episode, end);
    let verdict = if outcome.successor.is_some() || shows(episode, &outcome, patience, end) {
        Verdict::Led
    } else if episode.until.is_none() && end > episode.at + patience.bound.as_nanos() as u64 {
        Verdict::NobodyLed
    } else {
        Verdict::Undecided
    };
    Row { fault, outcome, verdict }
}

impl Outcome {
    /// Whether somebody led after the fault.
    pub fn was_survived(&self) -> bool {
        self.after.is_some() || self.successor.is_some()
    }

    /// The outcome, in one line for people.
    pub fn line(&self, fault: Fault) -> String {
        let mut parts = vec![self.who_leads(fault), self.nobody_led(), self.stale_acts()];
        if self.stale.is_none() && !self.overlap.is_zero() {
            parts.push(format!("for {} two believed that they led", seconds(self.overlap)));
        }
        parts.extend(self.acted_after_thaw());
        if self.refused > 0 {
            parts.push(format!("the fence refused {}", writes(self.refused)));
        }
        parts.join("; ")
    }

    fn who_leads(&self, fault: Fault) -> String {
        match (&self.after, &self.successor) {
            (None, Some((first, took))) => format!("{first} led {} after {}", seconds(*took), cause(fault)),
            (None, None) => "nobody leads".to_owned(),
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

/// A number of writes, in words.
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
