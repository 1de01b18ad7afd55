//! JSON patches (RFC 6902), with what kube-apiserver's library does differently.

use json_patch::{AddOperation, PatchOperation};
use serde_json::{Map, Value};

use crate::status::{Result, Status};

/// What an operation may have.
const FIELDS: [&str; 4] = ["op", "path", "from", "value"];

/// Applies all operations; what strict validation minds goes to `strict`. All copies together may have as many bytes:
/// a few that copy each other would fill any memory.
///
/// # Errors
/// 422, which does not tell why.
pub fn apply(
    object: &mut Value,
    operations: &[Value],
    strict: &mut Vec<String>,
    copied_bytes_max: usize,
) -> Result<()> {
    let mut budget = copied_bytes_max;
    for (index, operation) in operations.iter().enumerate() {
        let fields = operation.as_object().cloned().unwrap_or_default();
        let unknown = fields.keys().filter(|field| !FIELDS.contains(&field.as_str()));
        strict.extend(unknown.map(|field| format!("json patch unknown field \"[{index}].{field}\"")));
        step(object, fields, &mut budget).ok_or_else(Status::patch_does_not_apply)?;
    }
    Ok(())
}

fn step(object: &mut Value, mut fields: Map<String, Value>, budget: &mut usize) -> Option<()> {
    // A value that is absent is null.
    fields.entry("value").or_insert(Value::Null);
    let operation: PatchOperation = serde_json::from_value(Value::Object(fields)).ok()?;
    let operation = match operation {
        // The RFC wants an error if there is nothing to replace; here it is added.
        PatchOperation::Replace(replace) if in_object(object, &replace.path) => {
            PatchOperation::Add(AddOperation { path: replace.path, value: replace.value })
        }
        // And what is absent is null: for a test, and to be copied.
        PatchOperation::Test(test) if in_object(object, &test.path) && test.path.resolve(&*object).is_err() => {
            return test.value.is_null().then_some(());
        }
        PatchOperation::Copy(copy) => {
            if !in_object(object, &copy.from) {
                copy.from.resolve(&*object).ok()?;
            }
            let value = copy.from.resolve(&*object).cloned().unwrap_or_default();
            *budget = budget.checked_sub(value.to_string().len())?;
            PatchOperation::Add(AddOperation { path: copy.path, value })
        }
        other => other,
    };
    json_patch::patch(object, &[operation]).ok()
}

/// Whether the path is about a member of an object that exists.
fn in_object(object: &Value, path: &json_patch::jsonptr::Pointer) -> bool {
    path.parent().and_then(|parent| parent.resolve(object).ok()).is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(operation: Value) -> Result<Value> {
        let mut object = json!({"spec": {"holderIdentity": "a"}, "list": [1]});
        apply(&mut object, &[operation], &mut Vec::new(), 100)?;
        Ok(object)
    }

    #[test]
    fn what_is_absent_can_be_replaced_tested_and_copied() {
        let new = patched(json!({"op": "replace", "path": "/spec/renewTime", "value": "x"})).unwrap();
        assert_eq!(new["spec"]["renewTime"], "x");
        assert!(patched(json!({"op": "test", "path": "/spec/renewTime", "value": null})).is_ok());
        let new = patched(json!({"op": "copy", "from": "/spec/renewTime", "path": "/spec/holderIdentity"})).unwrap();
        assert_eq!(new["spec"]["holderIdentity"], Value::Null);
    }

    #[test]
    fn a_patch_that_does_not_apply_says_no_more() {
        for operation in [
            json!({"op": "test", "path": "/spec/holderIdentity", "value": "b"}),
            json!({"op": "test", "path": "/spec/renewTime", "value": "b"}),
            json!({"op": "remove", "path": "/spec/renewTime"}),
            json!({"op": "move", "from": "/spec/renewTime", "path": "/spec/acquireTime"}),
            json!({"op": "replace", "path": "/nowhere/renewTime", "value": 1}),
            json!({"op": "replace", "path": "/list/7", "value": 1}),
            json!({"op": "what", "path": "/spec"}),
            json!({"op": "add"}),
        ] {
            let error = patched(operation).unwrap_err();
            assert_eq!(error.message, "the server rejected our request due to an error in our request");
        }
    }

    #[test]
    fn copies_have_a_limit() {
        let mut object = json!({"a": {"b": "0123456789"}});
        let double = |n: usize| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")});
        let operations: Vec<Value> = (0..12).map(double).collect();
        assert!(apply(&mut object.clone(), &operations[..2], &mut Vec::new(), 100).is_ok());
        assert!(apply(&mut object, &operations, &mut Vec::new(), 1_000).is_err());
    }

    #[test]
    fn fields_that_nobody_knows_are_told() {
        let mut strict = Vec::new();
        let operation = json!({"op": "remove", "path": "/spec", "foo": 1});
        apply(&mut json!({"spec": 1}), &[operation], &mut strict, 100).unwrap();
        assert_eq!(strict, ["json patch unknown field \"[0].foo\""]);
    }
}
