//! Compares answers with the golden ones.

use std::fmt;

use serde_json::Value;

use crate::differences::Row;
use crate::scenario::{Scenario, Step};

/// One place where an answer differs.
#[derive(Debug)]
pub struct Difference {
    /// The number of the step, from 1.
    pub step: usize,
    /// A JSON pointer into the answer.
    pub at: String,
    pub golden: Option<Value>,
    pub actual: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| value.as_ref().map_or("(absent)".to_owned(), Value::to_string);
        let at = if self.at.is_empty() { "(the whole answer)" } else { &self.at };
        write!(f, "  {at}\n    golden: {}\n    here:   {}", text(&self.golden), text(&self.actual))
    }
}

/// Returns all differences in order. A different status is one difference.
pub fn compare(golden: &[Value], actual: &[Value]) -> Vec<Difference> {
    let mut found = Vec::new();
    for step in 0..golden.len().max(actual.len()) {
        let mut at = |at: &str, golden: Option<&Value>, actual: Option<&Value>| {
            let (golden, actual) = (golden.cloned(), actual.cloned());
            found.push(Difference { step: step + 1, at: at.to_owned(), golden, actual });
        };
        match (golden.get(step), actual.get(step)) {
            // With another status everything differs, which is best shown as a whole.
            (Some(golden), Some(actual)) if golden["status"] != actual["status"] => at("", Some(golden), Some(actual)),
            (golden, actual) => walk("", golden, actual, &mut at),
        }
    }
    found
}

fn walk(
    at: &str,
    golden: Option<&Value>,
    actual: Option<&Value>,
    tell: &mut impl FnMut(&str, Option<&Value>, Option<&Value>),
) {
    match (golden, actual) {
        (one, other) if one == other => {}
        (Some(Value::Object(golden)), Some(Value::Object(actual))) => {
            let keys: std::collections::BTreeSet<&String> = golden.keys().chain(actual.keys()).collect();
            for key in keys {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                walk(&format!("{at}/{escaped}"), golden.get(key), actual.get(key), tell);
            }
        }
        (Some(Value::Array(golden)), Some(Value::Array(actual))) => {
            for i in 0..golden.len().max(actual.len()) {
                walk(&format!("{at}/{i}"), golden.get(i), actual.get(i), tell);
            }
        }
        _ => tell(at, golden, actual),
    }
}

/// Returns what is wrong with the answers, if anything: differences without a row, and rows without a difference.
pub fn judge(scenario: &Scenario, golden: &[Value], actual: &[Value], rows: &[Row]) -> Result<(), String> {
    let found = compare(golden, actual);
    let covers = |row: &Row, it: &Difference| row.step == it.step && is_within(&it.at, &row.at);
    let mut complaints = Vec::new();
    let mut told = 0;
    for difference in found.iter().filter(|it| !rows.iter().any(|row| covers(row, it))) {
        if difference.step != told {
            complaints.push(format!("step {}: {}", difference.step, describe(scenario, difference.step)));
            told = difference.step;
        }
        complaints.push(difference.to_string());
    }
    for row in rows.iter().filter(|row| !found.iter().any(|it| covers(row, it))) {
        let text = "differences.yaml says that step {step} differs at {at}, and it does not: take it out there";
        complaints.push(text.replace("{step}", &row.step.to_string()).replace("{at}", &row.at));
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn is_within(at: &str, place: &str) -> bool {
    at.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn describe(scenario: &Scenario, step: usize) -> String {
    match scenario.steps.get(step - 1) {
        Some(Step::Request(request)) => format!("{} {}", request.method, request.path),
        Some(Step::Read { watch, .. }) => format!("reading {watch}"),
        Some(Step::Pause(_)) => "a pause".to_owned(),
        None => "there is no such step".to_owned(),
    }
}
