//! `metadata.managedFields`: one entry for each manager and kind of write.

use serde_json::{Map, Value, json};

use super::paths::Paths;
use crate::go::quoted;

/// How a manager came to own its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

/// An owner of fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    name: String,
    operation: Operation,
    version: String,
}

impl Manager {
    pub fn new(name: &str, operation: Operation, version: &str) -> Self {
        let name = if name.is_empty() { "unknown" } else { name };
        Self { name: name.to_owned(), operation, version: version.to_owned() }
    }
}

/// The fields of a manager, and since when it owns them.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    manager: Manager,
    time: Option<String>,
    paths: Paths,
}

impl Entry {
    /// Formats the manager for a message about a conflict with it.
    pub fn shown(&self) -> String {
        let mut shown = quoted(&self.manager.name);
        if self.manager.operation == Operation::Update {
            shown.push_str(&format!(" using {}", self.manager.version));
        }
        shown
    }
}

/// All entries of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managed(Vec<Entry>);

impl Managed {
    /// Reads the entries of an object; `None` if they are not valid.
    pub fn of(object: &Value) -> Option<Self> {
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let mut managed = Self::default();
        for entry in entries.into_iter().flatten() {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let operation = match text("operation").as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            if text("apiVersion").is_empty() || text("fieldsType") != "FieldsV1" {
                return None;
            }
            let manager = Manager { name: text("manager"), operation, version: text("apiVersion") };
            let paths = entry.get("fieldsV1").map_or_else(|| Some(Paths::default()), Paths::from_fields)?;
            let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
            managed.0.retain(|entry| !same(&entry.manager, &manager));
            managed.0.push(Entry { manager, time, paths });
        }
        Some(managed)
    }

    /// Writes the entries into an object, in the order of kube-apiserver.
    pub fn write(mut self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        metadata.remove("managedFields");
        if self.0.is_empty() {
            return;
        }
        self.0.sort_by(|a, b| {
            let key = |entry: &Entry| (entry.manager.operation, entry.time.clone(), entry.manager.clone());
            key(a).cmp(&key(b))
        });
        let entries = self.0.iter().map(|Entry { manager, time, paths }| {
            let mut entry = Map::new();
            entry.insert("manager".to_owned(), json!(manager.name));
            let operation = if manager.operation == Operation::Apply { "Apply" } else { "Update" };
            entry.insert("operation".to_owned(), json!(operation));
            entry.insert("apiVersion".to_owned(), json!(manager.version));
            if let Some(time) = time {
                entry.insert("time".to_owned(), json!(time));
            }
            entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
            entry.insert("fieldsV1".to_owned(), paths.to_fields());
            Value::Object(entry)
        });
        metadata.insert("managedFields".to_owned(), entries.collect());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn paths(&self, manager: &Manager) -> Option<&Paths> {
        self.0.iter().find(|entry| same(&entry.manager, manager)).map(|entry| &entry.paths)
    }

    /// Returns the fields that anybody owns.
    pub(super) fn all(&self) -> Paths {
        self.0.iter().fold(Paths::default(), |all, entry| all.and(&entry.paths))
    }

    /// Drops the fields of a version that is not served: they mean nothing here.
    pub(super) fn retain_version(&mut self, version: &str) {
        self.0.retain(|entry| entry.manager.version == version);
    }

    /// Takes the fields that were changed or removed from all managers but `except`.
    pub(super) fn take_away(&mut self, except: Option<&Manager>, changed: &Paths, removed: &Paths) {
        for entry in self.0.iter_mut().filter(|entry| except.is_none_or(|except| !same(&entry.manager, except))) {
            entry.paths = entry.paths.minus(changed).minus(removed);
        }
        self.0.retain(|entry| !entry.paths.is_empty());
    }

    pub(super) fn add(&mut self, manager: Manager, paths: &Paths, now: &str) {
        let mut owned = paths.clone();
        if let Some(entry) = self.0.iter().find(|entry| same(&entry.manager, &manager)) {
            owned = owned.and(&entry.paths);
        }
        self.set(manager.clone(), owned);
        self.touch(&manager, now);
    }

    /// Sets the fields of a manager, and leaves the time as it is.
    pub(super) fn set(&mut self, manager: Manager, paths: Paths) {
        match self.0.iter_mut().find(|entry| same(&entry.manager, &manager)) {
            Some(entry) => *entry = Entry { manager, time: entry.time.take(), paths },
            None => self.0.push(Entry { manager, time: None, paths }),
        }
    }

    pub(super) fn touch(&mut self, manager: &Manager, now: &str) {
        for entry in self.0.iter_mut().filter(|entry| same(&entry.manager, manager)) {
            entry.time = Some(now.to_owned());
        }
    }

    pub(super) fn strip(&mut self, manager: &Manager, strip: impl Fn(Paths) -> Paths) {
        for entry in self.0.iter_mut().filter(|entry| same(&entry.manager, manager)) {
            entry.paths = strip(std::mem::take(&mut entry.paths));
        }
        self.0.retain(|entry| !entry.paths.is_empty());
    }

    /// Returns the other managers that own some of these fields.
    pub(super) fn conflicts(&self, manager: &Manager, changed: &Paths) -> Vec<(&Entry, Paths)> {
        let others = self.0.iter().filter(|entry| !same(&entry.manager, manager));
        let mut conflicts: Vec<_> = others.map(|entry| (entry, entry.paths.common(changed))).collect();
        conflicts.retain(|(_, paths)| !paths.is_empty());
        conflicts.sort_by(|(a, _), (b, _)| a.manager.cmp(&b.manager));
        conflicts
    }
}

/// Whether two managers are the same. What a manager has applied counts in any version.
fn same(a: &Manager, b: &Manager) -> bool {
    (&a.name, a.operation) == (&b.name, b.operation) && (a.operation == Operation::Apply || a.version == b.version)
}
