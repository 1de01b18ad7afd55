//! The real server's answers, normalised: `golden/<topic>.json`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scenario::folder;

/// The answers by scenario, one per step.
pub type Answers = BTreeMap<String, Vec<Value>>;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The version of the server that gave them, as the server reports it.
    pub kubernetes: String,
    pub scenarios: Answers,
}

fn file(topic: &str) -> PathBuf {
    folder().join("golden").join(format!("{topic}.json"))
}

/// Reads the answers of a topic; `None` if nothing was recorded yet.
pub fn read(topic: &str) -> Result<Option<Golden>> {
    let file = file(topic);
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file)?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", file.display())).map(Some)
}

/// Writes one answer per line, so that a diff shows which answer has changed.
pub fn write(topic: &str, golden: &Golden) -> Result<()> {
    let mut text = format!("{{\n\"kubernetes\": {},\n\"scenarios\": {{", serde_json::to_string(&golden.kubernetes)?);
    for (i, (name, answers)) in golden.scenarios.iter().enumerate() {
        write!(text, "{}\n{}: [", if i > 0 { "," } else { "" }, serde_json::to_string(name)?)?;
        for (i, answer) in answers.iter().enumerate() {
            write!(text, "{}\n{}", if i > 0 { "," } else { "" }, serde_json::to_string(&sorted(answer))?)?;
        }
        text.push_str("\n]");
    }
    text.push_str("\n}\n}\n");
    let file = file(topic);
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

/// Sorts the keys. Their order otherwise depends on the features of serde_json in the build.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            Value::Object(fields.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
