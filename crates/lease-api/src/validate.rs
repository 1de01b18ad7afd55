//! Validates objects before they are stored.

use serde_json::Value;

use crate::go::quoted;
use crate::invalid::FieldError;
use crate::names::{self, Rule};
use crate::resource::Resource;
use crate::schema::{is_zero, members, text};

const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
const CONFIG_MAP_BYTES_MAX: usize = 1024 * 1024;

/// Returns the errors of a new object.
pub fn created(resource: Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    // Events have their own rules and those of all objects. They differ about names.
    if resource.stored() != Resource::Events {
        errors.extend(meta(resource, object, resource.name_rule()));
    }
    errors.extend(own(resource, object));
    if resource == Resource::K8sEvents {
        errors.extend(meta(resource, object, names::dns_subdomain));
        errors.extend(new_event(object));
    }
    if errors.is_empty() {
        errors.extend(meta(resource, object, names::path_segment));
    }
    errors
}

/// Returns the errors of a changed object.
pub fn updated(resource: Resource, object: &Value, live: &Value) -> Vec<FieldError> {
    let mut errors = meta(resource, object, names::path_segment);
    errors.extend(meta_change(object, live));
    if resource == Resource::ConfigMaps {
        errors.extend(immutable_data(object, live));
    }
    if resource == Resource::Namespaces || resource == Resource::ConfigMaps {
        errors.extend(meta(resource, object, resource.name_rule()));
    }
    errors.extend(own(resource, object));
    if resource == Resource::K8sEvents {
        errors.extend(changed_event(object, live));
    }
    // kube-apiserver checks some rules twice. Once is enough here.
    let mut told: Vec<FieldError> = Vec::new();
    for error in errors {
        if !told.contains(&error) {
            told.push(error);
        }
    }
    told
}

fn wrong(field: &str, value: &str, what: Vec<String>) -> impl Iterator<Item = FieldError> {
    what.into_iter().map(move |what| FieldError::invalid(field, quoted(value), &what))
}

fn meta(resource: Resource, object: &Value, rule: Rule) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (name, prefix) = (text(object, "/metadata/name"), text(object, "/metadata/generateName"));
    if !prefix.is_empty() {
        errors.extend(wrong("metadata.generateName", prefix, names::as_prefix(rule, prefix)));
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(wrong("metadata.name", name, rule(name)));
    }
    let namespace = text(object, "/metadata/namespace");
    match (resource.namespaced(), namespace) {
        (true, "") => errors.push(FieldError::required("metadata.namespace", "")),
        (true, _) => errors.extend(wrong("metadata.namespace", namespace, names::dns_label(namespace))),
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
    }
    errors.extend(maps(object));
    errors.extend(owners(object));
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    for finalizer in finalizers.into_iter().flatten().filter_map(Value::as_str) {
        errors.extend(wrong("metadata.finalizers", finalizer, names::qualified(finalizer)));
    }
    errors
}

fn maps(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in members(object.pointer("/metadata/labels")) {
        let value = value.as_str().unwrap_or_default();
        errors.extend(wrong("metadata.labels", key, names::qualified(key)));
        errors.extend(wrong("metadata.labels", value, names::label_value(value)));
    }
    let mut bytes = 0;
    for (key, value) in members(object.pointer("/metadata/annotations")) {
        bytes += key.len() + value.as_str().unwrap_or_default().len();
        errors.extend(wrong("metadata.annotations", key, names::qualified(&key.to_lowercase())));
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_BYTES_MAX));
    }
    errors
}

fn owners(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    for (index, owner) in owners.into_iter().flatten().enumerate() {
        for name in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(name).and_then(Value::as_str).unwrap_or_default().is_empty() {
                let field = format!("metadata.ownerReferences[{index}].{name}");
                errors.push(FieldError::required(field, "must not be empty"));
            }
        }
    }
    errors
}

