//! JSON patches (RFC 6902), with kube-apiserver's differences: an absent member can be replaced, and tested for null.

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::Value;

use crate::status::{Result, Status};

/// Applies all operations. A copy is refused, since a few copies of copies could fill any memory.
///
/// # Errors
/// 422, without the reason.
pub fn apply(object: &mut Value, patch: &Patch) -> Result<()> {
    for operation in &patch.0 {
        step(object, operation.clone()).ok_or_else(Status::patch_does_not_apply)?;
    }
    Ok(())
}

fn step(object: &mut Value, operation: PatchOperation) -> Option<()> {
    let operation = match operation {
        PatchOperation::Replace(replace) if in_object(object, &replace.path) => {
            PatchOperation::Add(AddOperation { path: replace.path, value: replace.value })
        }
        PatchOperation::Test(test) if in_object(object, &test.path) && test.path.resolve(&*object).is_err() => {
            return test.value.is_null().then_some(());
        }
        PatchOperation::Copy(_) => return None,
        other => other,
    };
    json_patch::patch(object, &[operation]).ok()
}

/// Whether the path names a member of an existing object.
fn in_object(object: &Value, path: &Pointer) -> bool {
    path.parent().and_then(|parent| parent.resolve(object).ok()).is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(operation: Value) -> Result<Value> {
        let mut object = json!({"spec": {"holderIdentity": "a"}, "list": [1]});
        let patch: Patch = serde_json::from_value(json!([operation])).unwrap();
        apply(&mut object, &patch)?;
        Ok(object)
    }

    #[test]
    fn what_is_absent_can_be_replaced_and_tested() {
        let new = patched(json!({"op": "replace", "path": "/spec/renewTime", "value": "x"})).unwrap();
        assert_eq!(new["spec"]["renewTime"], "x");
        assert!(patched(json!({"op": "test", "path": "/spec/renewTime", "value": null})).is_ok());
    }

    #[test]
    fn a_patch_that_does_not_apply_says_no_more() {
        for operation in [
            json!({"op": "test", "path": "/spec/holderIdentity", "value": "b"}),
            json!({"op": "test", "path": "/spec/renewTime", "value": "b"}),
            json!({"op": "remove", "path": "/spec/renewTime"}),
            json!({"op": "replace", "path": "/nowhere/renewTime", "value": 1}),
            json!({"op": "replace", "path": "/list/7", "value": 1}),
            json!({"op": "copy", "from": "/spec", "path": "/spec/more"}),
        ] {
            let error = patched(operation).unwrap_err();
            assert_eq!(error.message, "the server rejected our request due to an error in our request");
        }
    }
}
