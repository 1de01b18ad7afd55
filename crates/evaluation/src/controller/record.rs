//! `docs/runs/controller.json`: what was measured of the example `controller`, on what, when and by which command.

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Trial;
use crate::record::Measured;

/// Where [`Record`] is kept, from the root of the repository.
pub const RECORD: &str = "docs/runs/controller.json";

/// One part of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Whether what the leader writes is right and in time, under seven faults
    Safety,
    /// What the gate and the policy each prevent when a leader is frozen
    Fence,
    /// How long a take-over takes, and what a standby weighs
    Takeover,
    /// What happens to reconciles in flight at a shutdown
    Graceful,
    /// The same controller in Go
    AgainstGo,
}

/// All parts. Each was measured by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Seven faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Section<Safety>>,
    /// A frozen leader, with and without the gate and the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Section<Fence>>,
    /// Take-overs after a SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Section<Takeover>>,
    /// Shutdowns with reconciles in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful: Option<Section<Graceful>>,
    /// Both languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against_go: Option<Section<AgainstGo>>,
}

/// What was measured in one go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section<T> {
    /// How.
    pub measured: Measured,
    /// The commit of this repository.
    pub commit: String,
    /// So many trials ran side by side.
    pub at_a_time: usize,
    /// Each trial.
    pub trials: Vec<T>,
    /// Trials that could not be run, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
}

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
    /// SIGSTOP for twice the lease duration, then SIGCONT.
    Freeze,
    /// Its connections fall silent until another leads.
    Cut,
    /// Each replica is replaced in turn.
    Rollout,
    /// Each of its requests is answered with 429 until another leads.
    TooManyRequests,
    /// Each answer to it is held back by 0.4 of the lease duration.
    Slow,
}

/// One fault, while sources and copies are changed, made and deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Safety {
    /// What happened.
    pub fault: Fault,
    /// How often another replica took over.
    pub takeovers: usize,
    /// From the last acquisition to the first copy that its epoch wrote; none without a take-over.
    pub first_ms: Option<f64>,
    /// To the last of the copies that had to be written.
    pub last_ms: Option<f64>,
    /// Writes of copies by the controller.
    pub writes: usize,
    /// Of them, those with a smaller epoch than the copy had before.
    pub back: usize,
    /// Of them, those of an epoch that was over.
    pub late: usize,
    /// Of them, those of copies whose source had been deleted for longer than an answer takes.
    pub orphaned: usize,
    /// Copies that the last epoch never wrote.
    pub unstamped: usize,
    /// Sources whose copy is wrong or missing at the end.
    pub wrong: usize,
    /// Writes that the policy refused.
    pub refused: usize,
    /// Writes that lost a race (409).
    pub conflicts: usize,
    /// The first few of what is wrong, for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
}

/// Which build is frozen, and what stands against its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Neither the gate nor the policy.
    Nothing,
    /// The policy alone.
    Policy,
    /// The policy alone, and sources are made as well as changed.
    PolicyWithNewSources,
    /// The gate alone.
    Gate,
}

/// A leader that is frozen for twice the lease duration, and goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fence {
    /// What is tried.
    pub side: Side,
    /// Writes that the thawed leader sent.
    pub sent: usize,
    /// Of them, those that the policy refused.
    pub refused: usize,
    /// Of them, those that the API server refused because somebody had written since (409).
    pub conflicts: usize,
    /// Writes of an epoch that was over, as the API server has stored them.
    pub late: usize,
    /// Of them, those with a smaller epoch than the copy had before.
    pub back: usize,
    /// What the log of the thawed leader says of a refused write.
    pub message: Option<String>,
}

/// One take-over after a SIGTERM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Takeover {
    /// So many sources.
    pub objects: usize,
    /// Whether standbys keep their caches.
    pub warm: bool,
    /// Whether a new leader writes each copy, as it does with `--require-fencing`.
    pub stamp: bool,
    /// From the acquisition to the first reconcile.
    pub first_ms: f64,
    /// From the acquisition to the last first reconcile of an object.
    pub last_ms: f64,
    /// Resident memory of each standby before.
    pub standby_mib: Vec<f64>,
}

