//! Updates of an object: compare-and-swap, by `resourceVersion` and uid.

use serde_json::Value;

use super::create::{By, insert};
use super::request::{Write, Written};
use crate::body;
use crate::convert;
use crate::invalid::FieldError;
use crate::query::{WriteOptions, revision};
use crate::schema::text;
use crate::status::{Result, Status};
use crate::store::State;
use crate::validate;

/// The message for a write with an old `resourceVersion`.
const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// Handles a PUT.
///
/// # Errors
/// A `Status`.
pub fn update(write: &mut Write<'_>) -> Result<Written> {
    let options = WriteOptions::of(write.query, "UpdateOptions", None)?;
    let (resource, validation) = (write.resource, options.field_validation);
    let mut object = body::object(resource, write.headers, write.body, validation, &mut write.warnings)?;
    write.settle(&mut object)?;
    write.check_name(&object)?;
    let write = &*write;
    let uid = text(&object, "/metadata/uid").to_owned();
    let now = crate::time::now();
    exchange(write, &options, Exchange { uid: &uid, may_create: resource.created_by_update() }, |live| {
        write.track(live, &mut object, &options, &now);
        Ok(object)
    })
}

/// The preconditions of an update.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The uid of the object; empty for any.
    pub uid: &'a str,
    pub may_create: bool,
}

/// Replaces the stored object by what `make` returns for it.
///
/// # Errors
/// A `Status`.
pub fn exchange(
    write: &Write<'_>,
    options: &WriteOptions,
    exchange: Exchange<'_>,
    make: impl FnOnce(Option<&Value>) -> Result<Value>,
) -> Result<Written> {
    let (resource, name) = (write.resource, &write.info.name);
    let mut state = write.store.lock();
    let live = state.get(&write.key(name));
    if live.is_none() && !exchange.may_create {
        return Err(Status::not_found(resource.subject(), name));
    }
    let uid = live.as_deref().map_or("", |live| text(live, "/metadata/uid"));
    if !exchange.uid.is_empty() && exchange.uid != uid {
        let key = resource.storage_key(write.namespace(), name);
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {}, UID in object meta: {uid}",
            exchange.uid
        );
        return Err(Status::conflict(resource.subject(), name, &why));
    }
    let shown = live.as_deref().map(|live| convert::shown(resource, live));
    let new = convert::stored(resource, make(shown.as_deref())?);
    let Some(live) = live else {
        write.check_namespace(&state)?;
        revision(text(&new, "/metadata/resourceVersion")).map_err(Status::unexpected)?;
        let object = insert(write, &mut state, new, options, By::Update)?;
        return Ok(Written { object, created: true });
    };
    let object = replace(write, &mut state, new, &live, options)?;
    Ok(Written { object, created: false })
}

fn replace(
    write: &Write<'_>,
    state: &mut State,
    mut new: Value,
    live: &Value,
    options: &WriteOptions,
) -> Result<Value> {
    let (resource, name) = (write.resource, &write.info.name);
    let stored = text(live, "/metadata/resourceVersion");
    let expected = revision(text(&new, "/metadata/resourceVersion")).map_err(Status::unexpected)?;
    if expected == 0 && !resource.updated_unconditionally() {
        let error = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
        return Err(Status::invalid(resource.subject(), name, &[error]));
    }
    if expected != 0 && Ok(expected) != revision(stored) {
        return Err(Status::conflict(resource.subject(), name, MODIFIED));
    }
    new["metadata"]["resourceVersion"] = stored.into();
    keep(&mut new, live);
    resource.prepare_update(&mut new, live);
    let errors = validate::updated(resource, &new, live);
    if !errors.is_empty() {
        return Err(Status::invalid(resource.kind_subject(), text(&new, "/metadata/name"), &errors));
    }
    resource.default(&mut new);
    write.admit(&new, Some(live))?;
    forget_times(&mut new, live);
    let key = write.key(name);
    let deleting = live.pointer("/metadata/deletionTimestamp").is_some();
    if deleting && new.pointer("/metadata/finalizers").is_none() {
        // This removes the last finalizer of an object that is being deleted.
        if !options.dry_run {
            state.remove(&key);
        }
        return Ok(new);
    }
    if new == *live {
        return Ok(new);
    }
    write.fit(&mut new)?;
    if options.dry_run {
        return Ok(new);
    }
    Ok(Value::clone(&state.put(&key, new)))
}

/// Keeps the fields that an update cannot change but may leave out.
fn keep(new: &mut Value, live: &Value) {
    let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let stored = |field: &str| live.pointer(&format!("/metadata/{field}"));
    // A client cannot set it, and no served kind has a spec that counts.
    metadata.remove("generation");
    for field in ["generation", "creationTimestamp", "deletionTimestamp"] {
        if let Some(value) = stored(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    for field in ["uid", "deletionGracePeriodSeconds"] {
        if let (None, Some(value)) = (metadata.get(field), stored(field)) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
}

/// Keeps the old times of the owners if nothing else is new, so that a write without effect changes nothing.
fn forget_times(new: &mut Value, live: &Value) {
    let without_times = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
        object
    };
    if without_times(new) == without_times(live) {
        new.clone_from(live);
    }
}
