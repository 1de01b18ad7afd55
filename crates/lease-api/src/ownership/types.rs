//! Checks whether an apply configuration fits the type that it names. Decoding cannot check that: it drops unknown fields, and an
//! owner of an unknown field would own nothing.

use serde_json::Value;

use super::compare::step;
use super::paths::shown;
use crate::go::quoted;
use crate::schema::{Merge, Type};

/// Returns all errors.
pub fn type_errors(of: Type, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let mut path = String::new();
    check(of, value, &mut path, &mut errors);
    errors
}

fn check(of: Type, value: &Value, path: &mut String, errors: &mut Vec<String>) {
    let mut wrong = |what: String| errors.push(format!("{path}: {what}"));
    match (of, value) {
        (_, Value::Null) | (Type::Fields, _) => {}
        // A time may be any scalar, as long as nobody reads it.
        (Type::Time | Type::MicroTime, Value::Number(_) | Value::Bool(_))
        | (Type::String | Type::Bytes | Type::Time | Type::MicroTime, Value::String(_))
        | (Type::Bool, Value::Bool(_))
        | (Type::Int32 | Type::Int64, Value::Number(_)) => {}
        (Type::String | Type::Bytes | Type::Time | Type::MicroTime, other) => {
            wrong(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go(other)));
        }
        (Type::Bool, other) => wrong(format!("expected boolean, got &{{{}}}", plain(other))),
        (Type::Int32 | Type::Int64, other) => {
            wrong(format!("expected numeric (int or float), got {}", go_type(other)));
        }
        (Type::List(of, merge), Value::Array(items)) => {
            if merge != Merge::Atomic {
                let steps: Vec<_> = items.iter().map(|item| step(merge, item)).collect();
                let twice = steps.iter().enumerate().filter(|(index, step)| steps[..*index].contains(step));
                for (_, step) in twice {
                    let key = shown(std::slice::from_ref(step));
                    errors.push(format!("{path}: duplicate entries for key {key}"));
                }
            }
            for (index, item) in items.iter().enumerate() {
                let length = path.len();
                match merge {
                    Merge::Atomic => path.push_str(&format!("[{index}]")),
                    Merge::Set => path.push_str(&format!("[={item}]")),
                    Merge::By(key) => path.push_str(&format!("[{key}={}]", item.get(key).unwrap_or(&Value::Null))),
                }
                check(*of, item, path, errors);
                path.truncate(length);
            }
        }
        (Type::List(..), other) => wrong(format!("expected list, got &{{{}}}", plain(other))),
        (of, Value::Object(members)) => {
            for (name, value) in members {
                let typed = path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind");
                let length = path.len();
                path.push_str(&format!(".{name}"));
                let known = of.member(name);
                match known {
                    Some(of) => check(of, value, path, errors),
                    None if typed => {}
                    None => errors.push(format!("{path}: field not declared in schema")),
                }
                path.truncate(length);
                if known.is_none() && !typed {
                    // kube-apiserver looks no further into this object either.
                    return;
                }
            }
        }
        (_, other) => wrong(format!("expected map, got &{{{}}}", plain(other))),
    }
}

/// Formats a value as Go's `%#v` does.
fn go(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), quoted)
}

/// Formats a value as Go's `%v` does.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        _ => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::LEASE;

    #[test]
    fn a_configuration_has_known_fields_of_their_type() {
        let errors = |config: Value| type_errors(Type::Struct(&LEASE), &config);
        let fine = json!({"apiVersion": "v1", "kind": "Lease", "metadata": {"name": "a", "labels": {"b": "c"}},
            "spec": {"holderIdentity": null, "leaseTransitions": 1}});
        assert_eq!(errors(fine), Vec::<String>::new());
        assert_eq!(errors(json!({"spec": {"foo": 1}})), [".spec.foo: field not declared in schema"]);
        assert_eq!(
            errors(json!({"spec": {"leaseTransitions": "1"}})),
            [".spec.leaseTransitions: expected numeric (int or float), got string"]
        );
        assert_eq!(
            errors(json!({"spec": {"holderIdentity": 1}})),
            [".spec.holderIdentity: expected string, got &value.valueUnstructured{Value:1}"]
        );
    }
}
