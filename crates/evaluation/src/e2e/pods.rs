//! The pods of a variant, watched: who there is, who is Ready, who is on its way out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod as Object;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, ResourceExt};
use serde_json::{Map, Value};
use still_leading_testbed::History;
use still_leading_testbed::history::HARNESS;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::follow::{Follower, Log};
use super::{nanoseconds, now};

/// Where the election runs.
pub(super) const CONTAINER: &str = "app";
/// Event of the harness when the number of available replicas changes, with `n`.
pub(super) const AVAILABLE: &str = "available";
/// Event of a pod that was asked to end.
pub(super) const TERMINATING: &str = "terminating";
/// More than a list of a few pods takes.
const LIST_BOUND: Duration = Duration::from_secs(20);

/// As much of a pod as matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
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

    fn of(object: &Object) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let container = containers.into_iter().find(|container| container.name == CONTAINER);
        let states = container.map(|it| [it.state, it.last_state]).unwrap_or_default();
        let is_running = states[0].as_ref().is_some_and(|state| state.running.is_some());
        let ends = states.into_iter().flatten().filter_map(|state| state.terminated?.finished_at);
        Self {
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            node: object.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            is_ready: status.conditions.iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True"),
            is_terminating: object.metadata.deletion_timestamp.is_some(),
            is_running,
            finished: ends.map(|end| nanoseconds(end.0)).max(),
        }
    }
}

/// The pods as they are, and a follower for the log of each. Dropping it ends the watch and the followers.
pub(super) struct Pods {
    pub(super) now: watch::Receiver<Vec<Pod>>,
    logs: Logs,
    _tasks: JoinSet<()>,
}

/// By the uid of the pod.
type Logs = Arc<Mutex<BTreeMap<String, Log>>>;

impl Pods {
    /// Begins to watch, and to follow every log from its start.
    pub(super) async fn watch(api: Api<Object>, selector: &str, history: History) -> Result<Self> {
        let (store, writer) = reflector::store();
        let config = watcher::Config::default().labels(selector);
        let mut changes = watcher(api.clone(), config).default_backoff().reflect(writer).boxed();
        let (seen, now) = watch::channel(Vec::new());
        let logs = Logs::default();
        let mut watching = Watching { api, history, seen, logs: logs.clone(), followers: JoinSet::new() };
        let mut tasks = JoinSet::new();
        let (listed, first) = oneshot::channel();
        let mut listed = Some(listed);
        tasks.spawn(async move {
            // An error is followed by another attempt, and that one begins with all that was missed.
            while let Some(change) = changes.next().await {
                watching.look(store.state().iter().map(|object| Pod::of(object)).collect());
                if matches!(change, Ok(watcher::Event::InitDone)) {
                    // Heard once; a later list is nobody's business.
                    listed.take().map(|listed| listed.send(()));
                }
            }
        });
        let first = timeout(LIST_BOUND, first).await;
        first.context("listing pods took too long")?.context("the watch of pods ended")?;
        Ok(Self { now, logs, _tasks: tasks })
    }

    /// The log of a pod.
    pub(super) fn log(&self, pod: &Pod) -> Option<Log> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).get(&pod.uid).cloned()
    }
}

struct Watching {
    api: Api<Object>,
    history: History,
    seen: watch::Sender<Vec<Pod>>,
    logs: Logs,
    followers: JoinSet<()>,
}

impl Watching {
    /// Takes in what there is now, and notes what changed.
    fn look(&mut self, pods: Vec<Pod>) {
        let before = self.seen.borrow().clone();
        let at = now();
        for pod in &pods {
            let known = before.iter().find(|other| other.uid == pod.uid);
            if pod.is_terminating && !known.is_some_and(|known| known.is_terminating) {
                self.history.record_at(at, &pod.name, TERMINATING, Map::new());
            }
            if known.is_none() {
                let log = Log::default();
                self.logs.lock().unwrap_or_else(PoisonError::into_inner).insert(pod.uid.clone(), log.clone());
                let (api, history) = (self.api.clone(), self.history.clone());
                let follower = Follower::new(api, history, self.seen.subscribe(), pod, log);
                self.followers.spawn(follower.follow());
            }
        }
        let available = pods.iter().filter(|pod| pod.is_available()).count();
        if available != before.iter().filter(|pod| pod.is_available()).count() {
            let n = Map::from_iter([("n".to_owned(), Value::from(available))]);
            self.history.record_at(at, HARNESS, AVAILABLE, n);
        }
        self.seen.send_replace(pods);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
