//! Lines of a pod's log in their text form, from Rust (tracing) and from Go, which only differ in when a value is quoted:
//! `2026-11-21T10:45:16.381360Z  INFO leading tick=5s epoch="65"`.

use jiff::Timestamp;
use serde_json::{Map, Value};
use still_leading_testbed::Event;

use super::nanoseconds;

const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

/// The event that a line of `pod` tells of; none if it is something else, such as the message of a panic.
pub(super) fn parse(pod: &str, line: &str) -> Option<Event> {
    let (stamp, rest) = line.split_once(' ')?;
    let at = nanoseconds(stamp.parse::<Timestamp>().ok()?);
    let (level, rest) = rest.trim_start().split_once(' ')?;
    if !LEVELS.contains(&level) {
        return None;
    }
    let (message, mut rest) = split_at_field(rest);
    let mut fields = Map::new();
    while let Some((name, value)) = rest.split_once('=') {
        let (value, after) = value_of(value);
        fields.insert(name.to_owned(), Value::String(value));
        rest = after;
    }
    Some(Event { at, replica: pod.to_owned(), message: message.to_owned(), fields })
}

/// What stands before the first ` name=`, and from that name on. A value without quotes may have spaces, as a message has.
fn split_at_field(text: &str) -> (&str, &str) {
    let is_field = |rest: &str| {
        let name = rest.split_once('=').map(|(name, _)| name).unwrap_or_default();
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
    };
    let space = text.match_indices(' ').map(|(at, _)| at).find(|at| is_field(&text[at + 1..]));
    space.map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

/// A value, and what comes after it.
fn value_of(text: &str) -> (String, &str) {
    // Both languages quote as JSON does, but for letters that no field here has.
    let mut quoted = serde_json::Deserializer::from_str(text).into_iter::<String>();
    match quoted.next() {
        Some(Ok(value)) if text.starts_with('"') => (value, text[quoted.byte_offset()..].trim_start()),
        _ => {
            let (value, rest) = split_at_field(text);
            (value.to_owned(), rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Event {
        parse("pod-0", line).unwrap_or_else(|| panic!("no event: {line}"))
    }

    fn fields(line: &str) -> Vec<(String, String)> {
        let fields = event(line).fields.into_iter();
        fields.map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect()
    }

    fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_line_from_rust_has_its_time_message_and_fields() {
        let line = r#"2026-11-21T10:45:16.381360Z  INFO leading tick=5s epoch="65""#;
        let event = event(line);
        assert_eq!((event.replica.as_str(), event.message.as_str()), ("pod-0", "leading"));
        assert_eq!(event.at, 1_795_257_916_381_360_000);
        assert_eq!(fields(line), owned(&[("epoch", "65"), ("tick", "5s")]));
        let line = r#"2026-11-21T10:45:16.381360Z  INFO still leading n=1"#;
        assert_eq!(super::parse("pod-0", line).unwrap().message, "still leading");
    }

    #[test]
    fn a_line_from_go_has_the_same_with_fewer_quotes() {
        let line = r#"2026-11-21T10:45:16.000001Z  INFO attempting to acquire leader lease lease=ns/still-leading-client-go identity=pod-0_1"#;
        assert_eq!(event(line).message, "attempting to acquire leader lease");
        assert_eq!(fields(line), owned(&[("identity", "pod-0_1"), ("lease", "ns/still-leading-client-go")]));
        let line = r#"2026-11-21T10:45:16.000001Z  INFO stopped leading reason="leader election lost""#;
        assert_eq!(fields(line), owned(&[("reason", "leader election lost")]));
    }

    #[test]
    fn a_quoted_value_may_hold_what_looks_like_a_field_and_one_without_quotes_spaces() {
        let line = r#"2026-11-21T10:45:16Z ERROR it failed error="a \"b\" c=d" n=1"#;
        assert_eq!(fields(line), owned(&[("error", "a \"b\" c=d"), ("n", "1")]));
        let line = "2026-11-21T10:45:16Z  WARN it failed error=no route to host code=7";
        assert_eq!(fields(line), owned(&[("code", "7"), ("error", "no route to host")]));
    }

    #[test]
    fn a_message_without_fields_is_whole() {
        assert_eq!(event("2026-11-21T10:45:16Z  INFO leading cancelled").message, "leading cancelled");
    }

    #[test]
    fn any_other_line_is_no_event() {
        for line in
            ["", "thread 'main' panicked at src/main.rs:1:2:", "2026-11-21T10:45:16Z", "2026-11-21T10:45:16Z  note x"]
        {
            assert_eq!(parse("pod-0", line), None, "{line}");
        }
    }
}
