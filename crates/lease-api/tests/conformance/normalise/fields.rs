//! Managed fields. The server sorts their entries by a time in seconds, so two runs may show them in different orders.

use std::collections::BTreeSet;

use serde_json::Value;

use super::known::Now;

/// The order by operation, time and manager, as in `sortEncodedManagedFields` of k8s.io/apimachinery.
fn place(entry: &Value) -> [&str; 5] {
    ["operation", "time", "manager", "apiVersion", "subresource"].map(|key| entry[key].as_str().unwrap_or_default())
}

/// Replaces each entry's time by its rank, or by "now". Without ranks the order by time is dropped too, after it was checked.
pub fn entries(entries: &[Value], now: Now, ranks: Option<&[String]>) -> Value {
    let is_sorted = entries.is_sorted_by_key(place);
    let mut entries = entries.to_vec();
    for entry in &mut entries {
        let Some(time) = entry["time"].as_str().filter(|time| now.includes(time)).map(str::to_owned) else { continue };
        let rank = ranks.map(|ranks| ranks.iter().take_while(|it| **it < time).count() + 1);
        entry["time"] = rank.map_or_else(|| "now".to_owned(), |rank| format!("time{rank}")).into();
    }
    if ranks.is_none() {
        entries.sort_by(|one, other| {
            let [operation, _, rest @ ..] = place(one);
            let [other_operation, _, other_rest @ ..] = place(other);
            (operation, rest).cmp(&(other_operation, other_rest))
        });
    }
    if !is_sorted {
        entries.push("not in the order of operation, time and manager".into());
    }
    Value::Array(entries)
}

/// Returns the times of all entries, earliest first.
pub fn ranks(answers: &[Value]) -> Vec<String> {
    let mut found = BTreeSet::new();
    answers.iter().for_each(|answer| collect(answer, &mut found));
    found.into_iter().collect()
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("managedFields", Value::Array(entries)) => {
                        found.extend(entries.iter().filter_map(|entry| entry["time"].as_str().map(str::to_owned)));
                    }
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
