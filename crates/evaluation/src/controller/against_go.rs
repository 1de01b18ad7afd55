//! The same trials with the controller in Rust and in Go. What each replica wrote is read from its proxy, since the copies of
//! the one in Go carry no epoch.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt;
use still_leading_testbed::proxy::Request;
use still_leading_testbed::{Variant, Verb};
use tokio::time::{Instant, sleep};

use super::edits::{Editing, Kind};
use super::record::{AgainstGo, Language, What};
use super::stage::{BOUND, Leader, Setup, Stage, TIMINGS};
use super::{Job, Lab, Trial, millis};
use crate::stats::phase;

const SOURCES: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);
/// How long a thawed leader is looked at: longer than the renew deadline.
const AFTER: Duration = Duration::from_secs(6);
/// So many reconciles run at once, of 300 ms each.
const CONCURRENCY: usize = 4;
/// More than they can keep up with, and few enough that each changes several times meanwhile: so each reconcile that is in
/// flight has something to write.
const SOURCES_OF_DRAIN: usize = 12;
/// Until a new leader has looked at all of these.
const BUSY: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Term,
    Kill,
    Freeze,
    Drain,
}

pub(super) fn jobs(lab: Lab<'_>) -> Vec<Job<'_>> {
    let mut jobs = Vec::new();
    for trouble in [Trouble::Term, Trouble::Kill, Trouble::Freeze, Trouble::Drain] {
        for language in [Language::Rust, Language::Go] {
            let name = format!("against Go, {language:?}, {trouble:?}");
            jobs.push(Job { name, run: series(lab, language, trouble).boxed_local() });
        }
    }
    jobs
}

async fn series(lab: Lab<'_>, language: Language, trouble: Trouble) -> Result<Vec<Trial>> {
    let (variant, program): (Variant, &Path) = match language {
        Language::Rust => (Variant::Controller, &lab.programs.controller),
        Language::Go => (Variant::ControllerGo, &lab.programs.go),
    };
    let args: &[&str] = if trouble == Trouble::Drain { &["--delay", "300ms"] } else { &[] };
    let sources = if trouble == Trouble::Drain { SOURCES_OF_DRAIN } else { SOURCES };
    let mut stage = Stage::start(lab, Setup { variant, program, sources, fenced: false, args }).await?;
    let mut done = Vec::new();
    for trial in 0..lab.trials {
        let leader = stage.leader(None).await?;
        let kind = match trouble {
            Trouble::Freeze => Kind::ChangesAndNew,
            Trouble::Drain => Kind::AllAtOnce,
            Trouble::Term | Trouble::Kill => Kind::Changes,
        };
        let editing = Editing::start(stage.objects.clone(), sources, kind, PAUSE);
        if trouble == Trouble::Drain {
            sleep(BUSY).await;
        }
        // Not in step with the polls of a standby.
        sleep(TIMINGS.retry_period.mul_f64(2.0 + phase(trial))).await;
        let what = inflict(&stage, trouble, &leader).await?;
        editing.stop().await?;
        eprintln!("against Go, {language:?}: {what:?}");
        done.push(Trial::AgainstGo(AgainstGo { language, what }));
        if stage.fleet.replica(leader.index).exit_status().is_some() {
            stage.replace(leader.index).await?;
        }
        stage.settled().await?;
    }
    stage.end().await;
    Ok(done)
}

async fn inflict(stage: &Stage<'_>, trouble: Trouble, leader: &Leader) -> Result<What> {
    let replica = stage.fleet.replica(leader.index);
    Ok(match trouble {
        Trouble::Term => {
            let (acquired_ms, first_write_ms) = first_write(stage, leader, replica.terminate()?).await?;
            replica.wait(BOUND).await?;
            What::Term { acquired_ms, first_write_ms }
        }
        Trouble::Kill => {
            let (acquired_ms, first_write_ms) = first_write(stage, leader, replica.kill()?).await?;
            replica.wait(BOUND).await?;
            What::Kill { acquired_ms, first_write_ms }
        }
        Trouble::Freeze => {
            replica.stop()?;
            sleep(TIMINGS.lease_duration * 2).await;
            stage.leader(Some(&leader.term)).await?;
            let thawed = replica.cont()?;
            sleep(AFTER).await;
            let sent: Vec<Request> = stage.writes(leader.index).into_iter().filter(|it| it.at > thawed).collect();
            let stale: Vec<u64> = sent.iter().filter(|it| it.succeeded()).map(|it| it.at).collect();
            let last_ms = stale.last().map(|at| millis(thawed, *at));
            What::Freeze { stale: stale.len(), refused: sent.len() - stale.len(), last_ms }
        }
        Trouble::Drain => {
            let signalled = replica.terminate()?;
            let (_, first_write_ms) = first_write(stage, leader, signalled).await?;
            replica.wait(BOUND).await?;
            let released = release(stage, leader, signalled)?;
            let writes = stage.writes(leader.index);
            let writes = writes.iter().filter(|it| it.succeeded() && it.at > signalled);
            let (finished, late): (Vec<_>, Vec<_>) = writes.partition(|it| it.at < released);
            What::Drain { in_flight: CONCURRENCY, finished: finished.len(), late: late.len(), first_write_ms }
        }
    })
}

/// Waits for the first write by another replica, and returns how long after the signal that had the Lease and wrote.
async fn first_write(stage: &Stage<'_>, leader: &Leader, signalled: u64) -> Result<(f64, f64)> {
    let acquired = stage.leader(Some(&leader.term)).await?.term.at;
    let deadline = Instant::now() + BOUND;
    loop {
        let others = stage.live.iter().filter(|index| **index != leader.index);
        let writes = others.flat_map(|index| stage.writes(*index)).filter(|it| it.at > signalled && it.succeeded());
        if let Some(at) = writes.map(|it| it.at).min() {
            return Ok((millis(signalled, acquired), millis(signalled, at)));
        }
        anyhow::ensure!(Instant::now() < deadline, "the successor writes nothing");
        sleep(Duration::from_millis(50)).await;
    }
}

/// When the replica sent its last write of the Lease, which was the release.
fn release(stage: &Stage<'_>, leader: &Leader, signalled: u64) -> Result<u64> {
    let requests = stage.fleet.proxy(leader.index).requests();
    let is_release = |it: &&Request| it.verb == Verb::Update && it.path.contains("/leases/") && it.at > signalled;
    requests.iter().rfind(is_release).map(|it| it.at).context("the Lease was not released")
}
