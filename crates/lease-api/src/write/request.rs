//! A request that writes, and what all kinds of writes have in common.

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::Value;

use crate::auth::Caller;
use crate::ownership::Managed;
use crate::query::{Query, WriteOptions};
use crate::resource::Resource;
use crate::route::Info;
use crate::schema::text;
use crate::status::{Result, Status, Subject};
use crate::store::{Key, State, Store};

/// A request that writes.
#[derive(Debug)]
pub struct Write<'a> {
    pub store: &'a Store,
    pub caller: &'a Caller,
    pub info: &'a Info,
    pub resource: Resource,
    pub query: &'a Query,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// The outcome.
#[derive(Debug)]
pub struct Written {
    pub object: Value,
    pub created: bool,
}

impl Write<'_> {
    pub fn namespace(&self) -> &str {
        if self.resource.namespaced() { &self.info.namespace } else { "" }
    }

    pub fn key(&self, name: &str) -> Key {
        Key::new(self.resource, self.namespace(), name)
    }

    /// Returns the field manager of this write: the parameter, or else the first part of the User-Agent.
    pub fn manager(&self, options: &WriteOptions) -> String {
        if !options.field_manager.is_empty() {
            return options.field_manager.clone();
        }
        let agent = self.headers.get(axum::http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let name = agent.unwrap_or_default().split('/').next().unwrap_or_default();
        name.chars().filter(|c| !c.is_control()).take(128).collect()
    }

    /// Records the owners in the new object.
    pub fn track(&self, live: Option<&Value>, new: &mut Value, options: &WriteOptions, now: &str) {
        let rules = self.resource.rules();
        let zero = rules.of.zero();
        let live = live.unwrap_or(&zero);
        let sent = new.pointer("/metadata/managedFields").and_then(Value::as_array);
        let reset = sent.is_some_and(|entries| entries.is_empty() || **entries == [serde_json::json!({})]);
        let managed = if reset {
            Managed::default()
        } else {
            let sent = Managed::of(new).filter(|managed| !managed.is_empty());
            sent.or_else(|| Managed::of(live)).unwrap_or_default()
        };
        rules.updated(live, new, managed, &self.manager(options), now).write(new);
    }

    /// Puts an object into the namespace of its path, and fails if it names another one.
    pub fn settle(&self, object: &mut Value) -> Result<()> {
        let sent = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let expected = self.namespace();
        if !sent.is_empty() && !expected.is_empty() && sent != expected {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let expected = expected.to_owned();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("namespace");
            if !expected.is_empty() {
                metadata.insert("namespace".to_owned(), expected.into());
            }
        }
        Ok(())
    }

    /// Checks that an object has the name of its path.
    pub fn check_name(&self, object: &Value) -> Result<()> {
        let path = &self.info.name;
        match object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default() {
            "" => Err(Status::bad_request(format!(
                "the name of the object ({path} based on URL) was undeterminable: name must be provided"
            ))),
            name if name != path => Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({path})"
            ))),
            _ => Ok(()),
        }
    }

    /// Checks that the namespace exists.
    pub fn check_namespace(&self, state: &State) -> Result<()> {
        let namespace = self.namespace();
        if namespace.is_empty() || state.contains(&Key::of_namespace(namespace)) {
            return Ok(());
        }
        Err(Status::not_found(Subject { group: "", resource: "namespaces" }, namespace))
    }

    /// Checks that no fence refuses the write.
    pub fn admit(&self, new: &Value, live: Option<&Value>) -> Result<()> {
        if self.resource != Resource::ConfigMaps {
            return Ok(());
        }
        for fence in self.store.fences().iter() {
            if let Some(why) = fence.refusal(self.caller.name(), new, live) {
                let by = format!("ValidatingAdmissionPolicy '{}' with binding '{}'", fence.policy, fence.binding);
                return Err(Status::denied(self.resource.subject(), text(new, "/metadata/name"), &by, &why));
            }
        }
        Ok(())
    }

    /// Drops the record of owners if the object is too large with it, as kube-apiserver does.
    pub fn fit(&self, object: &mut Value) -> Result<()> {
        let max = self.store.limits().object_bytes;
        let fits = |object: &Value| serde_json::to_vec(object).is_ok_and(|json| json.len() <= max);
        if fits(object) {
            return Ok(());
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        if fits(object) { Ok(()) } else { Err(Status::unexpected("etcdserver: request is too large")) }
    }
}
