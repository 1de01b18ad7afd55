//! How long a take-over takes after a SIGTERM, with cold and with warm caches, and what a standby weighs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt;
use still_leading_testbed::Variant;
use tokio::time::{Instant, sleep};

use super::judge::{Copies, sources_at};
use super::record::Takeover;
use super::stage::{BOUND, Leader, Setup, Stage};
use super::{Job, Lab, Trial, millis};

const FEW: usize = 500;
const MANY: usize = 5000;
/// After a start or a take-over, until caches are filled and nothing happens any more.
const REST: Duration = Duration::from_secs(3);

pub(super) fn jobs(lab: Lab<'_>) -> Vec<Job<'_>> {
    let mut jobs = Vec::new();
    for objects in [FEW, MANY] {
        for (warm, stamp) in [(false, false), (true, false), (false, true), (true, true)] {
            // The many take long.
            let trials = if objects == MANY { lab.trials.div_ceil(2) } else { lab.trials };
            jobs.push(Job {
                name: format!("takeover, {objects} objects, warm {warm}, each written {stamp}"),
                run: series(lab, objects, warm, stamp, trials).boxed_local(),
            });
        }
    }
    jobs
}

async fn series(lab: Lab<'_>, objects: usize, warm: bool, stamp: bool, trials: usize) -> Result<Vec<Trial>> {
    let setup = Setup {
        variant: Variant::Controller,
        program: &lab.programs.controller,
        sources: objects,
        fenced: stamp,
        args: if warm { &["--warm"] } else { &[] },
    };
    let mut stage = Stage::start(lab, setup).await?;
    let mut done = Vec::new();
    for _ in 0..trials {
        sleep(REST).await;
        let before = stage.leader(None).await?;
        let standbys = stage.live.iter().filter(|index| **index != before.index);
        let standby_mib = standbys.filter_map(|index| stage.fleet.replica(*index).rss_bytes()).map(mib).collect();
        stage.fleet.replica(before.index).terminate()?;
        let leader = stage.leader(Some(&before.term)).await?;
        let times = reconciled(&stage, &leader, stamp).await?;
        let (first, last) = (*times.first().context("no object")?, *times.last().context("no object")?);
        let (first_ms, last_ms) = (millis(leader.term.at, first), millis(leader.term.at, last));
        eprintln!("takeover, {objects} objects, warm {warm}, each written {stamp}: {first_ms} to {last_ms} ms");
        done.push(Trial::Takeover(Takeover { objects, warm, stamp, first_ms, last_ms, standby_mib }));
        stage.fleet.replica(before.index).wait(BOUND).await?;
        stage.replace(before.index).await?;
    }
    stage.end().await;
    Ok(done)
}

/// Waits until each object was reconciled in this term, and returns when each was for the first time: its copy written, or if
/// nothing is to be written, its copy read.
async fn reconciled(stage: &Stage<'_>, leader: &Leader, stamp: bool) -> Result<Vec<u64>> {
    let deadline = Instant::now() + BOUND;
    loop {
        sleep(Duration::from_millis(500)).await;
        let times = if stamp {
            let seen = stage.seen();
            Copies::new(&seen, &Default::default()).reached(&leader.term, &sources_at(&seen, leader.term.epoch)).0
        } else {
            let mut first = BTreeMap::new();
            for (name, at) in stage.reads(leader.index) {
                first.entry(name).or_insert(at);
            }
            let mut times: Vec<u64> = first.into_values().collect();
            times.sort_unstable();
            times
        };
        if times.len() == stage.sources {
            return Ok(times);
        }
        anyhow::ensure!(Instant::now() < deadline, "{} of {} objects were reconciled", times.len(), stage.sources);
    }
}

fn mib(bytes: u64) -> f64 {
    (bytes as f64 / 1024.0 / 1024.0 * 10.0).round() / 10.0
}
