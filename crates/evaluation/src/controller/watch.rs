//! Every state of the ConfigMaps of a namespace, as the API server delivers them to one watch that no fault touches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, WatchEvent, WatchParams};
use still_leading_testbed::history::now;
use tokio::task::AbortHandle;

use super::judge::Seen;

/// Between two attempts to watch.
const RETRY: Duration = Duration::from_millis(100);

/// The annotation on a copy.
const EPOCH: &str = "still-leading.dev/epoch";
/// The key that trials write.
pub(super) const KEY: &str = "value";

/// It watches until it is dropped.
pub(super) struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    watching: AbortHandle,
}

impl Watch {
    /// To be called before there is any ConfigMap, so that it sees the first state of each.
    pub(super) fn start(objects: Api<ConfigMap>) -> Self {
        let seen = Arc::default();
        let watching = tokio::spawn(watch(objects, Arc::clone(&seen))).abort_handle();
        Self { seen, watching }
    }

    /// What was seen so far, in order.
    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        lock(&self.seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Goes on where the last watch ended, so that nothing is missed.
async fn watch(objects: Api<ConfigMap>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut version = "0".to_owned();
    loop {
        if watch_once(&objects, &seen, &mut version).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn watch_once(objects: &Api<ConfigMap>, seen: &Mutex<Vec<Seen>>, version: &mut String) -> Result<()> {
    let stream = objects.watch(&WatchParams::default(), version).await?;
    futures::pin_mut!(stream);
    while let Some(event) = stream.try_next().await? {
        let (object, deleted) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
            WatchEvent::Deleted(object) => (object, true),
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                continue;
            }
            // The history would have a hole from here on.
            WatchEvent::Error(status) => bail!("the watch ended: {}", status.message),
        };
        *version = object.resource_version().unwrap_or_default();
        let it = seen_of(now(), &object, deleted);
        lock(seen).push(it);
    }
    Ok(())
}

fn seen_of(at: u64, object: &ConfigMap, deleted: bool) -> Seen {
    let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true));
    Seen {
        at,
        version: object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        deleted,
        value: object.data.as_ref().and_then(|data| data.get(KEY)).cloned(),
        epoch: object.annotations().get(EPOCH).and_then(|epoch| epoch.parse().ok()),
        owner: owner.map(|owner| owner.uid.clone()),
    }
}
