//! An object that a message quotes, as the refusal of a patch does. It is compared as a value, like a body.

use serde_json::{Deserializer, Value};

use crate::golden::sorted;

const BEFORE: &str = "Invalid value: ";

/// Changes the quoted object of a text, if it has one, and sorts its keys, whose order depends on the server.
pub fn rewrite(text: &str, change: impl Fn(&Value) -> Value) -> Option<String> {
    let start = text.find(BEFORE)? + BEFORE.len();
    let (before, rest) = text.split_at(start);
    let mut strings = Deserializer::from_str(rest).into_iter::<String>();
    let quoted = strings.next()?.ok()?;
    let after = &rest[strings.byte_offset()..];
    let object: Value = serde_json::from_str(&quoted).ok()?;
    let rewritten = object.is_object().then(|| sorted(&change(&object)).to_string())?;
    Some(format!("{before}{}{after}", Value::from(rewritten)))
}
