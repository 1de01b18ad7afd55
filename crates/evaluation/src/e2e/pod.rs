//! As much of a pod as matters here.

use k8s_openapi::api::core::v1::Pod as Object;
use kube::ResourceExt;

use super::nanoseconds;

/// The container in which the election runs.
pub(super) const CONTAINER: &str = "app";

/// A pod as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
    /// As it is called in the history: by its name, and where another pod gets the same name, by the start of its uid too.
    pub(super) replica: String,
    /// Where it runs; empty until that is known.
    pub(super) node: String,
    pub(super) is_ready: bool,
    /// Asked to end. It may be Ready still.
    pub(super) is_terminating: bool,
    /// Whether its container runs.
    pub(super) is_running: bool,
    /// When its container last ended.
    pub(super) finished: Option<u64>,
}

impl Pod {
    /// Whether it counts for a disruption budget.
    pub(super) fn is_available(&self) -> bool {
        self.is_ready && !self.is_terminating
    }

    pub(super) fn of(object: &Object) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let container = containers.into_iter().find(|container| container.name == CONTAINER);
        let states = container.map(|it| [it.state, it.last_state]).unwrap_or_default();
        let is_running = states[0].as_ref().is_some_and(|state| state.running.is_some());
        let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
        let keeps_its_name = object.owner_references().iter().any(|owner| owner.kind == "StatefulSet");
        let replica = if keeps_its_name { format!("{name}/{}", uid.get(..8).unwrap_or(&uid)) } else { name.clone() };
        let ends = states.into_iter().flatten().filter_map(|state| state.terminated?.finished_at);
        Self {
            name,
            uid,
            replica,
            node: object.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            is_ready: status.conditions.iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True"),
            is_terminating: object.metadata.deletion_timestamp.is_some(),
            is_running,
            finished: ends.map(|end| nanoseconds(end.0)).max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: Value) -> Pod {
        let metadata = json!({ "name": "pod-0", "uid": "u", "deletionTimestamp": status["gone"].as_str() });
        let object = json!({ "metadata": metadata, "spec": { "containers": [], "nodeName": "n" }, "status": status });
        Pod::of(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_pod_that_is_asked_to_end_is_ready_but_not_available() {
        let conditions = json!([{ "type": "Ready", "status": "True" }]);
        let ready = pod(json!({ "conditions": conditions }));
        assert!(ready.is_ready && ready.is_available());
        let going = pod(json!({ "conditions": conditions, "gone": "2026-11-21T10:00:00Z" }));
        assert!(going.is_ready && !going.is_available());
        let starting = pod(json!({ "conditions": [{ "type": "Ready", "status": "False" }] }));
        assert!(!starting.is_ready && !starting.is_running);
    }

    #[test]
    fn a_pod_that_gets_the_name_of_another_is_told_apart_from_it() {
        let pod = |kind: &str| {
            let owner = json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "v" }]);
            let metadata = json!({ "name": "pod-0", "uid": "0123456789", "ownerReferences": owner });
            Pod::of(&serde_json::from_value(json!({ "metadata": metadata })).unwrap())
        };
        assert_eq!(pod("StatefulSet").replica, "pod-0/01234567");
        assert_eq!(pod("ReplicaSet").replica, "pod-0");
    }

    #[test]
    fn the_end_of_a_container_is_known_while_it_is_down_and_after_its_restart() {
        let status = |state: Value, last: Value| {
            let rest = json!({ "name": "app", "image": "i", "imageID": "", "ready": true, "restartCount": 1 });
            let mut container = rest.as_object().unwrap().clone();
            container.extend([("state".to_owned(), state), ("lastState".to_owned(), last)]);
            pod(json!({ "containerStatuses": [container] }))
        };
        let ended = json!({ "terminated": { "exitCode": 1, "finishedAt": "1970-01-01T00:00:02Z" } });
        let down = status(ended.clone(), json!({}));
        assert_eq!((down.is_running, down.finished), (false, Some(2_000_000_000)));
        let up = status(json!({ "running": {} }), ended);
        assert_eq!((up.is_running, up.finished), (true, Some(2_000_000_000)));
    }
}
