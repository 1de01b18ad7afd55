//! JSON, and what is lost when it is read: the order of its fields, and those that come twice. Strict validation minds
//! the second, and tells of everything in the order in which it was written.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// JSON with notes on how it was written.
#[derive(Debug, Default)]
pub struct Noted {
    pub value: Value,
    /// The path of every field, in order.
    fields: Vec<String>,
    twice: Vec<String>,
}

impl Noted {
    /// # Errors
    /// When it is no JSON.
    pub fn parse(json: &[u8]) -> serde_json::Result<Self> {
        let mut noted = Self::default();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        noted.value = Seed { path: String::new(), noted: &mut noted }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(noted)
    }

    /// For what was no JSON.
    pub fn without_notes(value: Value) -> Self {
        Self { value, ..Self::default() }
    }

    /// Where in the text a field stands: how many do before it.
    pub fn place(&self, field: &str) -> usize {
        self.fields.iter().position(|other| other == field).unwrap_or(usize::MAX)
    }

    /// What a decoder minds, and the fields that come twice, in the order of the text.
    pub fn strict(&self, mut minded: Vec<String>) -> Vec<String> {
        let unknown: Vec<String> = minded.iter().map(|told| format!("{}.", path(told))).collect();
        // Nobody looks into what is unknown.
        let known = |twice: &&String| !unknown.iter().any(|unknown| format!("{twice}.").starts_with(unknown));
        minded.extend(self.twice.iter().filter(known).map(|twice| format!("duplicate field \"{twice}\"")));
        minded.sort_by_key(|told| {
            // It is when it comes again that a field is twice.
            let last = told.starts_with("duplicate");
            let mut places = self.fields.iter().enumerate().filter(|(_, field)| *field == path(told));
            if last { places.next_back() } else { places.next() }.map(|(place, _)| place)
        });
        minded.dedup();
        minded
    }
}

fn path(told: &str) -> &str {
    told.split('"').nth(1).unwrap_or_default()
}

/// A field that comes again does not replace an object, but writes into it.
fn overlay(old: Option<Value>, new: Value) -> Value {
    match (old, new) {
        (Some(Value::Object(mut old)), Value::Object(new)) => {
            for (name, value) in new {
                let value = overlay(old.remove(&name), value);
                old.insert(name, value);
            }
            Value::Object(old)
        }
        (_, new) => new,
    }
}

struct Seed<'a> {
    path: String,
    noted: &'a mut Noted,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, list.len());
            let Some(item) = items.next_element_seed(Seed { path, noted: self.noted })? else { break };
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            if object.contains_key(&name) {
                self.noted.twice.push(path.clone());
            }
            self.noted.fields.push(path.clone());
            let value = members.next_value_seed(Seed { path, noted: self.noted })?;
            let value = overlay(object.remove(&name), value);
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_told_in_the_order_of_the_text_and_twice_if_they_are_there_twice() {
        let text = br#"{"spec": {"z": [{"y": 1}], "a": null, "a": -1.5}, "b": "\n"}"#;
        let noted = Noted::parse(text).unwrap();
        assert_eq!(noted.value, json!({"spec": {"z": [{"y": 1}], "a": -1.5}, "b": "\n"}));
        let unknown = ["b", "spec.z[0].y"].map(|path| format!("unknown field \"{path}\"")).to_vec();
        let told = noted.strict(unknown);
        assert_eq!(told, ["unknown field \"spec.z[0].y\"", "duplicate field \"spec.a\"", "unknown field \"b\""]);
    }

    #[test]
    fn an_object_that_comes_twice_is_one() {
        let noted = Noted::parse(
            br#"{"spec": {"a": 1, "b": {"c": 1}}, "spec": {"a": 2, "b": {"d": 2}}, "e": {"f": 1, "f": 2}}"#,
        );
        let noted = noted.unwrap();
        assert_eq!(noted.value, json!({"spec": {"a": 2, "b": {"c": 1, "d": 2}}, "e": {"f": 2}}));
        let told = noted.strict(vec!["unknown field \"e\"".to_owned()]);
        assert_eq!(told, ["duplicate field \"spec\"", "unknown field \"e\""]);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "[1,]", "{} x", "{\"a\"}"] {
            assert!(Noted::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Noted::parse("[".repeat(1000).as_bytes()).is_err());
    }
}
