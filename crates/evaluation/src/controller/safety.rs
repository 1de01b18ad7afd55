//! Seven faults, while sources and copies are changed, made and deleted.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use still_leading_testbed::proxy::Action;
use still_leading_testbed::{Mode, Variant};
use tokio::time::sleep;

use super::edits::{Done, Editing, Kind};
use super::judge::{Copies, Seen, sources_at};
use super::record::{Fault, Safety};
use super::stage::{BOUND, Leader, Setup, Stage, TIMINGS};
use super::{Job, Lab, Trial, millis};

const FAULTS: [Fault; 7] =
    [Fault::Term, Fault::Kill, Fault::Freeze, Fault::Cut, Fault::Rollout, Fault::TooManyRequests, Fault::Slow];
const SOURCES: usize = 200;
/// Between two changes of a source.
const PAUSE: Duration = Duration::from_millis(40);
/// Edits begin before the fault,
const BEFORE: Duration = Duration::from_millis(250);
/// and end after it.
const AFTER: Duration = Duration::from_secs(1);
/// How many findings are kept of a trial.
const FOUND_MAX: usize = 5;

pub(super) fn jobs(lab: Lab<'_>) -> Vec<Job<'_>> {
    let one = |fault: Fault, trial: usize| Job {
        name: format!("safety, {fault:?}, trial {}", trial + 1),
        run: async move { Ok(vec![Trial::Safety(run(lab, fault).await?)]) }.boxed_local(),
    };
    (0..lab.trials).flat_map(|trial| FAULTS.map(|fault| one(fault, trial))).collect()
}

async fn run(lab: Lab<'_>, fault: Fault) -> Result<Safety> {
    let setup = Setup {
        variant: Variant::Controller,
        program: &lab.programs.controller,
        sources: SOURCES,
        fenced: true,
        args: &[],
    };
    let mut stage = Stage::start(lab, setup).await?;
    let before = stage.leader(None).await?;
    let editing = Editing::start(stage.objects.clone(), SOURCES, Kind::All, PAUSE);
    sleep(BEFORE).await;
    inflict(&mut stage, fault, &before).await?;
    sleep(AFTER).await;
    let done = editing.stop().await?;
    // What is still wrong then is what the record says.
    let settled = stage.settled().await;
    let safety = judge(&stage, fault, &done, settled.err().map(|error| format!("{error:#}")));
    stage.end().await;
    Ok(safety)
}

async fn inflict(stage: &mut Stage<'_>, fault: Fault, leader: &Leader) -> Result<()> {
    let (index, lease) = (leader.index, TIMINGS.lease_duration);
    match fault {
        Fault::Term => {
            stage.fleet.replica(index).terminate()?;
            stage.leader(Some(&leader.term)).await?;
            stage.fleet.replica(index).wait(BOUND).await?;
        }
        Fault::Kill => {
            stage.fleet.replica(index).kill()?;
            stage.leader(Some(&leader.term)).await?;
        }
        Fault::Freeze => {
            stage.fleet.replica(index).stop()?;
            sleep(lease * 2).await;
            stage.fleet.replica(index).cont()?;
            stage.leader(Some(&leader.term)).await?;
            sleep(AFTER * 2).await;
        }
        Fault::Cut => until_takeover(stage, leader, Mode::BlackHole).await?,
        Fault::TooManyRequests => until_takeover(stage, leader, Action::TooManyRequests.into()).await?,
        Fault::Slow => {
            let late = Action::Latency { fixed: lease.mul_f64(0.4), jitter: Duration::ZERO };
            stage.fleet.proxy(index).set_mode(late);
            sleep(lease * 3).await;
            stage.fleet.proxy(index).set_mode(Mode::Pass);
        }
        Fault::Rollout => {
            for index in stage.live.clone() {
                stage.fleet.replica(index).terminate()?;
                stage.fleet.replica(index).wait(BOUND).await?;
                stage.replace(index).await?;
            }
        }
    }
    Ok(())
}

async fn until_takeover(stage: &Stage<'_>, leader: &Leader, mode: Mode) -> Result<()> {
    stage.fleet.proxy(leader.index).set_mode(mode);
    stage.leader(Some(&leader.term)).await?;
    sleep(AFTER).await;
    stage.fleet.proxy(leader.index).set_mode(Mode::Pass);
    sleep(AFTER * 2).await;
    Ok(())
}

fn judge(stage: &Stage<'_>, fault: Fault, done: &Done, unsettled: Option<String>) -> Safety {
    let (seen, terms) = (stage.seen(), stage.terms());
    let copies = Copies::new(&seen, &done.by_hand);
    let (back, late) = (copies.back(), copies.late(&terms));
    // With a slow connection the deletion is heard of late, and the answer to what was read before comes late as well.
    let grace = if fault == Fault::Slow { TIMINGS.lease_duration * 2 } else { AFTER };
    let orphaned = copies.orphaned(&seen, grace.as_nanos().try_into().unwrap_or(u64::MAX));
    let (mut first_ms, mut last_ms, mut unstamped) = (None, None, Vec::new());
    if let [_, .., last] = &terms[..] {
        let (times, missing) = copies.reached(last, &sources_at(&seen, last.epoch));
        first_ms = times.first().map(|at| millis(last.at, *at));
        last_ms = times.last().map(|at| millis(last.at, *at));
        unstamped = missing;
    }
    let wrong = stage.wrong();
    let show =
        |what: &'static str| move |it: &&Seen| format!("{what}: {} {} epoch {:?}", it.name, it.version, it.epoch);
    let found = back.iter().map(show("back")).chain(late.iter().map(show("late")));
    let found = found.chain(orphaned.iter().map(show("orphaned"))).chain(unstamped.iter().cloned());
    let found = found.chain(wrong.iter().cloned()).chain(unsettled).take(FOUND_MAX).collect();
    let failures = stage.failures(None);
    let count = |text: &str| failures.iter().filter(|(_, error)| error.contains(text)).count();
    Safety {
        fault,
        takeovers: terms.len().saturating_sub(1),
        first_ms,
        last_ms,
        writes: copies.len(),
        back: back.len(),
        late: late.len(),
        orphaned: orphaned.len(),
        unstamped: unstamped.len(),
        wrong: wrong.len(),
        refused: count("fenced: "),
        conflicts: count("modified") + count("already exists"),
        found,
    }
}
