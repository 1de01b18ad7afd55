//! The Controller of one term.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{Controller, controller, watcher};
use kube::{Api, Client};
use still_leading::Gate;
use still_leading_scaffold::Term;
use tokio_util::sync::CancellationToken;

use crate::flags::Flags;
use crate::metrics::Reconciles;
use crate::mirror::{GUARDED, MIRROR};
use crate::reconcile::{Context, error_policy, reconcile};
use crate::warm::Caches;
use crate::write::Writer;

/// What all terms of this process share.
#[derive(Clone)]
pub struct Controlling {
    client: Client,
    namespace: String,
    flags: Flags,
    reconciles: Reconciles,
    caches: Option<Caches>,
}

impl Controlling {
    /// With `--warm`, begins to fill the caches. Call it on the runtime of the work.
    pub fn new(client: Client, namespace: &str, flags: Flags, reconciles: Reconciles) -> Self {
        let namespace = namespace.to_owned();
        let caches = flags.warm.then(|| Caches::fill(sources(&client, &namespace), children(&client, &namespace)));
        Self { client, namespace, flags, reconciles, caches }
    }

    /// Reconciles for one term. When it returns, none of the term's reconciles is running.
    ///
    /// # Errors
    /// The controller ended by itself.
    pub async fn run(self, term: Term, cancelled: CancellationToken) -> Result<()> {
        let epoch = term.epoch();
        #[cfg(feature = "control")]
        let ended = cancelled.clone();
        let gate = gate(term, cancelled);
        let context = Arc::new(Context {
            client: self.client.clone(),
            writer: Writer::new(self.client.clone(), gate.clone()),
            epoch,
            stamp: self.flags.require_fencing,
            delay: self.flags.delay,
            reconciles: self.reconciles.clone(),
        });
        let config = controller::Config::default().concurrency(self.flags.concurrency);
        let reconciling = self.reconcile(gate, context, config);
        #[cfg(feature = "control")]
        let reconciling = outlive(reconciling, ended);
        reconciling.await
    }

    async fn reconcile(self, gate: Gate, context: Arc<Context>, config: controller::Config) -> Result<()> {
        if let Some(caches) = self.caches {
            return caches.reconcile(&gate, context, config).await;
        }
        // A new controller for each term: it lists everything, and so reconciles each object once.
        let (sources, all) = sources(&self.client, &self.namespace);
        let (children, guarded) = children(&self.client, &self.namespace);
        let controller = Controller::new(sources, all).owns(children, guarded).with_config(config);
        still_leading::controller::run(gate, controller, reconcile, error_policy, context)
            .await
            .context("no object is reconciled any more")
    }
}

#[cfg(not(feature = "control"))]
fn gate(term: Term, cancelled: CancellationToken) -> Gate {
    Gate::new(move || term.remaining(), cancelled)
}

/// Returns a gate that is never closed. With this feature the term never ends by the clock either, see main.rs.
#[cfg(feature = "control")]
fn gate(term: Term, _: CancellationToken) -> Gate {
    Gate::new(move || term.remaining(), CancellationToken::new())
}

/// Returns at the end of the term, and lets `reconciling` go on. If the term waited for it, the process would be ended.
#[cfg(feature = "control")]
async fn outlive(
    reconciling: impl Future<Output = Result<()>> + Send + 'static,
    ended: CancellationToken,
) -> Result<()> {
    drop(tokio::spawn(reconciling));
    ended.cancelled().await;
    Ok(())
}

/// The ConfigMaps to copy.
fn sources(client: &Client, namespace: &str) -> (Api<ConfigMap>, watcher::Config) {
    labelled(client, namespace, MIRROR)
}

/// The copies.
fn children(client: &Client, namespace: &str) -> (Api<ConfigMap>, watcher::Config) {
    labelled(client, namespace, GUARDED)
}

fn labelled(client: &Client, namespace: &str, label: &str) -> (Api<ConfigMap>, watcher::Config) {
    let config = watcher::Config::default().labels(&format!("{label}=true"));
    (Api::namespaced(client.clone(), namespace), config)
}
