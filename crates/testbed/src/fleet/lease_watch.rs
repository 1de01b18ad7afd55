//! Records every write to the Lease, through one watch that no fault touches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use tokio::task::AbortHandle;

use crate::history::now;

/// The pause between two attempts to watch while the API server is away.
const RETRY_PERIOD: Duration = Duration::from_millis(100);
/// The revision at which a first watch begins: the Lease as it is.
const CURRENT: &str = "0";

/// One state of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// When the testbed received it, in monotonic nanoseconds. The write was earlier.
    pub at: u64,
    /// `spec.holderIdentity`; `None` where it is absent or empty, as after a release.
    pub holder: Option<String>,
    /// `spec.renewTime`, by the wall clock of the replica that wrote it.
    pub renew_time: Option<Timestamp>,
    /// `spec.leaseTransitions`.
    pub transitions: Option<i32>,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// Whether the Lease was deleted. The other fields have its last state then.
    pub deleted: bool,
}

pub(super) struct LeaseWatch {
    records: Records,
    watching: AbortHandle,
}

#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<LeaseRecord>>>);

impl LeaseWatch {
    pub(super) fn start(client: Client, namespace: &str, name: &str) -> Self {
        let leases: Api<Lease> = Api::namespaced(client, namespace);
        let records = Records::default();
        let watching = tokio::spawn(watch(leases, name.to_owned(), records.clone())).abort_handle();
        Self { records, watching }
    }

    pub(super) fn records(&self) -> Vec<LeaseRecord> {
        self.records.lock().clone()
    }
}

impl Drop for LeaseWatch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Watches until aborted, each time from where the last watch ended. So a restart of the API server loses nothing.
async fn watch(leases: Api<Lease>, name: String, records: Records) {
    let mut version = CURRENT.to_owned();
    loop {
        if watch_once(&leases, &name, &records, &mut version).await.is_err() {
            tokio::time::sleep(RETRY_PERIOD).await;
        }
    }
}

async fn watch_once(leases: &Api<Lease>, name: &str, records: &Records, version: &mut String) -> Result<()> {
    let only = WatchParams::default().fields(&format!("metadata.name={name}"));
    let stream = leases.watch(&only, version).await?;
    futures::pin_mut!(stream);
    while let Some(event) = stream.try_next().await? {
        let at = now();
        match event {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => *version = records.add(at, &lease, false),
            WatchEvent::Deleted(lease) => *version = records.add(at, &lease, true),
            WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
            WatchEvent::Error(status) => {
                // 410: the revision is too old to continue from.
                *version = CURRENT.to_owned();
                bail!("the watch ended: {}", status.message);
            }
        }
    }
    Ok(())
}

impl Records {
    /// Records a state unless it is the last known one, and returns its revision.
    fn add(&self, at: u64, lease: &Lease, deleted: bool) -> String {
        let resource_version = lease.resource_version().unwrap_or_default();
        let mut records = self.lock();
        if records.last().is_none_or(|last| last.resource_version != resource_version) {
            let spec = lease.spec.as_ref();
            records.push(LeaseRecord {
                at,
                holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
                renew_time: spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0),
                transitions: spec.and_then(|spec| spec.lease_transitions),
                resource_version: resource_version.clone(),
                deleted,
            });
        }
        resource_version
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LeaseRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lease(version: &str, spec: serde_json::Value) -> Lease {
        let metadata = json!({"name": "x", "resourceVersion": version});
        let lease =
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec});
        serde_json::from_value(lease).unwrap()
    }

    #[test]
    fn every_state_is_noted_once() {
        let records = Records::default();
        records.add(1, &lease("7", json!({"holderIdentity": "a", "leaseTransitions": 2})), false);
        records.add(2, &lease("7", json!({"holderIdentity": "a", "leaseTransitions": 2})), false);
        assert_eq!(records.add(3, &lease("9", json!({"holderIdentity": ""})), true), "9");
        let records = records.lock();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].at, records[0].holder.as_deref(), records[0].transitions), (1, Some("a"), Some(2)));
        assert_eq!((records[1].at, records[1].holder.as_deref(), records[1].deleted), (3, None, true));
    }
}
