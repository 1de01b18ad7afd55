//! Caches that a standby keeps, so that a new leader need not list everything before it reconciles.
//!
//! This uses only stable parts of kube-runtime: a reflector for as long as the process lives, and an `applier` for each term.
//! The shared streams of kube 5 would be shorter. They are not used for three reasons:
//!
//! - They do not report deletions to subscribers (kube-rs/kube#1590).
//! - A subscriber that waits to lead blocks the reflector once its buffer is full.
//! - A subscriber that polls an object which is gone by then may never be woken again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use backon::ExponentialBuilder;
use futures::{Stream, StreamExt, future, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::{self, applier};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::ExponentialBackoff;
use kube::runtime::{WatchStreamExt, reflector::reflector, watcher};
use kube::{Api, ResourceExt};
use still_leading::Gate;
use still_leading::controller::{drive, gated, policy};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

use crate::reconcile::{Context, error_policy, reconcile};

/// A leader that falls behind by more changes than this reconciles every object again.
const CHANGES: usize = 1024;

/// A new leader must not work with old caches for as long as kube's own back-off may wait, 30 s and more.
fn backoff() -> ExponentialBackoff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);
    ExponentialBuilder::new().with_min_delay(FIRST).with_max_delay(LONGEST).with_jitter().without_max_times().into()
}

/// The sources as this replica knows them, and their changes.
#[derive(Clone)]
pub struct Caches {
    store: Store<ConfigMap>,
    changes: broadcast::Sender<ObjectRef<ConfigMap>>,
}

impl Caches {
    /// Watches for as long as the process lives. Call it on a Tokio runtime.
    pub fn fill(
        (sources, of_sources): (Api<ConfigMap>, watcher::Config),
        (children, of_children): (Api<ConfigMap>, watcher::Config),
    ) -> Self {
        let (store, writer) = reflector::store();
        let (changes, _) = broadcast::channel(CHANGES);
        let sources = reflector(writer, watcher(sources, of_sources).backoff(backoff()))
            .touched_objects()
            .map(|source| source.map(|source| Some(ObjectRef::from_obj(&source))));
        let children = watcher(children, of_children)
            .backoff(backoff())
            .touched_objects()
            .map(|child| child.map(|child| source_of(&child)));
        let tell = changes.clone();
        tokio::spawn(stream::select(sources, children).for_each(move |touched| {
            match touched {
                // It fails if nobody receives it, since this replica does not lead. That is fine.
                Ok(Some(source)) => drop(tell.send(source)),
                Ok(None) => {}
                Err(error) => warn!(%error, "watching failed"),
            }
            future::ready(())
        }));
        Self { store, changes }
    }

    /// Reconciles for one term: first everything, then what changes.
    ///
    /// # Errors
    /// The caches are no longer filled.
    pub async fn reconcile(self, gate: &Gate, context: Arc<Context>, config: controller::Config) -> Result<()> {
        let queue = self.queue().take_until(gate.cancellation_token().cancelled_owned());
        let reconciles =
            applier(gated(gate, reconcile), policy(error_policy), context, self.store, Box::pin(queue), config);
        drive(gate, reconciles).await.context("no object is reconciled any more")
    }

    /// Everything that exists now, and then each object that changes.
    fn queue(&self) -> impl Stream<Item = Result<ObjectRef<ConfigMap>, Infallible>> + use<> {
        // Subscribes before it reads the store, so that nothing is missed in between.
        let (changes, store) = (self.changes.subscribe(), self.store.clone());
        let begin = (changes, store, Vec::new(), true);
        stream::unfold(begin, |(mut changes, store, mut known, mut is_all_due)| async move {
            loop {
                if is_all_due {
                    store.wait_until_ready().await.ok()?;
                    known = store.state().iter().map(|source| ObjectRef::from_obj(&**source)).collect();
                    is_all_due = false;
                }
                if let Some(object) = known.pop() {
                    return Some((Ok(object), (changes, store, known, is_all_due)));
                }
                match changes.recv().await {
                    Ok(object) => return Some((Ok(object), (changes, store, known, is_all_due))),
                    Err(RecvError::Lagged(_)) => is_all_due = true,
                    Err(RecvError::Closed) => return None,
                }
            }
        })
    }
}

/// The source to which a copy belongs.
fn source_of(child: &ConfigMap) -> Option<ObjectRef<ConfigMap>> {
    let owner = child.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    (owner.kind == "ConfigMap").then(|| ObjectRef::new(&owner.name).within(&child.namespace().unwrap_or_default()))
}
