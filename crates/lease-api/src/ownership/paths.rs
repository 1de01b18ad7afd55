//! Sets of field paths, and their form in `fieldsV1`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::go::quoted;

/// The path of a field. Each step has the form of `fieldsV1`: `f:name`, `k:{"key":"value"}` or `v:"value"`.
pub type Path = Vec<String>;

/// The deepest path. No served object is deeper, but a client may send deeper ones.
const DEPTH_MAX: usize = 64;

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paths(BTreeSet<Path>);

impl Paths {
    /// Adds a field. The root is not a field, and is left out.
    pub fn insert(&mut self, path: &[String]) {
        if !path.is_empty() {
            self.0.insert(path.to_vec());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, path: &[String]) -> bool {
        self.0.contains(path)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter()
    }

    pub fn retain(&mut self, keep: impl FnMut(&Path) -> bool) {
        self.0.retain(keep);
    }

    pub fn and(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    pub fn minus(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    pub fn common(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// Returns the paths that begin with `step`, without it.
    pub fn below(&self, step: &str) -> Self {
        let below = self.0.iter().filter(|path| path.len() > 1 && path[0] == step);
        Self(below.map(|path| path[1..].to_vec()).collect())
    }

    /// Writes the set as `fieldsV1`.
    pub fn to_fields(&self) -> Value {
        let mut root = Map::new();
        for path in &self.0 {
            let mut at = &mut root;
            for (depth, step) in path.iter().enumerate() {
                let next = at.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(next) = next else { break };
                // A dot marks a field that is owned itself and contains owned fields.
                if depth + 1 == path.len()
                    && self.0.iter().any(|other| other.len() > path.len() && other.starts_with(path))
                {
                    next.insert(".".to_owned(), Value::Object(Map::new()));
                }
                at = next;
            }
        }
        Value::Object(root)
    }

    /// Reads `fieldsV1`; `None` if the value is something else.
    pub fn from_fields(fields: &Value) -> Option<Self> {
        let mut paths = Self::default();
        collect(fields, &mut Vec::new(), &mut paths)?;
        Some(paths)
    }
}

fn collect(fields: &Value, path: &mut Path, paths: &mut Paths) -> Option<()> {
    let fields = fields.as_object()?;
    if path.len() > DEPTH_MAX {
        return None;
    }
    if fields.is_empty() || fields.contains_key(".") {
        paths.insert(path);
    }
    for (step, below) in fields.iter().filter(|(step, _)| *step != ".") {
        if !matches!(step.get(..2)?, "f:" | "k:" | "v:" | "i:") {
            return None;
        }
        path.push(step.clone());
        collect(below, path, paths)?;
        path.pop();
    }
    Some(())
}

/// Formats a path for messages: `.metadata.finalizers[="a"]`.
pub fn shown(path: &[String]) -> String {
    let step = |step: &String| match step.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("v:", value)) => format!("[={value}]"),
        Some(("k:", key)) => {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let key: Vec<_> = key.iter().map(|(name, value)| format!("{name}={}", scalar(value))).collect();
            format!("[{}]", key.join(","))
        }
        _ => format!("[{step}]"),
    };
    path.iter().map(step).collect()
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), quoted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_v1_is_read_and_written() {
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}, "f:finalizers": {"v:\"b\"": {}},
            "f:ownerReferences": {"k:{\"uid\":\"c\"}": {}}}, "f:spec": {"f:renewTime": {}}});
        let paths = Paths::from_fields(&fields).unwrap();
        assert_eq!(paths.to_fields(), fields);
        let shown: Vec<_> = paths.iter().map(|path| shown(path)).collect();
        assert_eq!(
            shown,
            [
                ".metadata.finalizers[=\"b\"]",
                ".metadata.labels",
                ".metadata.labels.a",
                ".metadata.ownerReferences[uid=\"c\"]",
                ".spec.renewTime"
            ]
        );
    }

    #[test]
    fn an_invalid_set_of_fields_is_refused() {
        for fields in [json!({"spec": {}}), json!({"f:spec": 1}), json!([]), json!({"é": {}})] {
            assert_eq!(Paths::from_fields(&fields), None);
        }
        let deep = (0..100).fold(json!({}), |below, _| json!({ "f:a": below }));
        assert_eq!(Paths::from_fields(&deep), None);
    }
}
