//! The one way to write: while the term lasts, on exactly what was read, with the epoch on it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use still_leading::{Gate, NotLeading};

/// Writes for one term.
pub struct Writer {
    client: Client,
    gate: Gate,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Created,
    Updated,
}

/// Why a write did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// The API server refused the epoch: a later leader has written since.
    #[error("{0}")]
    Fenced(String),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

impl Writer {
    /// The client must not repeat requests by itself (`Config::default_retry`).
    pub fn new(client: Client, gate: Gate) -> Self {
        Self { client, gate }
    }

    /// Creates `object` if it has no resourceVersion, else replaces exactly that version. `next` in mirror.rs has put
    /// the epoch on it. To be called within a reconcile that the gate has let through.
    ///
    /// The term is asked last, right before the request is sent, and not whether a shutdown was asked for: until the Lease is
    /// released, what has begun may be finished. When the term is over, the gate drops the reconcile and so the request. It may
    /// have reached the API server by then: only the resourceVersion, and with fencing the epoch, protect what a later
    /// leader wrote.
    pub async fn write(&self, object: &ConfigMap) -> Result<Written, Error> {
        let objects: Api<ConfigMap> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let params = PostParams::default();
        if self.gate.remaining().is_zero() {
            return Err(NotLeading.into());
        }
        let written = if object.metadata.resource_version.is_none() {
            objects.create(&params, object).await.map(|_| Written::Created)
        } else {
            objects.replace(&object.name_any(), &params, object).await.map(|_| Written::Updated)
        };
        written.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 403 && status.message.contains(" fenced: ") => {
                Error::Fenced(status.message.clone())
            }
            error => error.into(),
        })
    }
}
