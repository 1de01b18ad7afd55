//! Numbers that are versions.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The versions of objects that the answers show, oldest first.
pub struct Versions(Vec<u64>);

impl Versions {
    pub fn of(answers: &[Value]) -> Self {
        let mut found = BTreeSet::new();
        answers.iter().for_each(|answer| collect(answer, &mut found));
        Self(found.into_iter().collect())
    }

    /// Normalises the version of an object. A number that no object has stays as it is.
    pub fn own(&self, text: &str) -> String {
        let number = text.parse::<u64>().ok();
        let place = number.and_then(|number| self.0.binary_search(&number).ok());
        place.map_or_else(|| text.to_owned(), |place| format!("rv{}", place + 1))
    }

    /// Normalises the version of the whole server.
    pub fn global(&self, text: &str) -> String {
        match text.parse::<u64>() {
            Ok(number) => format!("since rv{}", self.0.partition_point(|own| *own <= number)),
            Err(_) => text.to_owned(),
        }
    }
}

/// Whether the version of this object is the whole server's: it is a list, or a list in the form of a table.
pub fn is_global(fields: &Map<String, Value>) -> bool {
    let is_list = fields.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    is_list || fields.contains_key("items") || is_table_of_many(fields)
}

pub fn is_bookmark(frame: &Map<String, Value>) -> bool {
    frame.get("type").is_some_and(|kind| kind == "BOOKMARK")
}

/// Whether it is a table of several objects. The table of one object, from a watch or a get, has that object's version.
fn is_table_of_many(fields: &Map<String, Value>) -> bool {
    let Some(Value::Array(rows)) = fields.get("rows") else { return false };
    let version = |metadata: Option<&Value>| metadata.and_then(|it| it["resourceVersion"].as_str().map(str::to_owned));
    match rows.as_slice() {
        [row] => version(fields.get("metadata")) != version(row["object"].get("metadata")),
        _ => true,
    }
}

fn collect(value: &Value, found: &mut BTreeSet<u64>) {
    match value {
        Value::Object(fields) if is_bookmark(fields) => {}
        Value::Object(fields) => {
            let version = fields.get("metadata").and_then(|it| it["resourceVersion"].as_str());
            if let (Some(Ok(number)), false) = (version.map(str::parse), is_global(fields)) {
                found.insert(number);
            }
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
