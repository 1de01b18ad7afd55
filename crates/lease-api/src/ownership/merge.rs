//! Merges one object over another, and removes fields from an object.

use serde_json::{Map, Value};

use super::compare::step;
use super::paths::Paths;
use crate::schema::{Type, members};

/// Merges `new` over `live`: fields that both have come from `new`.
pub fn merge(of: Type, live: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    let nothing = |value: Option<&Value>| match value {
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    if of.is_leaf() || nothing(live) && nothing(new) {
        return new.or(live).cloned();
    }
    if let Type::List(of, merging) = of {
        let items = |list: Option<&Value>| -> Vec<(String, Value)> {
            let items = list.and_then(Value::as_array).into_iter().flatten();
            items.map(|item| (step(merging, item), item.clone())).collect()
        };
        return Some(Value::Array(merge_items(*of, &items(live), &items(new))));
    }
    let mut merged = Map::new();
    for (name, _) in members(live).chain(members(new)) {
        let Some(member_of) = of.member(name).filter(|_| !merged.contains_key(name)) else { continue };
        let member = |value: Option<&Value>| value.and_then(|value| value.get(name)).cloned();
        if let Some(value) = merge(member_of, member(live).as_ref(), member(new).as_ref()) {
            merged.insert(name.clone(), value);
        }
    }
    Some(Value::Object(merged))
}

/// Merges items in the order of `new`. Items of `live` alone keep their place between those that both have.
fn merge_items(of: Type, live: &[(String, Value)], new: &[(String, Value)]) -> Vec<Value> {
    let find = |list: &[(String, Value)], step: &String| list.iter().find(|(other, _)| other == step).cloned();
    let mut merged = Vec::new();
    let mut live_left = live;
    for (step, item) in new {
        // Items of `live` alone that stand before this one.
        while let Some(((next, value), rest)) = live_left.split_first()
            && next != step
        {
            if find(new, next).is_none() {
                merged.extend(merge(of, Some(value), None));
            } else if live_left.iter().any(|(later, _)| later == step) {
                // In both, but in another order: `new` decides where it stands.
            } else {
                break;
            }
            live_left = rest;
        }
        if live_left.first().is_some_and(|(next, _)| next == step) {
            live_left = &live_left[1..];
        }
        let old = find(live, step).map(|(_, value)| value);
        merged.extend(merge(of, old.as_ref(), Some(item)));
    }
    for (_, value) in live_left.iter().filter(|(step, _)| find(new, step).is_none()) {
        merged.extend(merge(of, Some(value), None));
    }
    merged
}

/// Returns `value` without some fields. A value that loses everything in it becomes null, which can be owned.
pub fn without(of: Type, value: &Value, gone: &Paths) -> Value {
    if gone.is_empty() || of.is_leaf() {
        return value.clone();
    }
    match (of, value) {
        (Type::List(of, merging), Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| {
                let step = step(merging, item);
                (!gone.contains(std::slice::from_ref(&step))).then(|| without(*of, item, &gone.below(&step)))
            });
            let kept: Vec<_> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (of, Value::Object(_)) => {
            let kept = members(Some(value)).filter_map(|(name, value)| {
                let step = format!("f:{name}");
                let of = of.member(name)?;
                let keep = !gone.contains(std::slice::from_ref(&step));
                keep.then(|| (name.clone(), without(of, value, &gone.below(&step))))
            });
            let kept: Map<_, _> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        _ => value.clone(),
    }
}
