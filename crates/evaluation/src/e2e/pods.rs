//! The pods of a variant, watched: who there is, who is Ready, who is on its way out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod as Object;
use kube::Api;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use serde_json::{Map, Value};
use still_leading_testbed::History;
use still_leading_testbed::history::HARNESS;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::log::{Follower, Log};
use super::now;
use super::pod::Pod;

/// Event of the harness when the number of available replicas changes, with `n`.
pub(super) const AVAILABLE: &str = "available";
/// Event of a pod that was asked to end.
pub(super) const TERMINATING: &str = "terminating";
/// More than a list of a few pods takes.
const LIST_BOUND: Duration = Duration::from_secs(20);

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
                self.history.record_at(at, &pod.replica, TERMINATING, Map::new());
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
