//! A history as a table for people.

use std::fmt::Write;

use serde_json::Value;

use super::event::{Event, Malformed};

/// Fields that every line has and nobody needs to understand a failure.
const NOISE: [&str; 3] = ["timestamp", "level", "identity"];

/// One line per event: seconds since the first, replica, message, and fields. Lines that are not events follow.
pub(super) fn render(events: &[Event], malformed: &[Malformed]) -> String {
    let first = events.first().map_or(0, |event| event.at);
    let width = events.iter().map(|event| event.replica.len()).max().unwrap_or(0);
    let mut table = String::new();
    for event in events {
        let since_first = event.at - first;
        let (seconds, millis) = (since_first / 1_000_000_000, since_first / 1_000_000 % 1_000);
        // Writing to a String cannot fail.
        write!(table, "{seconds:>4}.{millis:03}  {:width$}  {}", event.replica, event.message).ok();
        for (key, value) in event.fields.iter().filter(|(key, _)| !NOISE.contains(&key.as_str())) {
            match value {
                Value::String(text) => write!(table, "  {key}={text}").ok(),
                other => write!(table, "  {key}={other}").ok(),
            };
        }
        table.push('\n');
    }
    if events.is_empty() {
        table.push_str("  (nothing)\n");
    }
    for Malformed { replica, line } in malformed {
        writeln!(table, "  not an event, from {replica}: {line}").ok();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_has_seconds_since_the_first_event_and_the_fields_that_matter() {
        let event = |at, replica: &str, fields: Value| Event {
            at,
            replica: replica.to_owned(),
            message: "still leading".to_owned(),
            fields: fields.as_object().unwrap().clone(),
        };
        let events = [
            event(7_000_000_000, "native-0", json!({"level": "INFO", "n": 1})),
            event(19_250_000_000, "native-10", json!({"why": "b c"})),
        ];
        let malformed = [Malformed { replica: "native-0".to_owned(), line: "oops".to_owned() }];
        let expected = "   0.000  native-0   still leading  n=1\n  \
                        12.250  native-10  still leading  why=b c\n  \
                        not an event, from native-0: oops\n";
        assert_eq!(render(&events, &malformed), expected);
    }

    #[test]
    fn an_empty_history_says_so() {
        assert_eq!(render(&[], &[]), "  (nothing)\n");
    }
}
