//! The only way to write: while the term lasts, on exactly the version that was read, and with the epoch.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use still_leading::{Gate, NotLeading};

use crate::mirror::Foreign;

/// Writes for one term.
pub struct Writer {
    client: Client,
    gate: Gate,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Created,
    Updated,
}

/// Why a write did not happen, or may not have happened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// The API server refused the epoch: a later leader has written since.
    #[error("{0}")]
    Fenced(String),
    #[error(transparent)]
    Foreign(#[from] Foreign),
    #[error("{}", said(.0))]
    Kube(#[from] kube::Error),
}

/// The API server's message, without the rest of its answer.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    }
}

impl Writer {
    /// Makes a writer. The client must not retry requests by itself (`Config::default_retry`).
    pub fn new(client: Client, gate: Gate) -> Self {
        Self { client, gate }
    }

    /// Creates `object` if it has no resourceVersion, else replaces exactly that version. `next` in mirror.rs has put the epoch
    /// on it.
    ///
    /// The term is checked last, right before the request is sent. When the term ends, the request is dropped. It may have
    /// reached the API server by then: only the resourceVersion, and with fencing the epoch, protect what a later leader wrote.
    pub async fn write(&self, object: &ConfigMap) -> Result<Written, Error> {
        let objects: Api<ConfigMap> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let params = PostParams::default();
        let write = async {
            if object.metadata.resource_version.is_none() {
                objects.create(&params, object).await.map(|_| Written::Created)
            } else {
                objects.replace(&object.name_any(), &params, object).await.map(|_| Written::Updated)
            }
        };
        self.gate.run(write).await?.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 403 && status.message.contains(" fenced: ") => {
                Error::Fenced(status.message.clone())
            }
            error => error.into(),
        })
    }
}
