//! The example `controller` under faults, judged by what the API server has stored: every write of the Lease and of the
//! ConfigMaps, from watches that no fault touches. And the same controller in Go, as the yardstick.
//!
//! [`judge`] has the rules, as pure functions of such a history.

mod against_go;
mod edits;
mod fence;
mod fencing;
mod graceful;
pub mod judge;
pub mod record;
mod safety;
mod stage;
mod tables;
mod takeover;
mod watch;

pub use record::{Part, Record};
pub use tables::tables;

use std::path::PathBuf;

use anyhow::Result;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use still_leading_testbed::ApiServer;

/// So many trials run side by side, each in a namespace of its own.
pub const AT_A_TIME: usize = 3;

/// The executables.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The example as it is shipped.
    pub controller: PathBuf,
    /// The same without its gate.
    pub without_gate: PathBuf,
    /// The controller in Go.
    pub go: PathBuf,
}

/// What every trial needs.
#[derive(Clone, Copy)]
pub struct Lab<'a> {
    /// The API server.
    pub server: &'a ApiServer,
    /// The executables.
    pub programs: &'a Programs,
    /// How many trials of each kind.
    pub trials: usize,
}

/// Runs `part`. Each trial that ends is handed to `note`, so that nothing is lost when a later one fails.
pub async fn measure(lab: Lab<'_>, part: Part, note: &(dyn Fn(Trial) + Sync)) {
    let jobs = match part {
        Part::Safety => safety::jobs(lab),
        Part::Fence => fence::jobs(lab),
        Part::Takeover => takeover::jobs(lab),
        Part::Graceful => graceful::jobs(lab),
        Part::AgainstGo => against_go::jobs(lab),
    };
    futures::stream::iter(jobs)
        .for_each_concurrent(AT_A_TIME, |Job { name, run }| async move {
            match run.await {
                Ok(trials) => {
                    eprintln!("{name}: done");
                    trials.into_iter().for_each(note);
                }
                Err(error) => {
                    let error = format!("{name}: {error:#}");
                    eprintln!("{error}");
                    note(Trial::Failed(error));
                }
            }
        })
        .await;
}

/// One or more trials on one fleet.
struct Job<'a> {
    name: String,
    run: LocalBoxFuture<'a, Result<Vec<Trial>>>,
}

/// What a trial came to.
#[derive(Debug)]
pub enum Trial {
    /// See [`record::Safety`].
    Safety(record::Safety),
    /// See [`record::Fence`].
    Fence(record::Fence),
    /// See [`record::Takeover`].
    Takeover(record::Takeover),
    /// See [`record::Graceful`].
    Graceful(record::Graceful),
    /// See [`record::AgainstGo`].
    AgainstGo(record::AgainstGo),
    /// It could not be run, or not be judged, and why.
    Failed(String),
}

fn millis(from: u64, to: u64) -> f64 {
    ((to as f64 - from as f64) / 1e5).round() / 10.0
}
