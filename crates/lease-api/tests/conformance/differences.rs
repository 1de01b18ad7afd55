//! The intended differences of the embedded server: `differences.yaml`, shown in docs/lease-api.md. Everything else must be the
//! same.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use still_leading_testbed::workspace;

use crate::scenario::{Topic, folder};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub topic: String,
    pub scenario: String,
    /// The number of the step, from 1.
    pub step: usize,
    /// A JSON pointer into the answer. Everything below it may differ too.
    pub at: String,
    /// The difference, in words.
    pub what: String,
    pub why: String,
}

pub fn table() -> Result<Vec<Row>> {
    let text = fs::read_to_string(folder().join("differences.yaml"))?;
    let rows: Option<Vec<Row>> = serde_saphyr::from_str(&text).context("reading differences.yaml")?;
    Ok(rows.unwrap_or_default())
}

/// Returns the rows about one scenario.
pub fn rows(table: &[Row], topic: &str, scenario: &str) -> Vec<Row> {
    table.iter().filter(|row| row.topic == topic && row.scenario == scenario).cloned().collect()
}

/// Returns what is wrong with the table itself: rows about steps that do not exist.
pub fn defects(table: &[Row], topics: &[Topic]) -> Vec<String> {
    let exists = |row: &&Row| {
        let topic = topics.iter().find(|topic| topic.name == row.topic);
        let scenario = topic.and_then(|topic| topic.scenarios.iter().find(|it| it.name == row.scenario));
        scenario.is_some_and(|scenario| (1..=scenario.steps.len()).contains(&row.step))
    };
    let unknown = table.iter().filter(|row| !exists(row));
    unknown.map(|row| format!("there is no step {} of {}::{}", row.step, row.topic, row.scenario)).collect()
}

const BEGIN: &str = "<!-- differences.yaml, written by the conformance suite -->\n";
const END: &str = "<!-- end of differences.yaml -->";

fn document() -> PathBuf {
    workspace().join("docs/lease-api.md")
}

/// Formats the table for the page. Rows with the same words are shown once.
fn markdown(table: &[Row]) -> String {
    if table.is_empty() {
        return "None.\n".to_owned();
    }
    let mut lines = vec!["| what | why |".to_owned(), "|---|---|".to_owned()];
    for row in table {
        let line = format!("| {} | {} |", row.what, row.why);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

fn updated(table: &[Row]) -> Result<(String, String)> {
    let text = fs::read_to_string(document()).context("reading docs/lease-api.md")?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.context("docs/lease-api.md has no place for the table")?;
    let new = format!("{before}{BEGIN}{}{END}{after}", markdown(table));
    Ok((text, new))
}

pub fn write_document(table: &[Row]) -> Result<()> {
    let (old, new) = updated(table)?;
    if old != new { fs::write(document(), new).context("writing docs/lease-api.md") } else { Ok(()) }
}

pub fn check_document(table: &[Row]) -> Result<()> {
    let (old, new) = updated(table)?;
    if old != new {
        bail!("docs/lease-api.md shows another table than differences.yaml: run with STILL_LEADING_GOLDEN=1");
    }
    Ok(())
}