/// Returns the errors of metadata that must not change.
fn meta_change(object: &Value, live: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        let finalizers = |object: &Value| -> Vec<String> {
            let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
            finalizers.into_iter().flatten().filter_map(Value::as_str).map(quoted).collect()
        };
        let had = finalizers(live);
        let mut new: Vec<_> = finalizers(object).into_iter().filter(|finalizer| !had.contains(finalizer)).collect();
        new.sort();
        if !new.is_empty() {
            let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
            let detail = format!("{why} []string{{{}}}", new.join(", "));
            errors.push(FieldError::forbidden("metadata.finalizers", &detail));
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let pointer = format!("/metadata/{field}");
        let (new, old) = (object.pointer(&pointer), live.pointer(&pointer));
        if new != old {
            let shown = match new {
                None => "null".to_owned(),
                Some(Value::String(text)) => quoted(text),
                Some(value) => value.to_string(),
            };
            errors.push(FieldError::invalid(format!("metadata.{field}"), shown, "field is immutable"));
        }
    }
    errors
}

/// Returns the errors by the rules of one kind.
fn own(resource: Resource, object: &Value) -> Vec<FieldError> {
    match resource {
        Resource::Leases => lease(object),
        Resource::ConfigMaps => config_map(object),
        Resource::Events => event(object, "reportingComponent"),
        Resource::K8sEvents => event(object, "reportingController"),
        Resource::Namespaces => Vec::new(),
    }
}

fn lease(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(seconds) = object.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).filter(|n| *n <= 0) {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    if let Some(transitions) = object.pointer("/spec/leaseTransitions").and_then(Value::as_i64).filter(|n| *n < 0) {
        errors.push(FieldError::invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"));
    }
    errors
}

fn config_map(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in members(object.get("data")) {
        let field = format!("data[{key}]");
        errors.extend(wrong(&field, key, names::config_key(key)));
        if object.get("binaryData").and_then(|data| data.get(key)).is_some() {
            errors.push(FieldError::invalid(&field, quoted(key), "duplicate of key present in binaryData"));
        }
        bytes += value.as_str().unwrap_or_default().len();
    }
    for (key, value) in members(object.get("binaryData")) {
        errors.extend(wrong(&format!("binaryData[{key}]"), key, names::config_key(key)));
        let text = value.as_str().unwrap_or_default();
        bytes += text.trim_end_matches('=').len() * 3 / 4;
    }
    if bytes > CONFIG_MAP_BYTES_MAX {
        errors.push(FieldError::too_long("[]", CONFIG_MAP_BYTES_MAX));
    }
    errors
}

fn immutable_data(object: &Value, live: &Value) -> Vec<FieldError> {
    if live.get("immutable") != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let changed = ["immutable", "data", "binaryData"].into_iter().filter(|field| object.get(field) != live.get(field));
    changed.map(|field| FieldError::forbidden(field, "field is immutable when `immutable` is set")).collect()
}

/// Returns the errors of an Event. Each group has its own name for the controller; other names are the core group's in both.
fn event(object: &Value, controller_field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (namespace, about) = (text(object, "/metadata/namespace"), text(object, "/involvedObject/namespace"));
    let elsewhere = FieldError::invalid("involvedObject.namespace", quoted(about), "does not match event.namespace");
    if object.get("eventTime").is_none_or(Value::is_null) {
        if about != namespace && !(about.is_empty() && namespace == "default") {
            errors.push(elsewhere);
        }
        return errors;
    }
    if about.is_empty() && !matches!(namespace, "default" | "kube-system") {
        errors.push(elsewhere);
    }
    let controller = text(object, "/reportingComponent");
    if controller.is_empty() {
        errors.push(FieldError::required(controller_field, ""));
    }
    errors.extend(wrong(controller_field, controller, names::qualified(controller)));
    for (field, max) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        match text(object, &format!("/{field}")).len() {
            0 => errors.push(FieldError::required(field, "")),
            bytes if bytes > max => errors.push(at_most(field, max)),
            _ => {}
        }
    }
    if text(object, "/message").len() > 1024 {
        errors.push(at_most("message", 1024));
    }
    errors
}

