//! A replica's log line, made for people.

use std::collections::{BTreeMap, BTreeSet};

use still_leading_testbed::Event;
use still_leading_testbed::history::judge::{is_act, refusal};

use super::style::{colour_of, painted, wrap};

/// Fields for machines, which only distract a person.
const NOISE: [&str; 4] = ["timestamp", "level", "identity", "target"];
/// The most characters of a warning. Libraries put whole chains of causes into one.
const WARNING_MAX: usize = 160;

/// Formats one event, in as many lines as the width needs.
pub fn line(event: &Event, start: u64, colour: bool, width: Option<usize>) -> String {
    let fields = event.fields.iter().filter(|(name, value)| !NOISE.contains(&name.as_str()) && !value.is_null());
    let fields: String =
        fields.map(|(name, value)| format!(" {name}={}", value.to_string().trim_matches('"'))).collect();
    let level = warning(event).map(|level| format!("{level} ")).unwrap_or_default();
    let since = event.at.saturating_sub(start) as f64 / 1e9;
    let prefix = format!("[{}]", event.replica);
    let mut text = printable(&format!("{prefix} {since:.1}s {level}{}{fields}", event.message));
    if !level.is_empty() && text.chars().count() > WARNING_MAX {
        text = text.chars().take(WARNING_MAX).chain("...".chars()).collect();
    }
    let mut lines = wrap(&text, width, 2).into_iter();
    let first = lines.next().unwrap_or_default();
    let first = match first.strip_prefix(&prefix) {
        Some(rest) => painted(&prefix, colour_of(&event.replica), colour) + rest,
        None => first,
    };
    [first].into_iter().chain(lines).map(|line| line + "\n").collect()
}

/// The warnings that each replica has logged since its last other event. A replica that is cut off repeats a few warnings ten
/// times a second, and they would hide the rest.
#[derive(Debug, Default)]
pub struct Repeats(BTreeMap<String, BTreeSet<String>>);

impl Repeats {
    /// Whether the event is a warning that its replica has logged before.
    pub fn has(&mut self, event: &Event) -> bool {
        let uttered = self.0.entry(event.replica.clone()).or_default();
        // A write that a fence refused is always shown: it is what fencing is for.
        if warning(event).is_some() && refusal(event).is_none() {
            return !uttered.insert(event.message.clone());
        }
        if !is_act(event) && refusal(event).is_none() {
            uttered.clear();
        }
        false
    }
}

/// The level of a warning or error; `None` for other events.
fn warning(event: &Event) -> Option<&str> {
    event.fields.get("level")?.as_str().filter(|level| ["WARN", "ERROR"].contains(level))
}

/// Replaces control characters, so that a replica's line cannot move the cursor.
fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value};

    fn event(fields: &[(&str, Value)]) -> Event {
        let fields: Map<String, Value> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Event { at: 3_250_000_000, replica: "native-1".to_owned(), message: "still leading".to_owned(), fields }
    }

    #[test]
    fn a_line_names_the_replica_the_time_the_event_and_its_fields() {
        let event = event(&[("n", 3.into()), ("level", "INFO".into()), ("identity", "x".into())]);
        assert_eq!(line(&event, 1_000_000_000, false, None), "[native-1] 2.2s still leading n=3\n");
        assert_eq!(line(&event, 1_000_000_000, true, None), "\x1b[33m[native-1]\x1b[0m 2.2s still leading n=3\n");
    }

    #[test]
    fn a_warning_says_that_it_is_one_and_is_not_long() {
        let short = event(&[("level", "WARN".into())]);
        assert_eq!(line(&short, 0, false, None), "[native-1] 3.2s WARN still leading\n");
        let long = event(&[("level", "ERROR".into()), ("error", "why ".repeat(99).into())]);
        let text = line(&long, 0, false, None);
        assert!(text.len() == WARNING_MAX + 4 && text.ends_with("...\n"), "{text}");
    }

    #[test]
    fn a_warning_comes_once_until_something_changes() {
        let [warning, act] = [event(&[("level", "WARN".into())]), event(&[])];
        let warning = Event { message: "failed to update lease".to_owned(), ..warning };
        let change = Event { message: "leading cancelled".to_owned(), ..event(&[]) };
        let other = Event { replica: "native-2".to_owned(), ..warning.clone() };
        let mut repeats = Repeats::default();
        let told = [&warning, &act, &warning, &other, &change, &warning].map(|event| !repeats.has(event));
        assert_eq!(told, [true, true, false, true, true, true]);
    }

    #[test]
    fn on_a_narrow_terminal_a_line_goes_on_below_and_keeps_its_colour() {
        let event = event(&[("reason", "the API server did not answer".into())]);
        let text = line(&event, 0, true, Some(40));
        let expected = "\x1b[33m[native-1]\x1b[0m 3.2s still leading reason=the\n  API server did not answer\n";
        assert_eq!(text, expected);
        for width in [0, 1, 5] {
            assert!(line(&event, 0, false, Some(width)).contains("leading"), "{width}");
        }
    }

    #[test]
    fn what_a_replica_says_cannot_move_the_cursor() {
        let event = Event { message: "a\x1b[2Jb\rc".to_owned(), ..event(&[]) };
        let text = line(&event, 0, false, None);
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
    }
}
