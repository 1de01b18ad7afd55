//! The story that plays by itself: one fault after the other, each announced, watched and judged.

use anyhow::Result;
use still_leading_testbed::Event;
use still_leading_testbed::history::judge::{leader_at, leading};
use still_leading_testbed::history::now;

use crate::faults::Fault;
use crate::print::seconds;
use crate::report::{Episode, outcome};
use crate::stage::Stage;

/// Plays the faults one after the other and adds them to `episodes`, also one that is broken off. Ends early if nobody leads
/// any more.
///
/// # Errors
/// A replica cannot be kept running.
pub async fn story(stage: &mut Stage, faults: &[Fault], episodes: &mut Vec<Episode>) -> Result<()> {
    let each = stage.timings().lease_duration.saturating_add(stage.settling() * 2);
    let n = faults.len();
    let faults_of = if n == 1 { "fault" } else { "faults" };
    stage
        .output()
        .note(&format!("a story of {n} {faults_of}; each takes about {} if a lease has to run out", seconds(each)));
    for (place, fault) in faults.iter().enumerate() {
        let Some(victim) = healthy(stage).await? else {
            stage.output().result("nobody leads; the story ends here", false);
            break;
        };
        play(stage, &format!("{}/{n}", place + 1), *fault, victim, episodes).await?;
    }
    Ok(())
}

/// Waits until somebody leads and every replica is running again, so that faults do not mix. Returns the leader.
async fn healthy(stage: &mut Stage) -> Result<Option<usize>> {
    let (bound, settling) = (stage.bound(), stage.settling().as_nanos() as u64);
    let leads = stage.until(bound, |_, events, now| {
        let leading = leading(events);
        let since = leading.iter().rfind(|it| it.until.is_none())?.from;
        (now > since + settling).then_some(())
    });
    leads.await?;
    // Some electors ask seldom. A replica that has not come by then takes part later.
    stage.until(bound, |stage, _, _| stage.is_complete().then_some(())).await?;
    Ok(stage.leader())
}

/// Plays one fault, from its announcement to its verdict.
async fn play(stage: &mut Stage, number: &str, fault: Fault, victim: usize, episodes: &mut Vec<Episode>) -> Result<()> {
    let name = stage.fleet().replica(victim).name().to_owned();
    stage.output().announce(&format!("{number} {fault}: {}", fault.announce(&name, stage.timings())));
    let place = episodes.len();
    episodes.push(stage.inject(fault, victim)?);
    let episode = &mut episodes[place];

    hold(stage, episode).await?;
    stage.heal(episode);
    if let Some(healed) = episode.healed {
        let undone = match fault {
            Fault::Freeze => format!("SIGCONT to {name}"),
            _ => format!("everything passes again between {name} and the API server"),
        };
        stage.output().announce(&undone);
        recover(stage, healed).await?;
    }
    let outcome = outcome(&stage.fleet().history().events(), episode, now());
    stage.output().result(&outcome.line(fault), outcome.after.is_some() && outcome.stale.is_none());
    episode.told = Some(outcome);
    Ok(())
}

/// Keeps a fault up until another replica has taken over and acted, or the leader has shown that it survives.
async fn hold(stage: &mut Stage, episode: &Episode) -> Result<()> {
    let [settling, holding] = [stage.settling(), stage.holding()].map(|duration| duration.as_nanos() as u64);
    // A fault under which nobody can lead must end: what counts is what follows.
    let bound =
        if episode.fault.can_be_survived() { stage.timings().lease_duration.saturating_mul(3) } else { stage.bound() };
    let is_over = |events: &[Event], now: u64| {
        let leader = leader_at(&leading(events), now)?.replica.clone();
        let successor = outcome(events, episode, now).successor;
        let settled = successor.is_some_and(|(_, took)| now > episode.at + took.as_nanos() as u64 + settling);
        let survived = episode.fault.can_be_survived() && leader == episode.victim && now > episode.at + holding;
        (settled || survived).then_some(())
    };
    stage.until(bound, |_, events, now| is_over(events, now)).await.map(drop)
}

/// Waits after the healing until the former leader has had time to make a stale act, and only one replica leads.
async fn recover(stage: &mut Stage, healed: u64) -> Result<()> {
    let settling = stage.settling().as_nanos() as u64;
    let bound = stage.bound();
    let one_leads = |events: &[Event], now: u64| {
        let leaders = leading(events).iter().filter(|it| it.until.is_none()).count();
        (leaders == 1 && now > healed + settling).then_some(())
    };
    stage.until(bound, |_, events, now| one_leads(events, now)).await.map(drop)
}
