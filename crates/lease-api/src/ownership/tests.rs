use serde_json::json;

use super::*;
use crate::schema::LEASE;

const RULES: Rules = Rules { of: Type::Struct(&LEASE), version: "coordination.k8s.io/v1", ignored: None };
const NOW: &str = "2026-11-21T08:50:57Z";

fn lease(spec: Value) -> Value {
    json!({"metadata": {"name": "a", "namespace": "default", "uid": "u"}, "spec": spec})
}

/// Updates an object with a new spec.
fn update(live: &Value, spec: Value, manager: &str) -> Value {
    let mut new = lease(spec);
    let managed = Managed::of(live).unwrap();
    RULES.updated(live, &new, managed, manager, NOW).write(&mut new);
    new
}

fn create(spec: Value, manager: &str) -> Value {
    update(&RULES.of.zero(), spec, manager)
}

fn apply(live: &Value, config: Value, manager: &str, force: bool) -> Result<Value> {
    let by = Applying { manager, force, now: NOW };
    let config = json!({"metadata": {"name": "a"}, "spec": config});
    let applied = RULES.applied(live, &config, Managed::of(live).unwrap(), by)?;
    let mut new = applied.value.unwrap_or_else(|| live.clone());
    applied.managed.write(&mut new);
    Ok(new)
}

/// Returns the owners of the fields of the spec, as `manager: a b`.
fn owners(object: &Value) -> Vec<String> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let owner = |entry: &Value| {
        let fields = entry["fieldsV1"]["f:spec"].as_object().unwrap();
        let fields: Vec<_> = fields.keys().map(|name| &name[2..]).collect();
        format!("{} {}: {}", entry["operation"].as_str().unwrap(), entry["manager"].as_str().unwrap(), fields.join(" "))
    };
    entries.into_iter().flatten().map(owner).collect()
}

