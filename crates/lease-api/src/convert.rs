//! Converts Events between their two forms: `v1`, in which they are stored, and `events.k8s.io/v1`, whose fields have other
//! names.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::decode::{From, decode};
use crate::resource::Resource;

/// The name of a top-level field in `v1`, and its name in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn core_name(name: &str) -> &str {
    NAMES.iter().find(|(_, k8s)| *k8s == name).map_or(name, |(core, _)| core)
}

fn k8s_name(name: &str) -> &str {
    NAMES.iter().find(|(core, _)| *core == name).map_or(name, |(_, k8s)| k8s)
}

/// Converts a stored object to an object of `resource`.
pub fn shown(resource: Resource, stored: &Value) -> Cow<'_, Value> {
    match resource {
        Resource::K8sEvents => Cow::Owned(converted(resource, stored, k8s_name)),
        _ => Cow::Borrowed(stored),
    }
}

/// Converts an object of `resource` to its stored form.
pub fn stored(resource: Resource, object: Value) -> Value {
    match resource {
        Resource::K8sEvents => converted(Resource::Events, &object, core_name),
        _ => object,
    }
}

/// Returns the stored name of a field of `resource`, for selectors.
pub fn stored_field(resource: Resource, path: &str) -> String {
    match (resource, path.split_once('.')) {
        (Resource::K8sEvents, Some((first, rest))) => format!("{}.{rest}", core_name(first)),
        (Resource::K8sEvents, None) => core_name(path).to_owned(),
        _ => path.to_owned(),
    }
}

fn converted(to: Resource, object: &Value, name: fn(&str) -> &str) -> Value {
    let members = object.as_object().into_iter().flatten();
    let members: Map<String, Value> = members.map(|(member, value)| (name(member).to_owned(), value.clone())).collect();
    // Decoding shows and drops zero values as the other form does. It cannot fail, since the types are the same.
    decode(to.object(), &members, From::Map).map_or(Value::Object(members), |decoded| decoded.value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_comes_back_as_it_went() {
        let event = json!({"metadata": {"name": "a"}, "regarding": {"name": "l"}, "note": "n", "series": {"count": 2,
            "lastObservedTime": "2024-01-01T00:00:00.000000Z"}, "eventTime": "2024-01-01T00:00:00.000000Z",
            "deprecatedSource": {}, "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null});
        let core = stored(Resource::K8sEvents, event.clone());
        assert_eq!((&core["involvedObject"]["name"], &core["message"]), (&json!("l"), &json!("n")));
        assert_eq!(core["reportingComponent"], "", "it is always shown in the core group");
        assert_eq!(*shown(Resource::K8sEvents, &core), event);
        assert_eq!(stored_field(Resource::K8sEvents, "regarding.name"), "involvedObject.name");
    }
}