/// A shutdown with reconciles in flight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graceful {
    /// Reconciles that had begun and not yet written when the signal was sent.
    pub in_flight: usize,
    /// Of them, those whose write landed before the Lease was released.
    pub finished: usize,
    /// Reconciles that began after the signal.
    pub begun: usize,
    /// Writes of this epoch after the release.
    pub late: usize,
    /// From the signal to the release.
    pub release_ms: f64,
}

/// In which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// `examples/controller`.
    Rust,
    /// `examples/controller-go`.
    Go,
}

/// One trial in one language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgainstGo {
    /// Which controller.
    pub language: Language,
    /// What was tried.
    #[serde(flatten)]
    pub what: What,
}

/// What is tried in both languages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// SIGTERM: from the signal to the successor's first write of a copy.
    Term {
        /// Until the successor has the Lease.
        acquired_ms: f64,
        /// Until its first write.
        first_write_ms: f64,
    },
    /// SIGKILL: the same.
    Kill {
        /// Until the successor has the Lease.
        acquired_ms: f64,
        /// Until its first write.
        first_write_ms: f64,
    },
    /// A freeze for twice the lease duration: what the thawed leader wrote after its successor had the Lease.
    Freeze {
        /// Writes that the API server accepted.
        stale: usize,
        /// Writes that it refused.
        refused: usize,
        /// From SIGCONT to its last write that was accepted.
        last_ms: Option<f64>,
    },
    /// SIGTERM with reconciles of 300 ms in flight.
    Drain {
        /// So many.
        in_flight: usize,
        /// Of them, those that were written before the Lease was released.
        finished: usize,
        /// Writes after the release.
        late: usize,
        /// From the signal to the successor's first write.
        first_write_ms: f64,
    },
}

impl Record {
    /// Reads it; an empty one if there is none.
    ///
    /// # Errors
    /// It is not of this shape.
    pub fn read(path: &Path) -> Result<Self> {
        if path.exists() { crate::record::read(path, "just controller") } else { Ok(Self::default()) }
    }

    /// Writes it, indented.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, json).with_context(|| format!("writing {}", path.display()))
    }

    /// Begins a part anew.
    pub fn begin(&mut self, part: Part, measured: Measured, commit: String, at_a_time: usize) {
        match part {
            Part::Safety => self.safety = Some(Section::new(measured, commit, at_a_time)),
            Part::Fence => self.fence = Some(Section::new(measured, commit, at_a_time)),
            Part::Takeover => self.takeover = Some(Section::new(measured, commit, at_a_time)),
            Part::Graceful => self.graceful = Some(Section::new(measured, commit, at_a_time)),
            Part::AgainstGo => self.against_go = Some(Section::new(measured, commit, at_a_time)),
        }
    }

    /// Adds a trial of `part`, which was begun.
    pub fn add(&mut self, part: Part, trial: Trial) {
        match trial {
            Trial::Safety(trial) => add(&mut self.safety, trial),
            Trial::Fence(trial) => add(&mut self.fence, trial),
            Trial::Takeover(trial) => add(&mut self.takeover, trial),
            Trial::Graceful(trial) => add(&mut self.graceful, trial),
            Trial::AgainstGo(trial) => add(&mut self.against_go, trial),
            Trial::Failed(why) => self.failed(part).extend([why]),
        }
    }

    fn failed(&mut self, part: Part) -> &mut Vec<String> {
        let failed = match part {
            Part::Safety => self.safety.as_mut().map(|it| &mut it.failed),
            Part::Fence => self.fence.as_mut().map(|it| &mut it.failed),
            Part::Takeover => self.takeover.as_mut().map(|it| &mut it.failed),
            Part::Graceful => self.graceful.as_mut().map(|it| &mut it.failed),
            Part::AgainstGo => self.against_go.as_mut().map(|it| &mut it.failed),
        };
        failed.expect("a part is begun before its trials")
    }
}

fn add<T>(section: &mut Option<Section<T>>, trial: T) {
    section.as_mut().expect("a part is begun before its trials").trials.push(trial);
}

impl<T> Section<T> {
    fn new(measured: Measured, commit: String, at_a_time: usize) -> Self {
        Self { measured, commit, at_a_time, trials: Vec::new(), failed: Vec::new() }
    }
}
