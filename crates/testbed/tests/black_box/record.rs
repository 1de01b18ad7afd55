//! Records a run of the whole suite as one JSON document, `docs/runs/black-box.json`. The comparison is made from it, and the
//! suite compares it with its own table.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use still_leading_testbed::machine::Machine;
use still_leading_testbed::{Timings, Variant, workspace};

use crate::Id;
use crate::expected::{Row, expected, row};
use crate::promise::Violation;

/// Names the file to write. A relative path counts from the root of the repository, wherever the suite runs.
pub const VARIABLE: &str = "STILL_LEADING_RECORD";
/// The command that writes the record.
const COMMAND: &str = "just record";
/// The path of the record.
const RECORD: &str = "docs/runs/black-box.json";

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Kept,
    /// The promise was broken. Has what was seen, in one line.
    Broken(String),
    /// It could not be run. Has the reason, in one line.
    Error(String),
    /// It was not run.
    Ignored,
}

impl Outcome {
    pub fn of(end: &Result<()>) -> Self {
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        match end {
            Ok(()) => Self::Kept,
            Err(error) => match error.downcast_ref::<Violation>() {
                Some(violation) => Self::Broken(first_line(violation.to_string())),
                None => Self::Error(first_line(format!("{error:#}"))),
            },
        }
    }

    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Kept => ("kept", None),
            Self::Broken(why) => ("broken", Some(why)),
            Self::Error(why) => ("error", Some(why)),
            Self::Ignored => ("ignored", None),
        }
    }
}

/// Collects the outcomes of a run. Their order is that of the cases.
pub struct Recorder(Mutex<Vec<(Id, Outcome)>>);

impl Recorder {
    pub fn new(ids: &[Id]) -> Self {
        Self(Mutex::new(ids.iter().map(|id| (*id, Outcome::Ignored)).collect()))
    }

    pub fn note(&self, id: Id, outcome: Outcome) {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = outcomes.iter_mut().find(|(known, _)| *known == id) {
            known.1 = outcome;
        }
    }

    pub fn outcomes(&self) -> Vec<(Id, Outcome)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes the whole document.
pub fn document(kubernetes: &str, table: &[Row], outcomes: &[(Id, Outcome)]) -> Result<Value> {
    let outcomes = outcomes.iter().map(|(id, outcome)| {
        let (outcome, why) = outcome.parts();
        json!({
            "variant": id.variant.name(),
            "form": id.form.name(),
            "case": id.case,
            "outcome": outcome,
            "why": why,
            "expected": expected(table, *id).name(),
            "reason": row(table, *id).map(|row| row.reason),
        })
    });
    Ok(json!({
        "kubernetes": kubernetes,
        "machine": machine()?,
        "date": Timestamp::now().strftime("%F").to_string(),
        "command": COMMAND,
        "timings": Variant::ALL.iter().map(|it| (it.name().to_owned(), timings(*it))).collect::<Map<_, _>>(),
        "outcomes": outcomes.collect::<Vec<_>>(),
    }))
}

/// Writes the document into `file`, completely or not at all.
pub fn write(file: &Path, document: &Value) -> Result<()> {
    let file = workspace().join(file);
    let folder = file.parent().context("the record needs a name")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, serde_json::to_string_pretty(document)? + "\n")?;
    fs::rename(&unfinished, &file).with_context(|| format!("writing {}", file.display()))
}

/// Compares the committed record with the present table and cases.
pub fn agrees(table: &[Row], ids: &[Id]) -> Result<(), String> {
    let path = workspace().join(RECORD);
    let text = fs::read_to_string(path).map_err(|error| format!("{RECORD}: {error}; `{COMMAND}` writes it"))?;
    let record: Value = serde_json::from_str(&text).map_err(|error| format!("{RECORD}: {error}"))?;
    let disagreements = disagreements(&record, table, ids);
    if disagreements.is_empty() {
        return Ok(());
    }
    Err(format!("{RECORD} is not what the suite says today; `{COMMAND}` writes it anew:\n{}", disagreements.join("\n")))
}

/// Returns where a record and the table disagree, and what only one of them has.
pub fn disagreements(record: &Value, table: &[Row], ids: &[Id]) -> Vec<String> {
    let outcomes = record["outcomes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_of = |outcome: &Value, id: &Id| {
        let told = [&outcome["variant"], &outcome["form"], &outcome["case"]].map(Value::as_str);
        told == [Some(id.variant.name()), Some(id.form.name()), Some(id.case)]
    };
    let unknown = outcomes.iter().filter(|outcome| !ids.iter().any(|id| is_of(outcome, id)));
    let unknown = unknown.map(|outcome| format!("it has a case that no longer exists: {outcome}"));
    let differing = ids.iter().filter_map(|id| {
        let Some(outcome) = outcomes.iter().find(|outcome| is_of(outcome, id)) else {
            return Some(format!("it lacks {id}"));
        };
        let (found, expected) = (outcome["outcome"].as_str().unwrap_or("nothing"), expected(table, *id));
        (!expected.allows(found)).then(|| format!("{id}: it has {found}, the table says {}", expected.name()))
    });
    differing.chain(unknown).collect()
}

fn timings(variant: Variant) -> Value {
    let Timings { lease_duration, renew_deadline, retry_period } = Timings::short_for(variant);
    json!({
        "lease_duration_s": lease_duration.as_secs_f64(),
        "renew_deadline_s": renew_deadline.as_secs_f64(),
        "retry_period_s": retry_period.as_secs_f64(),
    })
}

fn machine() -> Result<Value> {
    let Machine { cpus, memory_gib, os } = Machine::here()?;
    Ok(json!({"cpus": cpus, "memory_gib": memory_gib, "os": os}))
}
