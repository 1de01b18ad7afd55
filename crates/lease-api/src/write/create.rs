//! Creation, by a POST, or by a PUT or an apply that finds no object.

use serde_json::{Value, json};

use super::request::{Write, Written};
use crate::body;
use crate::convert::stored;
use crate::query::{WriteOptions, revision};
use crate::resource::Resource;
use crate::schema::text;
use crate::status::{Result, Status};
use crate::store::State;
use crate::validate;

/// How many names are tried. With five random characters the first one is usually free.
const NAMES_MAX: usize = 8;

/// How an object is created.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    Post,
    /// By a PUT or an apply that found no object.
    Update,
}

/// Handles a POST.
///
/// # Errors
/// A `Status`.
pub fn create(write: &mut Write<'_>) -> Result<Written> {
    let options = WriteOptions::of(write.query, "CreateOptions", None)?;
    let (resource, validation) = (write.resource, options.field_validation);
    let mut object = body::object(resource, write.headers, write.body, validation, &mut write.warnings)?;
    wipe(&mut object);
    write.settle(&mut object)?;
    let now = crate::time::now();
    write.track(None, &mut object, &options, &now);
    let object = stored(write.resource, object);
    let mut state = write.store.lock();
    write.check_namespace(&state)?;
    let object = insert(write, &mut state, object, &options, By::Post)?;
    Ok(Written { object, created: true })
}

/// Validates a new object and commits it, unless it is a dry run.
///
/// # Errors
/// A `Status`.
pub fn insert(
    write: &Write<'_>,
    state: &mut State,
    mut object: Value,
    options: &WriteOptions,
    by: By,
) -> Result<Value> {
    wipe(&mut object);
    object["metadata"]["uid"] = uuid::Uuid::new_v4().to_string().into();
    object["metadata"]["creationTimestamp"] = crate::time::now().into();
    let generated = generate_name(write, state, &mut object);
    write.resource.prepare(&mut object);
    let name = text(&object, "/metadata/name").to_owned();
    let errors = validate::created(write.resource, &object);
    if !errors.is_empty() {
        return Err(Status::invalid(write.resource.kind_subject(), &name, &errors));
    }
    write.resource.default(&mut object);
    if by == By::Update {
        write.caller.authorize_as(write.info, "create")?;
    }
    write.admit(&object, None)?;
    if by == By::Post
        && !options.dry_run
        && revision(text(&object, "/metadata/resourceVersion")).is_ok_and(|revision| revision != 0)
    {
        return Err(Status::unexpected("resourceVersion should not be set on objects to be created"));
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let key = write.key(&name);
    if state.contains(&key) {
        let subject = write.resource.subject();
        return Err(match generated {
            true => Status::generated_name_exists(subject, &name),
            false => Status::already_exists(subject, &name),
        });
    }
    write.fit(&mut object)?;
    check_quota(write, state, &name)?;
    if options.dry_run {
        return Ok(object);
    }
    Ok(Value::clone(&state.put(&key, object)))
}

/// Removes the fields that only the API server sets.
fn wipe(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            metadata.remove(field);
        }
    }
}

/// Makes a name if the object asks for one. Returns whether it did.
fn generate_name(write: &Write<'_>, state: &State, object: &mut Value) -> bool {
    let prefix = text(object, "/metadata/generateName").to_owned();
    if prefix.is_empty() || !text(object, "/metadata/name").is_empty() {
        return false;
    }
    let prefix: String = prefix.chars().take(58).collect();
    for _ in 0..NAMES_MAX {
        let random = uuid::Uuid::new_v4();
        // The letters and digits that kube-apiserver uses. They form no words.
        let suffix = random.as_bytes()[..5].iter().map(|byte| b"bcdfghjklmnpqrstvwxz2456789"[usize::from(*byte) % 27]);
        let name = prefix.chars().chain(suffix.map(char::from)).collect::<String>();
        object["metadata"]["name"] = json!(name);
        if !state.contains(&write.key(&name)) {
            break;
        }
    }
    true
}

/// Checks whether the store is full. It then answers as a cluster whose quota of objects is used up.
fn check_quota(write: &Write<'_>, state: &State, name: &str) -> Result<()> {
    let (count, max) = (state.count(), write.store.limits().objects);
    if count < max {
        return Ok(());
    }
    let what = match write.resource {
        Resource::Leases => "count/leases.coordination.k8s.io".to_owned(),
        other => format!("count/{}", other.plural()),
    };
    let why = format!("exceeded quota: lease-api, requested: {what}=1, used: {what}={count}, limited: {what}={max}");
    Err(Status::forbidden(write.resource.subject(), name, &why))
}
