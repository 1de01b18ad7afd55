//! Reads a record: how long two led, who acted when it might not, how long nobody led, and what that cost. Pure functions of
//! the record, by the rules of [`still_leading_testbed::history::judge`] and three more:
//!
//! - A replica that is thawed logs the end of its term a moment later, though it may have known it at once. Such a moment
//!   counts as an overlap only if it acts in it.
//! - Somebody *leads again* with the first act by whoever has the latest term, after the fault had gone and after every time
//!   of more than a retry period without a leader. A leader that acts once more before it loses its Lease has not recovered.
//! - The *gap* is the longest time between the fault and the end in which nobody led.

mod traffic;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use still_leading_testbed::Event;
use still_leading_testbed::history::judge::{
    self, Doubt, Overlap, StaleAct, Verdict as Shown, acts, frozen, gaps, judged_overlaps, leader_at, leading,
    no_stale_act, stale_acts,
};

use super::millis;
use super::record::{Line, Replica, Trial, panics};
pub use traffic::Traffic;

/// More requests of one replica in a second are too many: client-go lets through 5 a second after a burst of 10.
pub const REQUESTS_PER_SECOND_MAX: usize = 15;

/// What a trial shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// No two led or acted at once, nobody acted after the end of its term, epochs grew.
    pub safety: Verdict,
    /// Somebody led again in time.
    pub liveness: Verdict,
    /// No replica asked too often, or panicked.
    pub manners: Verdict,
    /// What was measured; none where the trial shows nothing.
    pub figures: Option<Figures>,
}

/// What a trial shows of one promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was kept.
    Held,
    /// It was broken: how.
    Violated(String),
    /// Nothing: why.
    Unknown(String),
}

/// What was measured. Times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// For how long two or more had a term at once, by their logs.
    pub overlap_ms: f64,
    /// How many acts there were beside the acts of a later leader's term.
    pub acts_beside: usize,
    /// How many acts there were after the end of the actor's own term, those beside a later leader included.
    pub stale_acts: usize,
    /// The longest time without a leader between the fault and the end.
    pub gap_ms: f64,
    /// From when the fault had gone until somebody led and acted; none if nobody did.
    pub recovered_ms: Option<f64>,
    /// From the fault until the watching ended.
    pub watched_ms: f64,
    /// How many terms began after the fault.
    pub terms: usize,
    /// Whether epochs grew from term to term; none where the subject tells none.
    pub epochs_in_order: Option<bool>,
    /// How many processes ended without being asked to.
    pub exits: usize,
    /// How many panics there were: processes that ended so, and tasks of those that went on.
    pub panics: usize,
    /// What the replicas asked of the API server after the fault had come.
    pub traffic: Traffic,
    /// Changes of the Lease after the fault had come.
    pub lease_writes: usize,
    /// Processor time since the fault had come, of the replicas that still ran at the end.
    pub cpu_ms: u64,
    /// Memory of the largest of them, in bytes.
    pub rss: u64,
    /// Memory of all of them, in bytes.
    pub rss_total: u64,
    /// How many of them had a watch.
    pub watches: usize,
    /// How many replicas there were.
    pub replicas: usize,
}

impl Verdict {
    /// Whether the promise was broken.
    #[must_use]
    pub fn is_violated(&self) -> bool {
        matches!(self, Self::Violated(_))
    }

