//! Deletion of one object.

use serde_json::Value;

use super::request::Write;
use crate::body;
use crate::go::quoted;
use crate::invalid::FieldError;
use crate::query::{dry_run, invalid};
use crate::resource::Resource;
use crate::schema::text;
use crate::status::{Result, Status};
use crate::store::{Key, State};

/// The answer to a deletion.
#[derive(Debug)]
pub enum Deleted {
    /// The object is gone.
    Gone(Status),
    /// The object is shown, since it waits for its finalizers, or is a namespace.
    Shown(Value),
}

/// The preconditions of a deletion, and whether it is a dry run.
#[derive(Debug, Default)]
struct Options {
    uid: Option<String>,
    resource_version: Option<String>,
    dry_run: bool,
}

impl Options {
    /// Reads them from the body, or from parameters if there is none.
    fn of(write: &Write<'_>) -> Result<Self> {
        let mut errors = Vec::new();
        let (options, policy) = if write.body.is_empty() {
            let query = write.query;
            let policy = query.get("propagationPolicy").map(str::to_owned);
            let dry_run = dry_run(query.get("dryRun").map(str::to_owned).iter(), &mut errors);
            (Self { dry_run, ..Self::default() }, policy)
        } else {
            let sent = body::parsed(write.headers, write.body)?;
            let sent = sent.and_then(|sent| if sent.is_object() { Ok(sent) } else { Err(body::no_object(&sent)) });
            let unreadable = "couldn't get version/kind; json parse error";
            let sent = sent.map_err(|why| Status::bad_request(format!("{unreadable}: {why}")))?;
            let kind = sent.get("kind").and_then(Value::as_str).filter(|kind| !matches!(*kind, "" | "DeleteOptions"));
            if let Some(kind) = kind {
                let version = sent.get("apiVersion").and_then(Value::as_str).unwrap_or("v1");
                return Err(Status::bad_request(body::unregistered(kind, version)));
            }
            let text = |pointer: &str| sent.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let values = sent.get("dryRun").and_then(Value::as_array).into_iter().flatten();
            let values: Vec<String> = values.filter_map(Value::as_str).map(str::to_owned).collect();
            let (uid, resource_version) = (text("/preconditions/uid"), text("/preconditions/resourceVersion"));
            let dry_run = dry_run(values.iter(), &mut errors);
            (Self { uid, resource_version, dry_run }, text("/propagationPolicy"))
        };
        // Without a garbage collector all policies are alike, but an invalid one is an error.
        let policies = ["Foreground", "Background", "Orphan", "nil"];
        if let Some(policy) = policy.filter(|policy| !policies[..3].contains(&policy.as_str())) {
            errors.push(FieldError::not_supported("propagationPolicy", quoted(&policy), &policies));
        }
        invalid("DeleteOptions", &errors)?;
        Ok(options)
    }

    fn check(&self, write: &Write<'_>, live: &Value) -> Result<()> {
        let namespaces = write.resource == Resource::Namespaces;
        let pairs = [
            ("UID", &self.uid, "/metadata/uid", "deleted and then recreated"),
            ("ResourceVersion", &self.resource_version, "/metadata/resourceVersion", "modified"),
        ];
        for (what, expected, pointer, otherwise) in pairs {
            let stored = text(live, pointer);
            if let Some(expected) = expected.as_deref().filter(|expected| *expected != stored) {
                if namespaces {
                    let why = format!(
                        "Precondition failed: {what} in precondition: {expected}, {what} in object meta: {stored}"
                    );
                    return Err(Status::conflict(write.resource.subject(), text(live, "/metadata/name"), &why));
                }
                let why = format!(
                    "the {what} in the precondition ({expected}) does not match the {what} in record ({stored}). \
                     The object might have been {otherwise}"
                );
                let subject = write.resource.kind_subject();
                return Err(Status::conflict(subject, text(live, "/metadata/name"), &why));
            }
        }
        Ok(())
    }
}

/// Handles a DELETE of one object.
///
/// # Errors
/// A `Status`.
pub fn delete(write: &Write<'_>) -> Result<Deleted> {
    let options = Options::of(write)?;
    let name = &write.info.name;
    if write.resource == Resource::Namespaces && matches!(name.as_str(), "default" | "kube-system" | "kube-public") {
        return Err(Status::forbidden(write.resource.subject(), name, "this namespace may not be deleted"));
    }
    let mut state = write.store.lock();
    let key = write.key(name);
    let live = state.get(&key).ok_or_else(|| Status::not_found(write.resource.subject(), name))?;
    options.check(write, &live)?;
    one(write, &mut state, &key, &live, &options)
}

fn one(write: &Write<'_>, state: &mut State, key: &Key, live: &Value, options: &Options) -> Result<Deleted> {
    let resource = write.resource;
    if resource == Resource::Namespaces {
        let mut shown = live.clone();
        shown["metadata"]["deletionTimestamp"] = crate::time::now().into();
        shown["status"]["phase"] = "Terminating".into();
        if !options.dry_run {
            empty(state, &key.name);
            state.remove(key);
        }
        return Ok(Deleted::Shown(shown));
    }
    if live.pointer("/metadata/finalizers").is_some() {
        let mut new = live.clone();
        if new.pointer("/metadata/deletionTimestamp").is_none() {
            new["metadata"]["deletionTimestamp"] = crate::time::now().into();
            new["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        }
        if options.dry_run || new == *live {
            return Ok(Deleted::Shown(new));
        }
        return Ok(Deleted::Shown(Value::clone(&state.put(key, new))));
    }
    if !options.dry_run {
        state.remove(key);
    }
    Ok(Deleted::Gone(Status::success(resource.subject(), &key.name, text(live, "/metadata/uid"))))
}

/// Removes everything in a namespace. On a cluster a controller does this later.
fn empty(state: &mut State, namespace: &str) {
    for resource in Resource::ALL.into_iter().filter(|resource| resource.namespaced()) {
        let keys: Vec<Key> = state.list(resource, Some(namespace)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| state.remove(key));
    }
}
