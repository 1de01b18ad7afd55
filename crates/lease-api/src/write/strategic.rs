//! Strategic merge patches. They differ from merge patches in lists with a key, which merge item by item.
//!
//! The directives `$patch` and `$deleteFromPrimitiveList` are supported. `$setElementOrder` and `$retainKeys` are ignored: only
//! `kubectl apply` sends them.

use serde_json::{Map, Value};

use crate::go::plain;
use crate::schema::{Merge, Type};

/// Merges `patch` into `live`.
///
/// # Errors
/// What is wrong with the patch.
pub fn merge(of: Type, live: Option<&Value>, patch: &Value) -> Result<Value, String> {
    let Value::Object(patch) = patch else { return Ok(patch.clone()) };
    match patch.get("$patch").map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => return Ok(without_directives(patch)),
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some(other) => {
            return Err(format!("unknown patch type: {other} in map: {}", plain(&Value::Object(patch.clone()))));
        }
    }
    let mut merged = live.and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let of = of.member(name);
        if value.is_null() {
            merged.remove(name);
            continue;
        }
        let new = match (of, value) {
            (Some(Type::List(of, merging)), Value::Array(items)) if merging != Merge::Atomic => {
                list(*of, merging, merged.get(name), items)?
            }
            (Some(of), Value::Object(_)) => merge(of, merged.get(name), value)?,
            // The field is unknown. It is dropped later, or reported as unknown.
            (None, Value::Object(members)) => without_directives(members),
            _ => value.clone(),
        };
        merged.insert(name.clone(), new);
    }
    for (name, gone) in patch {
        let Some(name) = name.strip_prefix("$deleteFromPrimitiveList/") else { continue };
        let gone = gone.as_array().cloned().unwrap_or_default();
        if let Some(items) = merged.get_mut(name).and_then(Value::as_array_mut) {
            items.retain(|item| !gone.contains(item));
        }
    }
    Ok(Value::Object(merged))
}

fn without_directives(members: &Map<String, Value>) -> Value {
    Value::Object(
        members.iter().filter(|(name, _)| !name.starts_with('$')).map(|(n, v)| (n.clone(), v.clone())).collect(),
    )
}

/// Merges a list: the items of the patch in their order, then the rest.
fn list(of: Type, merging: Merge, live: Option<&Value>, patch: &[Value]) -> Result<Value, String> {
    let mut rest = live.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut merged = Vec::new();
    for item in patch {
        let Merge::By(key) = merging else {
            rest.retain(|other| other != item);
            if !merged.contains(item) {
                merged.push(item.clone());
            }
            continue;
        };
        let Some(known) = item.get(key) else {
            return Err(format!("map: {item} does not contain declared merge key: {key}"));
        };
        let at = rest.iter().position(|other| other.get(key) == Some(known));
        let old = at.map(|at| rest.remove(at));
        if item.get("$patch").is_none_or(|directive| directive != "delete") {
            merged.push(merge(of, old.as_ref(), item)?);
        }
    }
    merged.append(&mut rest);
    Ok(Value::Array(merged))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::LEASE;

    fn patched(patch: &Value) -> Value {
        let live = json!({"metadata": {"name": "a", "finalizers": ["x/a"], "labels": {"l": "1"},
            "ownerReferences": [{"uid": "1", "name": "one"}, {"uid": "2", "name": "two"}]},
            "spec": {"holderIdentity": "me", "leaseTransitions": 1}});
        merge(Type::Struct(&LEASE), Some(&live), patch).unwrap()
    }

    #[test]
    fn null_removes_and_the_rest_is_merged() {
        let merged = patched(&json!({"metadata": {"labels": {"m": "2"}}, "spec": {"holderIdentity": null}}));
        assert_eq!(merged["spec"], json!({"leaseTransitions": 1}));
        assert_eq!(merged["metadata"]["labels"], json!({"l": "1", "m": "2"}));
    }

    #[test]
    fn lists_merge_item_by_item() {
        let merged = patched(&json!({"metadata": {"finalizers": ["x/b", "x/a"],
            "ownerReferences": [{"uid": "2", "name": "zwei"}, {"uid": "1", "$patch": "delete"}, {"uid": "3"}]}}));
        assert_eq!(merged["metadata"]["finalizers"], json!(["x/b", "x/a"]));
        assert_eq!(merged["metadata"]["ownerReferences"], json!([{"uid": "2", "name": "zwei"}, {"uid": "3"}]));
        let merged = patched(&json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/a"]}}));
        assert_eq!(merged["metadata"]["finalizers"], json!([]));
    }

    #[test]
    fn directives_replace_and_delete() {
        let merged = patched(&json!({"spec": {"$patch": "replace", "leaseTransitions": 2}}));
        assert_eq!(merged["spec"], json!({"leaseTransitions": 2}));
        assert!(merge(Type::Struct(&LEASE), None, &json!({"$patch": "what"})).is_err());
    }
}
