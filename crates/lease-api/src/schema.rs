//! The schema of the stored objects: their fields, the types, and how they merge.
//!
//! One description drives decoding, the order of fields in an answer, strategic merges and ownership of fields. So none of them
//! contains anything about Leases.

mod objects;
mod types;

pub use objects::{CONFIG_MAP, DELETE_OPTIONS, EVENT, K8S_EVENT, LEASE, NAMESPACE};
pub use types::{Field, Merge, Struct, Type, Zero};

use serde_json::{Map, Value};

/// Whether a value is zero in Go. Such a value is not shown, unless its field says otherwise.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// The members of a JSON object; none for any other value.
pub fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The string at a JSON pointer; empty if there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
