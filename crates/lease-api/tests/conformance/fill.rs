//! Fills in the variable parts of a request: the namespace, and values of earlier answers.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::scenario::Only;

pub struct Fill {
    namespace: String,
    saved: BTreeMap<String, Value>,
}

impl Fill {
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), saved: BTreeMap::new() }
    }

    pub fn save(&mut self, name: &str, body: Value) {
        self.saved.insert(name.to_owned(), body);
    }

    /// Fills in a text: `{ns}` is the namespace, `${name.metadata.uid}` a value of the answer saved as `name`.
    pub fn text(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (path, after) = after.split_once('}').with_context(|| format!("no end of ${{ in {text}"))?;
            filled.push_str(before);
            match self.look_up(path)? {
                Value::String(value) => filled.push_str(value),
                value => filled.push_str(&value.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled.replace("{ns}", &self.namespace))
    }

    pub fn value(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => match text.strip_prefix("${").and_then(|it| it.strip_suffix('}')) {
                Some(path) if !path.contains('}') => self.look_up(path)?.clone(),
                _ => self.text(text)?.into(),
            },
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect::<Result<_>>()?,
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| Ok((self.text(key)?, self.value(value)?)));
                Value::Object(fields.collect::<Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    fn look_up(&self, path: &str) -> Result<&Value> {
        let mut parts = path.split('.');
        let name = parts.next().unwrap_or_default();
        let mut value = self.saved.get(name).with_context(|| format!("no answer was saved as {name}"))?;
        for part in parts {
            let next = match part.parse::<usize>() {
                Ok(index) => value.get(index),
                Err(_) => value.get(part),
            };
            value = next.with_context(|| format!("no {path} in the answer {}", self.saved[name]))?;
        }
        Ok(value)
    }
}

/// See [`Only`].
pub fn only(value: &mut Value, choice: &Only) {
    let is_named = |item: &Value| {
        let names = [&item["name"], &item["metadata"]["name"], &item["resource"]];
        names.iter().any(|name| name.as_str().is_some_and(|name| choice.names.iter().any(|it| it == name)))
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if let (true, Value::Array(items)) = (*key == choice.key, &mut *value) {
                    items.retain(is_named);
                }
                only(value, choice);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| only(item, choice)),
        _ => {}
    }
}