/// Returns the errors by the further rules of `events.k8s.io`: an Event of the new kind leaves the fields of the old one empty.
fn new_event(object: &Value) -> Vec<FieldError> {
    let mut errors = series(object);
    if object.get("eventTime").is_none_or(Value::is_null) {
        errors.push(FieldError::required("eventTime", ""));
    }
    let kind = text(object, "/type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(FieldError::invalid("type", "\"\"", &format!("has invalid value: {kind}")));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        if object.get(field).is_some_and(|value| !is_zero(value)) {
            errors.push(FieldError::invalid(field, "\"\"", "needs to be unset"));
        }
    }
    errors
}

/// Returns the errors of a changed Event, of which only the series may change.
fn changed_event(object: &Value, live: &Value) -> Vec<FieldError> {
    let mut errors = if object.get("series") == live.get("series") { Vec::new() } else { series(object) };
    let fields = [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "action",
        "related",
        "reportingComponent",
        "reportingInstance",
    ];
    for field in fields.into_iter().filter(|field| object.get(field) != live.get(field)) {
        let name = if field == "reportingComponent" { "reportingController" } else { field };
        errors.push(FieldError::invalid(name, as_go(field, object.get(field)), "field is immutable"));
    }
    errors
}

/// Formats the new value of a field for a message. For a struct, the names and the order are Go's.
fn as_go(field: &str, value: Option<&Value>) -> String {
    let members: &[(&str, &str)] = match field {
        "involvedObject" | "related" => &[
            ("Kind", "kind"),
            ("Namespace", "namespace"),
            ("Name", "name"),
            ("UID", "uid"),
            ("APIVersion", "apiVersion"),
            ("ResourceVersion", "resourceVersion"),
            ("FieldPath", "fieldPath"),
        ],
        "source" => &[("Component", "component"), ("Host", "host")],
        _ => &[],
    };
    match value {
        Some(Value::Object(object)) => {
            let shown = members.iter().map(|(go, name)| {
                let value = object.get(*name).and_then(Value::as_str).unwrap_or_default();
                format!("{}:{}", quoted(go), quoted(value))
            });
            format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
        }
        Some(Value::String(text)) => quoted(text),
        Some(value) => value.to_string(),
        None if matches!(field, "related" | "eventTime") => "null".to_owned(),
        None if field == "count" => "0".to_owned(),
        None => "\"\"".to_owned(),
    }
}

fn series(object: &Value) -> Vec<FieldError> {
    let Some(series) = object.get("series") else { return Vec::new() };
    let mut errors = Vec::new();
    if series.get("count").and_then(Value::as_i64).unwrap_or_default() < 2 {
        errors.push(FieldError::invalid("series.count", "\"\"", "should be at least 2"));
    }
    if series.get("lastObservedTime").is_none_or(Value::is_null) {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
    errors
}

fn at_most(field: &str, max: usize) -> FieldError {
    FieldError::invalid(field, "\"\"", &format!("can have at most {max} characters"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_lease_has_a_positive_duration_and_no_negative_transitions() {
        let lease = |spec: Value| {
            created(Resource::Leases, &json!({"metadata": {"name": "a", "namespace": "b"}, "spec": spec}))
        };
        assert_eq!(told(&lease(json!({"leaseDurationSeconds": 1, "leaseTransitions": 0}))), Vec::<String>::new());
        assert_eq!(
            told(&lease(json!({"leaseDurationSeconds": 0, "leaseTransitions": -1}))),
            [
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"
            ]
        );
    }

    #[test]
    fn an_object_keeps_its_identity() {
        let live = json!({"metadata": {"name": "a", "namespace": "b", "uid": "u"}});
        let other = json!({"metadata": {"name": "a", "namespace": "b", "uid": "v"}});
        assert_eq!(told(&updated(Resource::Leases, &live, &live)), Vec::<String>::new());
        let told = told(&updated(Resource::Leases, &other, &live));
        assert_eq!(told, ["metadata.uid: Invalid value: \"v\": field is immutable"]);
    }

    #[test]
    fn data_that_is_immutable_stays() {
        let live = json!({"metadata": {"name": "a", "namespace": "b"}, "immutable": true, "data": {"k": "v"}});
        let mut other = live.clone();
        other["data"]["k"] = json!("w");
        let told = told(&updated(Resource::ConfigMaps, &other, &live));
        assert_eq!(told, ["data: Forbidden: field is immutable when `immutable` is set"]);
    }
}
