//! A shutdown while reconciles are in flight.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt;
use still_leading_testbed::Variant;
use tokio::time::sleep;

use super::edits::{Editing, Kind};
use super::judge::{COPY, Copies};
use super::record::Graceful;
use super::stage::{BOUND, Setup, Stage};
use super::{Job, Lab, Trial, millis};
use crate::stats::phase;

/// More than four reconciles of 300 ms can keep up with, and few enough that each changes several times meanwhile: so four
/// are in flight at any time, and each of them has something to write.
const SOURCES: usize = 12;
const PAUSE: Duration = Duration::from_millis(20);
const DELAY: Duration = Duration::from_millis(300);
/// A signal takes so long to reach the work on a busy machine.
const HEARD: u64 = 20_000_000;

pub(super) fn jobs(lab: Lab<'_>) -> Vec<Job<'_>> {
    let one = |trial: usize| Job {
        name: format!("graceful, trial {}", trial + 1),
        run: async move { Ok(vec![Trial::Graceful(run(lab, trial).await?)]) }.boxed_local(),
    };
    (0..lab.trials).map(one).collect()
}

async fn run(lab: Lab<'_>, trial: usize) -> Result<Graceful> {
    let setup = Setup {
        variant: Variant::Controller,
        program: &lab.programs.controller,
        sources: SOURCES,
        fenced: true,
        args: &["--delay", "300ms", "--concurrency", "4"],
    };
    let stage = Stage::start(lab, setup).await?;
    let leader = stage.leader(None).await?;
    let editing = Editing::start(stage.objects.clone(), SOURCES, Kind::AllAtOnce, PAUSE);
    sleep(DELAY * 4 + DELAY.mul_f64(phase(trial))).await;
    let signalled = stage.fleet.replica(leader.index).terminate()?;
    stage.leader(Some(&leader.term)).await?;
    stage.fleet.replica(leader.index).wait(BOUND).await?;
    editing.stop().await?;
    sleep(DELAY * 2).await;

    let terms = stage.terms();
    let term = terms.iter().find(|term| term.epoch == leader.term.epoch).context("the term is not in the history")?;
    let (release, released) = term.ended.context("the Lease was not released")?;
    let seen = stage.seen();
    let copies = Copies::new(&seen, &BTreeSet::new());
    // On a Lease that is new, the first leader waits before it leads, and its epoch is of a later write.
    let is_of_term = |epoch: u64| (term.epoch..release).contains(&epoch);
    let of_term = || copies.writes().filter(|write| write.epoch.is_some_and(is_of_term));
    let reads = stage.reads(leader.index);
    let begun = reads.iter().filter(|(_, at)| *at > signalled + HEARD).count();
    let in_flight = in_flight(&stage, leader.index, signalled);
    let in_time = || of_term().filter(|write| write.at > signalled && write.version < release);
    let has_finished = |name: &&String| in_time().any(|write| write.name.strip_suffix(COPY) == Some(name.as_str()));
    let graceful = Graceful {
        in_flight: in_flight.len(),
        finished: in_flight.iter().filter(has_finished).count(),
        begun,
        late: of_term().filter(|write| write.version > release).count(),
        release_ms: millis(signalled, released),
    };
    stage.end().await;
    Ok(graceful)
}

/// The objects whose copy was read and not yet written at `at`. Each reconcile begins with a read and, since every source has
/// changed since the last one, ends with a write.
fn in_flight(stage: &Stage<'_>, index: usize, at: u64) -> BTreeSet<String> {
    let writes = stage.writes(index);
    let delay = u64::try_from(DELAY.as_nanos()).unwrap_or(u64::MAX);
    let mut begun = BTreeSet::new();
    for (name, read) in stage.reads(index).into_iter().filter(|(_, read)| (at - delay..=at + HEARD).contains(read)) {
        let is_of_it = |path: &str| path.split(['/', '?']).any(|part| part.strip_suffix(COPY) == Some(&*name));
        if !writes.iter().any(|it| is_of_it(&it.path) && (read..=at).contains(&it.at)) {
            begun.insert(name);
        }
    }
    begun
}
