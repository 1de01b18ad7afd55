//! Finds the fields that an object has, and those that differ between two.

use serde_json::Value;

use super::paths::{Path, Paths};
use crate::schema::{Merge, Type, members};

/// How one object differs from another.
#[derive(Debug, Default, PartialEq)]
pub struct Comparison {
    pub removed: Paths,
    pub modified: Paths,
    pub added: Paths,
}

impl Comparison {
    /// Returns the fields that are new or have another value.
    pub fn changed(&self) -> Paths {
        self.modified.and(&self.added)
    }

    pub fn retain(&mut self, keep: impl Fn(&Path) -> bool) {
        for paths in [&mut self.removed, &mut self.modified, &mut self.added] {
            paths.retain(&keep);
        }
    }
}

/// Returns the path step that identifies an item of a list.
pub(super) fn step(merge: Merge, item: &Value) -> String {
    match merge {
        Merge::By(key) => {
            let value = item.get(key).cloned().unwrap_or(Value::Null);
            format!("k:{}", serde_json::json!({ key: value }))
        }
        _ => format!("v:{item}"),
    }
}

/// Returns every field that is set.
pub fn paths_of(of: Type, value: &Value) -> Paths {
    let mut paths = Paths::default();
    collect(of, value, &mut Vec::new(), &mut paths);
    paths
}

fn collect(of: Type, value: &Value, path: &mut Path, paths: &mut Paths) {
    match (of, value) {
        (of, _) if of.is_leaf() => paths.insert(path),
        (Type::List(item_of, merge), Value::Array(items)) => {
            for item in items {
                path.push(step(merge, item));
                collect(*item_of, item, path, paths);
                paths.insert(path);
                path.pop();
            }
        }
        (of, Value::Object(_)) => {
            for (name, value) in members(Some(value)) {
                let Some(member_of) = of.member(name) else { continue };
                path.push(format!("f:{name}"));
                collect(member_of, value, path, paths);
                let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                if empty || matches!(of, Type::Map(_)) {
                    paths.insert(path);
                }
                path.pop();
            }
        }
        _ => {}
    }
}

/// Compares `live` with `new`.
pub fn compare(of: Type, live: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    walk(of, Some(live), Some(new), &mut Vec::new(), &mut comparison);
    comparison
}

fn walk(of: Type, live: Option<&Value>, new: Option<&Value>, path: &mut Path, comparison: &mut Comparison) {
    let nothing = |value: Option<&Value>| match value {
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    if of.is_leaf() || nothing(live) && nothing(new) {
        match (live, new) {
            (None, _) => comparison.added.insert(path),
            (_, None) => comparison.removed.insert(path),
            (Some(live), Some(new)) if live != new => comparison.modified.insert(path),
            _ => {}
        }
        return;
    }
    match of {
        Type::List(of, merge) => walk_items(*of, merge, live, new, path, comparison),
        _ => {
            let mut names: Vec<&String> = members(live).chain(members(new)).map(|(name, _)| name).collect();
            names.sort();
            names.dedup();
            for name in names {
                let Some(member_of) = of.member(name) else { continue };
                let member = |value: Option<&'_ Value>| value.and_then(|value| value.get(name)).cloned();
                path.push(format!("f:{name}"));
                walk(member_of, member(live).as_ref(), member(new).as_ref(), path, comparison);
                path.pop();
            }
        }
    }
    match (live, new) {
        (None, _) => comparison.added.insert(path),
        (_, None) => comparison.removed.insert(path),
        _ => {}
    }
}

fn walk_items(
    of: Type,
    merge: Merge,
    live: Option<&Value>,
    new: Option<&Value>,
    path: &mut Path,
    comparison: &mut Comparison,
) {
    let known = |list: Option<&Value>| -> std::collections::BTreeMap<String, Value> {
        let items = list.and_then(Value::as_array).into_iter().flatten();
        items.map(|item| (step(merge, item), item.clone())).collect()
    };
    let (live, new) = (known(live), known(new));
    let mut steps: Vec<&String> = live.keys().chain(new.keys()).collect();
    steps.sort();
    steps.dedup();
    for step in steps {
        path.push(step.clone());
        walk(of, live.get(step), new.get(step), path, comparison);
        path.pop();
    }
}

/// Adds every field that contains an owned one, as far as the type names it.
pub fn named_members(of: Type, paths: &Paths) -> Paths {
    let mut all = paths.clone();
    for path in paths.iter() {
        let mut at = Some(of);
        for (depth, step) in path.iter().enumerate() {
            let next = match (at, step.strip_prefix("f:")) {
                (Some(Type::Struct(of)), Some(name)) => {
                    let field = of.field(name);
                    if field.is_some() {
                        all.insert(&path[..=depth]);
                    }
                    field.map(|field| field.of)
                }
                (Some(Type::Map(of)), Some(_)) => Some(*of),
                (Some(Type::List(of, _)), None) => Some(*of),
                _ => None,
            };
            at = next;
        }
    }
    all
}
