//! Replaces what differs between any two runs, and nothing else.
//!
//! The first uid of a scenario becomes `uid1`, and so on. The oldest version of an object in the scenario becomes `rv1`, and so
//! on, so that equality and order stay visible. The version of a list is the whole server's, to which other scenarios write. So
//! it becomes `since rv3`, after the newest version that it includes.

mod fields;
mod known;
mod quoted;
mod text;
mod versions;

pub use known::Known;

use serde_json::{Map, Value};

use known::Now;
use text::Texts;
use versions::Versions;

/// The fields of `/version` about the machine and the sources of the real server.
const OF_THE_BUILD: [&str; 6] = ["buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"];

pub fn normalise(answers: &[Value], known: &Known) -> Vec<Value> {
    let versions = Versions::of(answers);
    let now = Now::since(known.began);
    let texts = Texts::new(answers, known, now);
    let ranks = known.ranks_times.then(|| fields::ranks(answers));
    let normaliser = Normaliser { versions, now, texts, ranks };
    answers.iter().map(|answer| normaliser.answer(answer)).collect()
}

struct Normaliser {
    versions: Versions,
    now: Now,
    texts: Texts,
    ranks: Option<Vec<String>>,
}

impl Normaliser {
    fn answer(&self, answer: &Value) -> Value {
        let mut answer = self.value(answer);
        if let Some(Value::Array(frames)) = answer.get_mut("frames") {
            // The server chooses how often a bookmark comes.
            frames.dedup_by(|later, earlier| later["type"] == "BOOKMARK" && later == earlier);
        }
        answer
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let rewritten = quoted::rewrite(text, |object| self.value(object));
                self.texts.text(rewritten.as_ref().unwrap_or(text)).into()
            }
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => self.object(fields, versions::is_global(fields)),
            other => other.clone(),
        }
    }

    fn object(&self, fields: &Map<String, Value>, is_global: bool) -> Value {
        let convert = |(key, value): (&String, &Value)| {
            let converted = match (key.as_str(), value) {
                ("metadata", Value::Object(metadata)) => self.metadata(metadata, is_global),
                ("object", Value::Object(object)) if versions::is_bookmark(fields) => self.object(object, true),
                ("causes", Value::Array(causes)) => self.value(&sorted_conflicts(causes)),
                ("rows", Value::Array(rows)) => rows.iter().map(|row| self.row(row)).collect(),
                (key, _) if OF_THE_BUILD.contains(&key) && fields.contains_key("gitVersion") => "(of the build)".into(),
                _ => self.value(value),
            };
            (key.clone(), converted)
        };
        Value::Object(fields.iter().map(convert).collect())
    }

    fn metadata(&self, metadata: &Map<String, Value>, is_global: bool) -> Value {
        let convert = |(key, value): (&String, &Value)| {
            let converted = match (key.as_str(), value) {
                ("resourceVersion", Value::String(version)) if is_global => self.versions.global(version).into(),
                ("resourceVersion", Value::String(version)) => self.versions.own(version).into(),
                ("managedFields", Value::Array(entries)) => fields::entries(entries, self.now, self.ranks.as_deref()),
                // A token has a version and a key, which only its server can read.
                ("continue", Value::String(token)) if !token.is_empty() => "a token".into(),
                ("name", Value::String(name)) => generated(metadata, name).unwrap_or_else(|| self.value(value)),
                _ => self.value(value),
            };
            (key.clone(), converted)
        };
        Value::Object(metadata.iter().map(convert).collect())
    }

    /// Normalises a row of a Table: an age grows while the test runs, and from day to day.
    fn row(&self, row: &Value) -> Value {
        let mut row = self.value(row);
        if let Some(Value::Array(cells)) = row.get_mut("cells") {
            cells.iter_mut().filter(|cell| cell.as_str().is_some_and(is_age)).for_each(|cell| *cell = "an age".into());
        }
        row
    }
}

/// Whether it is an age as kubectl shows it, such as `5s` or `2y330d`.
fn is_age(text: &str) -> bool {
    let mut parts = text.split_inclusive(|letter: char| !letter.is_ascii_digit());
    let is_part = |part: &str| part.len() > 1 && part.ends_with(['s', 'm', 'h', 'd', 'y']);
    !text.is_empty() && parts.all(is_part)
}

/// Sorts conflicts with several managers, which come in the random order of a Go map.
fn sorted_conflicts(causes: &[Value]) -> Value {
    let mut causes = causes.to_vec();
    if causes.iter().all(|cause| cause["reason"] == "FieldManagerConflict") {
        causes.sort_by_key(|cause| cause["message"].to_string());
    }
    Value::Array(causes)
}

fn generated(metadata: &Map<String, Value>, name: &str) -> Option<Value> {
    let prefix = metadata.get("generateName")?.as_str()?;
    let random = name.strip_prefix(prefix)?;
    let is_random = random.len() == 5 && random.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    is_random.then(|| format!("{prefix}(5 random)").into())
}
