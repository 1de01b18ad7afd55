//! The recorded runs under `docs/runs/`: what was measured, on what, when and by which command. What is made of them is
//! in [`comparison`](crate::comparison).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use still_leading_testbed::workspace;

use crate::footprint::Footprint;

/// `docs/runs/artefacts.json`: each variant as something that one depends on, builds and runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Artefacts {
    /// By the variant's name.
    pub variants: BTreeMap<String, Artefact>,
}

/// One variant, with its own date: others may have been measured on another day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// How all of it but the build was measured.
    pub measured: Measured,
    /// The crate that does the election.
    pub package: Package,
    /// How long it takes to build, unless that was never measured.
    pub cold_build: Option<ColdBuild>,
    /// What it weighs at rest.
    pub footprint: Footprint,
    /// Lines that are neither blank nor comment nor test, of each file that a reader copies, by its path in the folder of
    /// the variant; of native, in the folder of the library.
    pub lines: BTreeMap<String, usize>,
    /// Such lines of the example that follows the crate's own documentation.
    pub lines_as_documented: Option<usize>,
    /// What its Role grants.
    pub rules: Vec<Rule>,
}

/// When, where and how something was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// In UTC, as `2026-11-21`.
    pub date: String,
    /// What to run to measure it again.
    pub command: String,
    /// What it ran on.
    pub machine: Machine,
    /// `rustc --version`.
    pub rustc: String,
    /// `go version`, for a variant that is built with it.
    pub go: Option<String>,
    /// The version of the API server, if there was one.
    pub kubernetes: Option<String>,
}

/// As much of a machine as tells numbers apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that the process may use.
    pub cpus: usize,
    /// Memory, in GiB.
    pub memory_gib: f64,
    /// Its system.
    pub os: String,
}

/// The package that does the election: the crate of the variant's name, or for native the application itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// As its registry calls it.
    pub name: String,
    /// None for native, which is not a crate.
    pub version: Option<String>,
    /// As declared.
    pub licence: Option<String>,
    /// When that version was released, as `2026-11-21`.
    pub released: Option<String>,
    /// The oldest Rust that it declares to build with.
    pub rust_version: Option<String>,
    /// The version of `kube` that it is built with.
    pub kube: Option<String>,
    /// The version of `k8s-openapi` that it is built with.
    pub k8s_openapi: Option<String>,
    /// Its normal dependencies on the measuring platform, each with its version.
    pub direct: Vec<String>,
    /// How many packages it is built from, itself not counted; build dependencies too, those for tests not.
    pub total: usize,
    /// How many of them an application that uses `kube` would not have anyway.
    pub beyond_kube: Option<usize>,
}

/// Builds of the whole demo application from nothing but fetched sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColdBuild {
    /// How they were measured.
    pub measured: Measured,
    /// What was run.
    pub build: String,
    /// How long each took.
    pub seconds: Vec<f64>,
}

/// One rule of a Role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// On what, mostly `leases`.
    pub resources: Vec<String>,
    /// What may be done.
    pub verbs: Vec<String>,
    /// Whether it holds for objects of certain names only.
    pub by_name: bool,
}

/// `docs/runs/black-box.json`, as the black-box suite writes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BlackBox {
    /// The version of the API server.
    pub kubernetes: String,
    /// What it ran on.
    pub machine: Machine,
    /// In UTC, as `2026-11-21`.
    pub date: String,
    /// What to run to record it again.
    pub command: String,
    /// By the variant's name.
    pub timings: BTreeMap<String, Timings>,
    /// Every case of every variant in both forms.
    pub outcomes: Vec<Outcome>,
}

/// The election's three durations, in client-go's words.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Timings {
    /// How long a standby waits after the last renewal that it saw.
    pub lease_duration_s: f64,
    /// How long a leader goes on without a renewal.
    pub renew_deadline_s: f64,
    /// The time between two attempts.
    pub retry_period_s: f64,
}

/// How one case of one variant ended.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Outcome {
    /// The variant's name.
    pub variant: String,
    /// What was run of it.
    pub form: Form,
    /// The promise, as a name of words joined by underscores.
    pub case: String,
    /// How it ended.
    pub outcome: Kind,
    /// What was seen when it did not keep the promise.
    #[serde(default)]
    pub why: Option<String>,
    /// How it is expected to end, whatever machine it runs on.
    pub expected: Expected,
    /// Why it is expected not to keep the promise.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The two programs that there are of each third-party variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `src/election.rs`: the crate used as well as its public interface allows.
    Template,
    /// `examples/as_documented.rs`: the crate used as its own documentation shows.
    AsDocumented,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The promise was kept.
    Kept,
    /// It was not.
    Broken,
    /// The case could not be tried.
    Error,
    /// The case was not tried.
    Ignored,
}

/// How a case is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// The promise is kept in each run.
    Kept,
    /// It is broken in each run.
    Broken,
    /// It is kept in some runs and broken in others.
    Either,
}

/// Where [`Artefacts`] are kept, from the root of the repository.
pub const ARTEFACTS: &str = "docs/runs/artefacts.json";
/// What writes both.
pub const RECORD: &str = "just record";
/// Where the black-box suite is told to leave [`BlackBox`].
pub const BLACK_BOX: &str = "docs/runs/black-box.json";

/// Reads a record.
///
/// # Errors
/// It is missing, or not of this shape. One line, which says to run `command`.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path, command: &str) -> Result<T> {
    let root = workspace();
    let name = path.strip_prefix(&root).unwrap_or(path).display();
    let text = fs::read_to_string(path).with_context(|| format!("no {name}: run `{command}`"))?;
    serde_json::from_str(&text).with_context(|| format!("{name} is not a record of this kind: run `{command}`"))
}

/// Writes a record for people and for `git diff`: indented, and with a line end.
///
/// # Errors
/// It cannot be written.
pub fn write<T: Serialize>(path: &Path, record: &T) -> Result<()> {
    let json = serde_json::to_string_pretty(record)? + "\n";
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    fs::write(path, json).with_context(|| format!("writing {}", path.display()))
}
