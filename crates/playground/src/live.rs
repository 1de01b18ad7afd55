//! The demo in the hands of whoever sits at the terminal: keys let things happen, and each is judged when its outcome
//! shows.

use std::future::pending;
use std::time::Duration;

use anyhow::Result;
use still_leading_testbed::Mode;
use still_leading_testbed::history::judge::{leader_at, leading};
use still_leading_testbed::history::now;
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until};

use crate::faults::Fault;
use crate::keys::{KEYS, Keys};
use crate::report::{Episode, outcome};
use crate::stage::{LOOK_PERIOD, Stage};

/// What happened before whoever sits at the terminal took over.
#[derive(Default)]
pub struct Before {
    /// What a story has let happen.
    pub episodes: Vec<Episode>,
    /// The key that broke it off; none if it had come to its end.
    pub key: Option<u8>,
}

/// One fault and what has been told of it.
struct Told {
    episode: Episode,
    outcome: bool,
    after_heal: bool,
}

/// Does what the keys say until `q`, or until `stay` has passed, and returns everything that happened and when.
///
/// # Errors
/// When a replica cannot be kept running.
pub async fn live(
    stage: &mut Stage,
    keys: &mut Option<Keys>,
    stay: Option<Duration>,
    before: Before,
) -> Result<Vec<Episode>> {
    let last = before.episodes.len().wrapping_sub(1);
    let is_told = |place| place != last || before.key.is_none();
    let told = before.episodes.into_iter().enumerate();
    let mut told: Vec<Told> =
        told.map(|(place, episode)| Told { episode, outcome: is_told(place), after_heal: is_told(place) }).collect();
    let mut goes_on = before.key.is_none_or(|key| press(stage, &mut told, key));
    // A stay beyond all clocks is one without an end.
    let end = stay.and_then(|stay| Instant::now().checked_add(stay));
    while goes_on {
        select! {
            key = next(keys) => goes_on = key.is_some_and(|key| press(stage, &mut told, key)),
            () = sleep(LOOK_PERIOD) => look(stage, &mut told).await?,
            () = until(end) => break,
        }
    }
    Ok(told.into_iter().map(|it| it.episode).collect())
}

/// Does what a key says. Whether to go on.
fn press(stage: &mut Stage, told: &mut Vec<Told>, key: u8) -> bool {
    match key {
        b't' => strike(stage, told, Fault::Term),
        b'k' => strike(stage, told, Fault::Kill),
        b'f' => strike(stage, told, Fault::Freeze),
        b'c' => strike(stage, told, Fault::Network(Mode::Cut)),
        b'r' => heal(stage, told),
        b'q' => return false,
        _ => stage.output().note(KEYS),
    }
    true
}

/// The next key; none when there will be no more, never where nobody can press one.
pub async fn next(keys: &mut Option<Keys>) -> Option<u8> {
    match keys {
        Some(keys) => keys.next().await,
        None => pending().await,
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
}

fn strike(stage: &mut Stage, told: &mut Vec<Told>, fault: Fault) {
    let Some(victim) = stage.leader() else {
        return stage.output().note("nobody leads at the moment: wait for the take-over, or heal with r");
    };
    let name = stage.fleet().replica(victim).name().to_owned();
    let is_again = |it: &Told| it.episode.fault == fault && it.episode.victim == name && it.episode.healed.is_none();
    if told.iter().any(is_again) {
        return stage.output().note(&format!("{name} has had that already: wait for what comes of it"));
    }
    stage.output().announce(&format!("{fault}: {}", fault.announce(&name, stage.timings())));
    match stage.inject(fault, victim) {
        Ok(episode) => told.push(Told { episode, outcome: false, after_heal: false }),
        // It came first.
        Err(error) => stage.output().note(&format!("{error:#}")),
    }
}

fn heal(stage: &Stage, told: &mut [Told]) {
    let mut healed = Vec::new();
    for it in told.iter_mut().filter(|it| it.episode.healed.is_none()) {
        stage.heal(&mut it.episode);
        if it.episode.healed.is_some() {
            healed.push(format!("{} ({})", it.episode.victim, it.episode.fault));
        }
    }
    match healed.as_slice() {
        [] => stage.output().note("there is nothing to heal"),
        healed => stage.output().announce(&format!("healed: {}", healed.join(", "))),
    }
}

/// Tells the outcome of a fault once it shows, and once more when what was healed has had its time to do harm.
async fn look(stage: &mut Stage, told: &mut [Told]) -> Result<()> {
    let (events, now) = (stage.tend().await?, now());
    let [settling, holding] = [stage.settling(), stage.holding()].map(|duration| duration.as_nanos() as u64);
    let leader = leader_at(&leading(&events), now).map(|it| it.replica.clone());
    for it in told {
        let (episode, fault) = (&it.episode, it.episode.fault);
        let outcome = outcome(&events, episode, now);
        let settled =
            outcome.successor.as_ref().is_some_and(|(_, took)| now > episode.at + took.as_nanos() as u64 + settling);
        let survived =
            fault.can_be_survived() && leader.as_ref() == Some(&episode.victim) && now > episode.at + holding;
        let healed = episode.healed.is_some_and(|healed| now > healed + settling);
        let shows = !it.outcome && (settled || survived || healed);
        // Only what was frozen may have more to tell then, or what has done harm.
        let has_more = healed && !it.after_heal && (fault == Fault::Freeze || outcome.stale.is_some());
        if (shows || has_more) && outcome.after.is_some() {
            stage.output().result(&outcome.line(fault), outcome.stale.is_none());
            it.outcome = true;
            it.after_heal |= healed;
        }
    }
    Ok(())
}
