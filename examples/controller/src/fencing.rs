//! Proves that the API server refuses a write without an epoch, so that the policy of deploy/components/fencing is in force.

use std::time::Duration;

use anyhow::{Result, bail};
use backon::{ConstantBuilder, Retryable};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, timeout};
use tracing::info;

use crate::mirror::GUARDED;

/// The policy's message about a write without an epoch.
const NO_EPOCH: &str = "a leader must write its epoch";
/// A policy takes a second or two to come into force.
const PAUSE: ConstantBuilder = ConstantBuilder::new().with_delay(Duration::from_millis(500)).without_max_times();
const PATIENCE: Duration = Duration::from_secs(10);
const BOUND: Duration = Duration::from_secs(5);

/// Sends a write without an epoch as a dry run, which goes through admission and is not stored.
///
/// # Errors
/// The write was accepted, or refused for another reason, for ten seconds.
pub async fn prove(client: Client, namespace: &str, lease: &str) -> Result<()> {
    let objects: Api<ConfigMap> = Api::namespaced(client, namespace);
    let metadata = ObjectMeta {
        name: Some(format!("{lease}-fencing-proof")),
        labels: Some([(GUARDED.to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    };
    let without_epoch = ConfigMap { metadata, ..ConfigMap::default() };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let once = || async {
        match timeout(BOUND, objects.create(&dry_run, &without_epoch)).await {
            Ok(Err(kube::Error::Api(status))) if status.message.contains(NO_EPOCH) => Ok(()),
            Ok(Ok(_)) => bail!(
                "--require-fencing: the API server accepts a write without an epoch; apply the component \
                 deploy/components/fencing, with the namespace and the ServiceAccount of this pod"
            ),
            Ok(Err(error)) => bail!("--require-fencing: whether the policy is in force cannot be proven: {error}"),
            Err(_) => {
                bail!("--require-fencing: whether the policy is in force cannot be proven: no answer in {BOUND:?}")
            }
        }
    };
    let begun = Instant::now();
    once.retry(PAUSE).when(|_| begun.elapsed() < PATIENCE).await?;
    info!("fencing is in force");
    Ok(())
}
