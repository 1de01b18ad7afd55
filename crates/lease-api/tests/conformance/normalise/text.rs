//! Replacements at any place in a text.

use serde_json::Value;

use super::known::{Known, Now};
use super::versions::Versions;

/// The version of an object, or of the whole server, follows these words. The last of OWN is how Go prints an object.
const OWN: [&str; 3] =
    ["the ResourceVersion in the precondition (", "the ResourceVersion in record (", "resourceVersion:"];
const GLOBAL: [&str; 2] = ["current: ", "too old resource version: 1 ("];

pub struct Texts {
    /// Pairs of a text and its replacement.
    replacements: Vec<(String, String)>,
    versions: Versions,
    now: Now,
}

impl Texts {
    pub fn new(answers: &[Value], known: &Known, now: Now) -> Self {
        let mut uids = Vec::new();
        answers.iter().for_each(|answer| collect(answer, &mut uids));
        let uids = uids.into_iter().enumerate().map(|(i, uid)| (uid, format!("uid{}", i + 1)));
        let names = [(&known.namespace, "{ns}"), (&known.address, "{address}")];
        let names = names.into_iter().map(|(from, to)| (from.clone(), to.to_owned()));
        Self { replacements: uids.chain(names).collect(), versions: Versions::of(answers), now }
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.replacements {
            if text.contains(from) {
                text = text.replace(from, to);
            }
        }
        for before in OWN {
            text = replace_number(&text, before, |number| self.versions.own(number));
        }
        for before in GLOBAL {
            text = replace_number(&text, before, |number| self.versions.global(number));
        }
        self.without_times(&text)
    }

    fn without_times(&self, text: &str) -> String {
        const LENGTH: usize = "2026-01-01T00:00:00Z".len();
        let mut rest = text;
        let mut replaced = String::new();
        while let Some(first) = rest.chars().next() {
            if let Some(time) = rest.get(..LENGTH).filter(|time| self.now.includes(time)) {
                replaced.push_str("now");
                rest = &rest[time.len()..];
            } else {
                replaced.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        replaced
    }
}

/// Replaces the digits after each `before`.
fn replace_number(text: &str, before: &str, by: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(before);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|it: char| !it.is_ascii_digit()).unwrap_or(part.len());
        replaced.push_str(before);
        replaced.push_str(&by(&part[..digits]));
        replaced.push_str(&part[digits..]);
    }
    replaced
}

fn collect(value: &Value, uids: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().filter(|_| key == "uid") {
                    Some(uid) if is_random(uid) && !uids.iter().any(|it| it == uid) => uids.push(uid.to_owned()),
                    _ => collect(value, uids),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, uids)),
        _ => {}
    }
}

/// Whether it is a uid of version 4. No scenario has one of its own.
fn is_random(uid: &str) -> bool {
    uid.len() == 36 && uid.as_bytes()[14] == b'4' && uid.bytes().all(|it| it == b'-' || it.is_ascii_hexdigit())
}
