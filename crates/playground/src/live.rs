//! The demo under the keys: each key injects or heals a fault, and each fault is judged when its outcome shows.

use std::future::pending;
use std::time::Duration;

use anyhow::Result;
use still_leading_testbed::Mode;
use still_leading_testbed::history::now;
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until};

use crate::faults::Fault;
use crate::keys::{KEYS, Keys};
use crate::report::{Episode, Outcome, outcome, shows};
use crate::stage::{LOOK_PERIOD, Stage};

/// What happened before the keys took over.
#[derive(Default)]
pub struct Before {
    /// The faults that a story has injected.
    pub episodes: Vec<Episode>,
    /// The key that ended the story early, if one did.
    pub key: Option<u8>,
}

/// One fault, and whether its outcome has been printed completely.
struct Told {
    episode: Episode,
    after_heal: bool,
}

/// Obeys the keys until `q`, or until `stay` has passed. Returns all faults.
///
/// # Errors
/// A replica cannot be kept running.
pub async fn live(
    stage: &mut Stage,
    keys: &mut Option<Keys>,
    stay: Option<Duration>,
    before: Before,
) -> Result<Vec<Episode>> {
    let told = before.episodes.into_iter().map(|episode| Told { after_heal: episode.told.is_some(), episode });
    let mut told: Vec<Told> = told.collect();
    let mut goes_on = before.key.is_none_or(|key| press(stage, &mut told, key));
    // If the end of the stay is beyond the clock, there is none.
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

/// Obeys one key. Returns whether to go on.
fn press(stage: &mut Stage, told: &mut Vec<Told>, key: u8) -> bool {
    match key {
        b't' => strike(stage, told, Fault::Term),
        b'k' => strike(stage, told, Fault::Kill),
        b'f' => strike(stage, told, Fault::Freeze),
        b'c' => strike(stage, told, Fault::Network(Mode::Cut)),
        b'r' => heal(stage, told),
        b'q' => return false,
        _ => stage.output().note(&key_line(told)),
    }
    true
}

/// What the keys do now. It names what is active and can be healed, since the log scrolls that away.
fn key_line(told: &[Told]) -> String {
    let active = told.iter().map(|it| &it.episode).filter(|it| it.healed.is_none());
    let active = active.filter_map(|it| it.fault.lasting().map(|lasting| (it.victim.as_str(), lasting)));
    let (mut states, mut undo) = (Vec::new(), Vec::new());
    for (victim, (state, undoes)) in active {
        states.push(format!("{victim} {state}"));
        undo.push(format!("{undoes} {victim}"));
    }
    if states.is_empty() {
        return KEYS.to_owned();
    }
    let (states, undo) = (states.join(", "), undo.join(" and "));
    format!("{states}: r {undo}; t, k, f and c act on the leader, q quits")
}

/// Returns the next key, or `None` if there will be no more. Never returns where nobody can press one.
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
        stage.output().note("nobody leads at the moment: wait for the take-over");
        return stage.output().note(&key_line(told));
    };
    let name = stage.fleet().replica(victim).name().to_owned();
    let is_again = |it: &Told| it.episode.fault == fault && it.episode.victim == name && it.episode.healed.is_none();
    if told.iter().any(is_again) {
        return stage.output().note(&format!("{name} has that fault already: wait for its outcome"));
    }
    stage.output().announce(&format!("{fault}: {}", fault.announce(&name, stage.timings())));
    match stage.inject(fault, victim) {
        Ok(episode) => {
            close(stage, told, episode.at);
            told.push(Told { episode, after_heal: false });
        }
        // The replica ended before the key.
        Err(error) => stage.output().note(&format!("{error:#}")),
    }
    if fault.lasting().is_some() {
        stage.output().note(&key_line(told));
    }
}

/// Ends the faults before `at`, when another fault was injected. What happens from then on is counted as the new fault's.
fn close(stage: &Stage, told: &mut [Told], at: u64) {
    let events = stage.fleet().history().events();
    for it in told.iter_mut().filter(|it| it.episode.told.is_none() && it.episode.until.is_none()) {
        // Right before it, since the new fault may end a term in the same moment.
        it.episode.until = Some(at - 1);
        let outcome = outcome(&events, &it.episode, at);
        if shows(&it.episode, &outcome, stage.patience(), at) {
            tell(stage, it, outcome);
        } else {
            let Episode { fault, victim, .. } = &it.episode;
            stage.output().undecided(&format!("{fault} of {victim} stays undecided: another fault came first"));
        }
    }
}

fn tell(stage: &Stage, it: &mut Told, outcome: Outcome) {
    stage.output().result(&outcome.line(it.episode.fault), outcome.stale.is_none());
    it.episode.told = Some(outcome);
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

/// Prints the outcome of a fault once it shows, and once more after healing, when the victim has had time to act.
async fn look(stage: &mut Stage, told: &mut [Told]) -> Result<()> {
    let (events, now, patience) = (stage.tend().await?, now(), stage.patience());
    for it in told {
        let outcome = outcome(&events, &it.episode, now);
        let healed = it.episode.healed.is_some_and(|healed| now > healed + patience.settling.as_nanos() as u64);
        let news = it.episode.told.is_none() && shows(&it.episode, &outcome, patience, now);
        // Only a frozen replica can have more to show then, or one that has made a stale act.
        let may_have_more = it.episode.fault == Fault::Freeze || outcome.stale.is_some();
        let more = it.episode.told.is_some() && healed && !it.after_heal && may_have_more;
        if news || (more && outcome.was_survived()) {
            it.after_heal |= healed;
            tell(stage, it, outcome);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fault: Fault, victim: &str, healed: Option<u64>) -> Told {
        let episode = Episode { fault, victim: victim.to_owned(), at: 1, healed, until: None, told: None };
        Told { episode, after_heal: false }
    }

    #[test]
    fn the_key_line_says_what_is_active_and_how_to_undo_it() {
        let cut = Fault::Network(Mode::Cut);
        assert_eq!(key_line(&[told(Fault::Kill, "native-0", None), told(cut, "native-1", Some(2))]), KEYS);
        let both = [told(Fault::Freeze, "native-0", None), told(cut, "native-1", None)];
        let line = "native-0 is frozen, native-1 is cut off: r thaws native-0 and reconnects native-1; \
                    t, k, f and c act on the leader, q quits";
        assert_eq!(key_line(&both), line);
    }
}
