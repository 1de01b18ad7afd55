//! Reads of one object, or of a list.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::go::quoted;
use crate::invalid::FieldError;
use crate::query::{ListOptions, Match, Query, revision};
use crate::resource::Resource;
use crate::status::{Result, Status};
use crate::store::{Key, Store};

/// How long kube-apiserver waits for a revision in the future.
const FUTURE_BOUND: Duration = Duration::from_secs(3);

/// Returns the message of a read about a `resourceVersion` that is not a number.
pub fn not_a_number(text: &str, why: &str) -> String {
    FieldError::invalid("resourceVersion", quoted(text), why).to_string()
}

/// Waits until the store has reached a revision.
///
/// # Errors
/// 504, if it does not reach it in time.
pub async fn wait_for(store: &Store, wanted: u64) -> Result<()> {
    let mut changes = store.changes();
    let waiting = changes.wait_for(|revision| *revision >= wanted);
    match timeout(FUTURE_BOUND, waiting).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Status::resource_version_too_large(wanted, store.lock().revision())),
    }
}

/// Reads one object.
///
/// # Errors
/// A `Status`.
pub async fn get(store: &Store, resource: Resource, key: &Key, query: &Query) -> Result<Arc<Value>> {
    let asked = query.text("resourceVersion");
    let wanted = revision(asked).map_err(|why| Status::unexpected(not_a_number(asked, &why)))?;
    wait_for(store, wanted).await?;
    let found = store.lock().get(key);
    found.ok_or_else(|| Status::not_found(resource.subject(), &key.name))
}

/// A list.
#[derive(Debug)]
pub struct Listed {
    pub items: Vec<Arc<Value>>,
    pub revision: u64,
}

/// Lists a resource; `namespace` is `None` for all namespaces. The list is whole, whatever limit a client sets, as the API
/// allows.
///
/// # Errors
/// A `Status`.
pub async fn list(store: &Store, resource: Resource, namespace: Option<&str>, options: &ListOptions) -> Result<Listed> {
    let asked = options.resource_version.as_str();
    let wanted = revision(asked)
        .map_err(|why| Status::bad_request(format!("invalid resource version: {}", not_a_number(asked, &why))))?;
    wait_for(store, wanted).await?;
    let state = store.lock();
    if options.version_match == Match::Exact && wanted != state.revision() {
        // Only the present can be listed.
        return Err(Status::expired("The resourceVersion for the provided list is too old.".to_owned()));
    }
    let objects = state.list(resource, namespace).map(|(_, object)| object);
    let items = objects.filter(|object| options.selection.matches(object)).cloned().collect();
    Ok(Listed { items, revision: state.revision() })
}