    /// Whether it was kept.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self == Self::Held
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("held"),
            Self::Violated(how) => write!(f, "VIOLATED: {how}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// Judges a trial.
#[must_use]
pub fn judge(trial: &Trial) -> Judgement {
    if let Some(why) = &trial.failed {
        let unknown = || Verdict::Unknown(why.clone());
        return Judgement { safety: unknown(), liveness: unknown(), manners: unknown(), figures: None };
    }
    let events = trial.history();
    let figures = figures(trial, &events);
    Judgement {
        safety: safety(trial, &events, &figures),
        liveness: liveness(trial, &figures),
        manners: manners(&figures),
        figures: Some(figures),
    }
}

fn safety(trial: &Trial, events: &[Event], figures: &Figures) -> Verdict {
    let mut found = Vec::new();
    if figures.overlap_ms > 0.0 {
        found.push(format!("two led at once for {} ms", figures.overlap_ms));
    }
    match (figures.stale_acts, figures.acts_beside) {
        (0, _) => {}
        (stale, 0) => found.push(format!("{stale} acts after the end of the actor's term")),
        (stale, beside) => found.push(format!("{stale} acts after the end, {beside} of them beside a later leader")),
    }
    if figures.epochs_in_order == Some(false) {
        found.push("a later leader had no larger epoch".to_owned());
    }
    if !found.is_empty() {
        return Verdict::Violated(found.join("; "));
    }
    let mut doubts = judged_overlaps(events).1;
    if let Shown::Unknown(more) = no_stale_act(events, |_| true) {
        doubts.extend(more);
    }
    let doubts: BTreeSet<String> = doubts.iter().map(Doubt::to_string).collect();
    match (doubts.is_empty(), trial.malformed.first()) {
        (true, None) => Verdict::Held,
        (true, Some(line)) => Verdict::Unknown(format!("a line that is no event: {line}")),
        (false, _) => Verdict::Unknown(doubts.into_iter().collect::<Vec<_>>().join("; ")),
    }
}

fn liveness(trial: &Trial, figures: &Figures) -> Verdict {
    let (watched, bound) = (millis(trial.marks.healed, trial.marks.ended), trial.bound_ms as f64);
    match figures.recovered_ms {
        Some(ms) if ms <= bound => Verdict::Held,
        Some(ms) => Verdict::Violated(format!(
            "nobody led for good until {:.1} s after the fault had gone; the bound is {:.1} s",
            ms / 1e3,
            bound / 1e3
        )),
        None if watched < bound => Verdict::Unknown(format!(
            "nobody led at the end, but that was {:.1} s after the fault had gone, and the bound is {:.1} s",
            watched / 1e3,
            bound / 1e3
        )),
        None => Verdict::Violated(format!("nobody led again for {:.0} s", watched / 1e3)),
    }
}

fn manners(figures: &Figures) -> Verdict {
    let mut found = Vec::new();
    if figures.panics > 0 {
        found.push(format!("{} panics", figures.panics));
    }
    if figures.traffic.peak > REQUESTS_PER_SECOND_MAX {
        found.push(format!("{} requests of one replica in a second", figures.traffic.peak));
    }
    if found.is_empty() { Verdict::Held } else { Verdict::Violated(found.join("; ")) }
}

fn figures(trial: &Trial, events: &[Event]) -> Figures {
    let marks = trial.marks;
    let stale = stale_acts(events);
    let overlaps: Vec<Overlap> =
        judged_overlaps(events).0.into_iter().filter(|it| !is_a_late_word(it, events)).collect();
    let gap = gaps(events, marks.injected, marks.ended).into_iter().map(|gap| gap.until - gap.from).max();
    let after = |at: &u64| *at >= marks.injected;
    let exits = || trial.replicas.iter().flat_map(|replica| &replica.exits);
    Figures {
        overlap_ms: millis(0, covered(&overlaps, marks.ended)),
        acts_beside: stale.iter().filter(|act| act.beside.is_some()).count(),
        stale_acts: stale.len(),
        gap_ms: millis(0, gap.unwrap_or(0)),
        recovered_ms: recovered(trial, events, &stale).map(|at| millis(marks.healed, at)),
        watched_ms: millis(marks.injected, marks.ended),
        terms: judge::terms(events).iter().filter(|term| after(&term.from)).count(),
        epochs_in_order: epochs_in_order(&trial.events),
        exits: exits().filter(|exit| exit.by_itself).count(),
        panics: exits().filter(|exit| exit.is_a_panic()).count()
            + trial.replicas.iter().map(|replica| panics(&replica.stderr)).sum::<usize>(),
        traffic: Traffic::of(&trial.replicas, marks.injected),
        lease_writes: trial.lease.iter().filter(|state| after(&state.at)).count(),
        cpu_ms: trial.replicas.iter().filter_map(cpu).sum(),
        rss: trial.replicas.iter().filter_map(|replica| replica.rss).max().unwrap_or(0),
        rss_total: trial.replicas.iter().filter_map(|replica| replica.rss).sum(),
        watches: trial.replicas.iter().filter(|replica| replica.requests.iter().any(|it| it.verb == "watch")).count(),
        replicas: trial.replicas.len(),
    }
}

/// For how long there was an overlap: a time in which three led is no longer for that. An act outside of any term takes no
/// time: it counts as an act. They come in the order of their start.
fn covered(overlaps: &[Overlap], ended: u64) -> u64 {
    let (mut length, mut until) = (0, 0);
    for overlap in overlaps {
        let end = overlap.until.unwrap_or(ended);
        length += end.saturating_sub(overlap.from.max(until));
        until = until.max(end);
    }
    length
}

fn cpu(replica: &Replica) -> Option<u64> {
    Some(replica.cpu_ms?.saturating_sub(replica.cpu_before_ms.unwrap_or(0)))
}

/// Whether it is the moment between a thaw and the line that says the end of a term, and nothing was done in it.
fn is_a_late_word(overlap: &Overlap, events: &[Event]) -> bool {
    let [older, _] = &overlap.replicas;
    let is_thaw = frozen(events).iter().any(|it| it.replica == *older && it.until == Some(overlap.from));
    let within = |at: u64| overlap.from <= at && overlap.until.is_none_or(|until| at <= until);
    is_thaw && overlap.until.is_some() && !acts(events).iter().any(|act| act.replica == *older && within(act.at))
}

/// When somebody first acted by right after the fault had gone and after the last time without a leader.
fn recovered(trial: &Trial, events: &[Event], stale: &[StaleAct]) -> Option<u64> {
    let (marks, pace) = (trial.marks, trial.timings.retry_period * 1_000_000);
    // What is shorter than the pace of the election is a hand-over.
    let gaps = gaps(events, marks.healed, marks.ended).into_iter().filter(|gap| gap.until - gap.from > pace);
    let since = gaps.map(|gap| gap.until).max().unwrap_or(marks.healed);
    let leading = leading(events);
    let by_right = |replica: &str, at: u64| {
        leader_at(&leading, at).is_some_and(|leader| leader.replica == replica)
            && !stale.iter().any(|act| act.replica == replica && act.at == at)
    };
    acts(events).into_iter().find(|act| act.at > since && by_right(&act.replica, act.at)).map(|act| act.at)
}

/// Whether each leader has a larger epoch than the one before. One that leads again without another in between may go on
/// with its own.
fn epochs_in_order(lines: &[Line]) -> Option<bool> {
    let begun = lines.iter().filter(|line| line.message == "leading");
    let epochs: Vec<(&str, u64)> =
        begun.filter_map(|line| Some((line.replica.as_str(), line.fields.get("epoch")?.as_u64()?))).collect();
    let grows = |pair: &[(&str, u64)]| pair[0].1 < pair[1].1 || pair[0] == pair[1];
    (!epochs.is_empty()).then(|| epochs.windows(2).all(grows))
}

#[cfg(test)]
mod tests;
