//! A leader that is frozen for twice the lease duration and goes on: with and without the gate, with and without the policy.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use still_leading_testbed::Variant;
use tokio::time::sleep;

use super::edits::{Editing, Kind};
use super::judge::Copies;
use super::record::{Fence, Side};
use super::stage::{Setup, Stage, TIMINGS};
use super::{Job, Lab, Trial};

const SIDES: [Side; 4] = [Side::Nothing, Side::Policy, Side::PolicyWithNewSources, Side::Gate];
const SOURCES: usize = 40;
const PAUSE: Duration = Duration::from_millis(20);
/// How long the leader that has gone on is looked at. Without the gate its process ends after two seconds, the difference
/// of lease duration and renew deadline.
const AFTER: Duration = Duration::from_secs(4);

pub(super) fn jobs(lab: Lab<'_>) -> Vec<Job<'_>> {
    let one = |side: Side, trial: usize| Job {
        name: format!("fence, {side:?}, trial {}", trial + 1),
        run: async move { Ok(vec![Trial::Fence(run(lab, side).await?)]) }.boxed_local(),
    };
    (0..lab.trials).flat_map(|trial| SIDES.map(|side| one(side, trial))).collect()
}

async fn run(lab: Lab<'_>, side: Side) -> Result<Fence> {
    let setup = Setup {
        variant: Variant::Controller,
        program: if side == Side::Gate { &lab.programs.controller } else { &lab.programs.without_gate },
        sources: SOURCES,
        fenced: matches!(side, Side::Policy | Side::PolicyWithNewSources),
        args: &["--delay", "20ms"],
    };
    let stage = Stage::start(lab, setup).await?;
    let leader = stage.leader(None).await?;
    // Without the gate, new sources show what only the gate prevents; with it, that it does.
    let kind =
        if matches!(side, Side::PolicyWithNewSources | Side::Gate) { Kind::ChangesAndNew } else { Kind::Changes };
    let editing = Editing::start(stage.objects.clone(), SOURCES, kind, PAUSE);
    sleep(Duration::from_secs(1)).await;
    let frozen = stage.fleet.replica(leader.index);
    frozen.stop()?;
    sleep(TIMINGS.lease_duration * 2).await;
    stage.leader(Some(&leader.term)).await?;
    let thawed = frozen.cont()?;
    sleep(AFTER).await;
    let done = editing.stop().await?;
    sleep(Duration::from_secs(1)).await;

    let (seen, terms) = (stage.seen(), stage.terms());
    let copies = Copies::new(&seen, &done.by_hand);
    let sent: Vec<_> = stage.writes(leader.index).into_iter().filter(|it| it.at > thawed).collect();
    let answered = |status: u16| sent.iter().filter(|it| it.status == Some(status)).count();
    let failures = stage.failures(Some(leader.index));
    let message = failures.into_iter().find(|(at, error)| *at > thawed && error.contains("fenced: "));
    let fence = Fence {
        side,
        sent: sent.len(),
        refused: answered(403),
        conflicts: answered(409),
        late: copies.late(&terms).len(),
        back: copies.back().len(),
        message: message.map(|(_, error)| error),
    };
    stage.end().await;
    Ok(fence)
}
