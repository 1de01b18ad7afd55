//! The reconcile of one object.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use tokio::time::sleep;
use tracing::{debug, info};

use crate::metrics::{Outcome, Reconciles};
use crate::mirror;
use crate::write::{Error, Writer, Written};

/// How often an object is reconciled without a known change.
const RESYNC: Duration = Duration::from_secs(300);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// The pause after a failure that only a person can fix.
const RETRY_SELDOM: Duration = Duration::from_secs(30);
/// The pause after a lost race: somebody else wrote the copy between the read and the write.
const RETRY_CONFLICT: Duration = Duration::from_millis(50);

/// What the reconciles of one term share.
pub struct Context {
    pub client: Client,
    pub writer: Writer,
    pub epoch: Option<u64>,
    /// Whether to write each copy once in each term; see [`mirror::next`].
    pub stamp: bool,
    pub delay: Duration,
    pub reconciles: Reconciles,
}

/// Brings the copy of `source` up to date, and counts the outcome. It runs inside the gate: it begins only while the term
/// lasts, and is dropped when the term is over.
pub async fn reconcile(source: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, Error> {
    let counted = context.reconciles.begin();
    let end = copy(&source, &context).await;
    counted.end(match &end {
        Ok(outcome) => *outcome,
        Err(Error::NotLeading(_)) => Outcome::NotLeading,
        Err(Error::Fenced(_)) => Outcome::Refused,
        Err(Error::Foreign(_) | Error::Kube(_)) => Outcome::Failed,
    });
    end.map(|_| Action::requeue(RESYNC))
}

async fn copy(source: &ConfigMap, context: &Context) -> Result<Outcome, Error> {
    let (object, child) = (ObjectRef::from_obj(source), mirror::child_name(source));
    let children: Api<ConfigMap> = Api::namespaced(context.client.clone(), &source.namespace().unwrap_or_default());
    let present = children.get_opt(&child).await?;
    if !context.delay.is_zero() {
        sleep(context.delay).await;
    }
    let Some(next) = mirror::next(source, present.as_ref(), context.epoch, context.stamp)? else {
        debug!(%object, action = "unchanged", "reconciled");
        return Ok(Outcome::Unchanged);
    };
    let action = match context.writer.write(&next).await? {
        Written::Created => "created",
        Written::Updated => "updated",
    };
    info!(%object, action, epoch = context.epoch, "reconciled");
    Ok(Outcome::Written)
}

/// Decides when to try again after a failure. The library logs it.
pub fn error_policy(_: Arc<ConfigMap>, error: &Error, _: Arc<Context>) -> Action {
    match error {
        Error::NotLeading(_) => Action::await_change(),
        Error::Fenced(_) => Action::requeue(RETRY),
        Error::Kube(kube::Error::Api(status)) if status.code == 409 => Action::requeue(RETRY_CONFLICT),
        // A right is missing, or the name is too long, or the copy was made immutable.
        Error::Kube(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => Action::requeue(RETRY_SELDOM),
        Error::Kube(_) => Action::requeue(RETRY),
        Error::Foreign(_) => Action::requeue(RETRY_SELDOM),
    }
}
