//! Ownership of fields. Server-side apply is built on it, and `metadata.managedFields` shows it.
//!
//! A small port of `structured-merge-diff`. It knows one version of each object. When lists merge, the stored items come first in
//! their order, then the new ones.

mod compare;
mod managed;
mod merge;
mod paths;
mod types;

pub use managed::Managed;
pub use types::type_errors;

use serde_json::Value;

use crate::schema::Type;
use crate::status::{Cause, Result, Status};
use compare::{Comparison, compare, named_members, paths_of};
use managed::{Entry, Manager, Operation};
use merge::{merge, without};
use paths::Paths;

/// Fields that nobody owns: those that the API server writes, and those that name the object.
const NEVER_OWNED: [&[&str]; 8] = [
    &["f:metadata"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:resourceVersion"],
];

/// What all objects of a resource have in common.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub of: Type,
    /// `group/version`.
    pub version: &'static str,
    /// A top-level field that only the API server writes.
    pub ignored: Option<&'static str>,
}

impl Rules {
    fn compare(&self, live: &Value, new: &Value) -> Comparison {
        let mut comparison = compare(self.of, live, new);
        if let Some(ignored) = self.ignored {
            comparison.retain(|path| path.first().is_none_or(|first| first.strip_prefix("f:") != Some(ignored)));
        }
        comparison
    }

    /// Returns who owns which fields after `manager` has written `new` over `live`.
    pub fn updated(&self, live: &Value, new: &Value, mut managed: Managed, manager: &str, now: &str) -> Managed {
        let exists = live.pointer("/metadata/uid").is_some();
        if managed.is_empty() && exists {
            // The object has no record from before, and nobody has applied since. In that case no record is kept.
            return managed;
        }
        let manager = Manager::new(manager, Operation::Update, self.version);
        let comparison = self.compare(live, new);
        managed.retain_version(self.version);
        managed.take_away(None, &comparison.changed(), &comparison.removed);
        let owned = strip(comparison.changed());
        if !owned.is_empty() {
            managed.add(manager, &owned, now);
        }
        managed
    }

    /// Merges what `manager` applied into `live`, and returns the result with the new owners.
    ///
    /// # Errors
    /// The conflicts, if somebody else owns what would change and `force` is not set.
    pub fn applied(&self, live: &Value, config: &Value, managed: Managed, by: Applying<'_>) -> Result<Applied> {
        let mut managed = managed;
        if managed.is_empty() {
            let empty = self.of.zero();
            managed = self.updated(&empty, live, managed, "before-first-apply", by.now);
        }
        managed.retain_version(self.version);
        let manager = Manager::new(by.manager, Operation::Apply, self.version);
        let merged = merge(self.of, Some(live), Some(config)).unwrap_or(Value::Null);
        let last = managed.paths(&manager).cloned().unwrap_or_default();
        let mut set = paths_of(self.of, config);
        if let Some(ignored) = self.ignored {
            set.retain(|path| path.first().is_none_or(|first| first.strip_prefix("f:") != Some(ignored)));
        }
        managed.set(manager.clone(), set);
        let new = self.pruned(&merged, &managed, &last);
        let comparison = self.compare(live, &new);
        if !by.force {
            conflicts(&managed.conflicts(&manager, &comparison.changed()))?;
        }
        managed.take_away(Some(&manager), &comparison.changed(), &comparison.removed);
        let changed = new != *live;
        if changed {
            managed.touch(&manager, by.now);
        }
        managed.strip(&manager, strip);
        Ok(Applied { value: changed.then_some(new), managed })
    }

    /// Removes fields that this manager owned before and no longer applies, unless somebody else owns them.
    fn pruned(&self, merged: &Value, managed: &Managed, last: &Paths) -> Value {
        if last.is_empty() {
            return merged.clone();
        }
        let members = |paths: &Paths| named_members(self.of, paths);
        let last = members(last);
        let all = members(&paths_of(self.of, merged));
        // First everything goes that was applied before. Then what somebody owns comes back, with the fields around it.
        let kept = members(&paths_of(self.of, &without(self.of, merged, &last)));
        let owned = members(&managed.all());
        let back = without(self.of, merged, &all.minus(&kept.and(&owned)));
        let back = members(&paths_of(self.of, &back));
        without(self.of, merged, &all.minus(&back).common(&last))
    }
}

/// Who applies, and how.
#[derive(Clone, Copy, Debug)]
pub struct Applying<'a> {
    pub manager: &'a str,
    pub force: bool,
    pub now: &'a str,
}

/// The outcome of an apply.
#[derive(Debug)]
pub struct Applied {
    /// `None` if nothing changes.
    pub value: Option<Value>,
    pub managed: Managed,
}

fn strip(mut paths: Paths) -> Paths {
    paths.retain(|path| {
        !NEVER_OWNED.iter().any(|never| never.len() == path.len() && path.iter().zip(*never).all(|(a, b)| a == b))
            && !path.starts_with(&["f:metadata".to_owned(), "f:managedFields".to_owned()])
    });
    paths
}

fn conflicts(conflicts: &[(&Entry, Paths)]) -> Result<()> {
    let count: usize = conflicts.iter().map(|(_, paths)| paths.iter().count()).sum();
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    let mut only = String::new();
    for (entry, paths) in conflicts {
        let manager = entry.shown();
        lines.push(format!("conflicts with {manager}:"));
        for path in paths.iter().map(|path| paths::shown(path)) {
            only = format!("conflict with {manager}: {path}");
            lines.push(format!("- {path}"));
            causes.push(Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: path,
            });
        }
    }
    let message = match count {
        0 => return Ok(()),
        1 => format!("Apply failed with 1 conflict: {only}"),
        _ => format!("Apply failed with {count} conflicts: {}", lines.join("\n")),
    };
    Err(Status::apply_conflict(message, causes))
}

#[cfg(test)]
mod tests;