#[test]
fn who_creates_owns_the_leaves() {
    let object = create(json!({"holderIdentity": "x", "leaseTransitions": 0}), "conf");
    let entry = json!([{"manager": "conf", "operation": "Update", "apiVersion": "coordination.k8s.io/v1", "time": NOW,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:holderIdentity": {}, "f:leaseTransitions": {}}}}]);
    assert_eq!(object["metadata"]["managedFields"], entry);
    assert_eq!(create(json!({}), "conf")["metadata"].get("managedFields"), None);
}

#[test]
fn an_update_moves_what_it_changes_and_forgets_what_it_removes() {
    let object = create(json!({"holderIdentity": "x", "leaseTransitions": 0, "leaseDurationSeconds": 15}), "conf");
    let object = update(&object, json!({"holderIdentity": "y", "leaseTransitions": 0}), "m1");
    assert_eq!(owners(&object), ["Update conf: leaseTransitions", "Update m1: holderIdentity"]);
}

#[test]
fn nobody_keeps_a_record_of_what_began_without_fields() {
    let object = create(json!({}), "conf");
    assert_eq!(owners(&update(&object, json!({"holderIdentity": "y"}), "m1")), Vec::<String>::new());
    let applied =
        apply(&update(&object, json!({"holderIdentity": "y"}), "m1"), json!({"leaseTransitions": 1}), "m2", false);
    assert_eq!(owners(&applied.unwrap()), ["Apply m2: leaseTransitions", "Update before-first-apply: holderIdentity"]);
}

#[test]
fn applying_another_value_than_the_owner_conflicts() {
    let object = apply(&RULES.of.zero(), json!({"holderIdentity": "m1", "leaseTransitions": 0}), "m1", false).unwrap();
    let error = apply(&object, json!({"holderIdentity": "m2", "leaseTransitions": 1}), "m2", false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 2 conflicts: conflicts with \"m1\":\n- .spec.holderIdentity\n- .spec.leaseTransitions"
    );
    let details = error.details.unwrap();
    assert_eq!(details.causes[1].message, "conflict with \"m1\"");
    assert_eq!(details.causes[1].field, ".spec.leaseTransitions");

    let updated = create(json!({"holderIdentity": "x"}), "conf");
    let error = apply(&updated, json!({"holderIdentity": "m2"}), "m2", false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"conf\" using coordination.k8s.io/v1: .spec.holderIdentity"
    );
}

#[test]
fn applying_the_same_value_shares_it_and_changes_no_time() {
    let object = apply(&RULES.of.zero(), json!({"holderIdentity": "m1", "leaseTransitions": 0}), "m1", false).unwrap();
    let shared = apply(&object, json!({"holderIdentity": "m1"}), "m3", false).unwrap();
    assert_eq!(owners(&shared), ["Apply m3: holderIdentity", "Apply m1: holderIdentity leaseTransitions"]);
    assert_eq!(shared["metadata"]["managedFields"][0].get("time"), None);
    assert_eq!(shared["spec"], object["spec"]);
}

#[test]
fn force_takes_over_and_what_is_no_longer_applied_is_removed() {
    let object = apply(&RULES.of.zero(), json!({"holderIdentity": "m1", "leaseTransitions": 0}), "m1", false).unwrap();
    let forced = apply(&object, json!({"holderIdentity": "m2", "leaseTransitions": 1}), "m2", true).unwrap();
    assert_eq!(owners(&forced), ["Apply m2: holderIdentity leaseTransitions"]);
    let less = apply(&forced, json!({"holderIdentity": "m2"}), "m2", false).unwrap();
    assert_eq!(less["spec"], json!({"holderIdentity": "m2"}));
    assert_eq!(owners(&less), ["Apply m2: holderIdentity"]);
}

#[test]
fn what_another_manager_owns_too_stays_when_one_applies_it_no_longer() {
    let object = apply(&RULES.of.zero(), json!({"holderIdentity": "x", "leaseTransitions": 0}), "m1", false).unwrap();
    let shared = apply(&object, json!({"leaseTransitions": 0}), "m2", false).unwrap();
    let less = apply(&shared, json!({"holderIdentity": "x"}), "m1", false).unwrap();
    assert_eq!(less["spec"], json!({"holderIdentity": "x", "leaseTransitions": 0}));
    assert_eq!(owners(&less), ["Apply m2: leaseTransitions", "Apply m1: holderIdentity"]);
}

#[test]
fn labels_are_owned_one_by_one() {
    let mut live = lease(json!({}));
    live["metadata"]["labels"] = json!({"b": "1"});
    let config = json!({"metadata": {"name": "a", "labels": {"c": "2"}}});
    let by = Applying { manager: "m", force: false, now: NOW };
    let applied = RULES.applied(&live, &config, Managed::default(), by).unwrap();
    let mut new = applied.value.unwrap();
    assert_eq!(new["metadata"]["labels"], json!({"b": "1", "c": "2"}));
    applied.managed.clone().write(&mut new);
    let config = json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": "x"}});
    let new = RULES.applied(&new, &config, applied.managed, by).unwrap().value.unwrap();
    assert_eq!(new["metadata"]["labels"], json!({"b": "1"}));
}

#[test]
fn a_list_that_lost_all_its_items_is_still_owned_by_the_manager_that_made_it() {
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "K", "name": "n", "uid": uid});
    let mut live = lease(json!({}));
    live["metadata"]["ownerReferences"] = json!([owner("1")]);
    RULES.updated(&RULES.of.zero(), &live.clone(), Managed::default(), "u", NOW).write(&mut live);
    let by = Applying { manager: "m", force: true, now: NOW };
    let config = json!({"metadata": {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "1"}]}});
    let taken = RULES.applied(&live, &config, Managed::of(&live).unwrap(), by).unwrap();
    let mut live = taken.value.unwrap();
    taken.managed.write(&mut live);
    let config = json!({"metadata": {"name": "a", "finalizers": ["x/y"]}});
    let left = RULES.applied(&live, &config, Managed::of(&live).unwrap(), by).unwrap();
    let mut new = left.value.unwrap();
    assert_eq!(new["metadata"]["ownerReferences"], Value::Null);
    left.managed.write(&mut new);
    let fields = &new["metadata"]["managedFields"][1]["fieldsV1"];
    assert_eq!(*fields, json!({"f:metadata": {"f:ownerReferences": {}}}));
}
