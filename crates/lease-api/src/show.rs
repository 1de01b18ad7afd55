//! Writes objects: first the type, then the fields in the order of the Go types. Clients do not need that order, but it helps
//! people.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use crate::convert;
use crate::resource::Resource;
use crate::schema::{Struct, Type, text};

/// An object with its fields in order.
#[derive(Debug)]
pub struct Shown<'a> {
    /// `apiVersion` and `kind`; `None` for the items of a list.
    pub kind: Option<(&'a str, &'a str)>,
    pub of: &'static Struct,
    pub value: Cow<'a, Value>,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some((version, kind)) = self.kind {
            map.serialize_entry("kind", kind)?;
            map.serialize_entry("apiVersion", version)?;
        }
        fields(&mut map, self.of, &self.value)?;
        map.end()
    }
}

fn fields<M: SerializeMap>(map: &mut M, of: &'static Struct, value: &Value) -> Result<(), M::Error> {
    for field in of.fields {
        if let Some(value) = value.get(field.name) {
            map.serialize_entry(field.name, &Typed(field.of, value))?;
        }
    }
    Ok(())
}

/// A value of a type.
struct Typed<'a>(Type, &'a Value);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.1) {
            (Type::Struct(of), Value::Object(_)) => {
                let mut map = serializer.serialize_map(None)?;
                fields(&mut map, of, self.1)?;
                map.end()
            }
            (Type::List(of, _), Value::Array(items)) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Typed(*of, item))?;
                }
                list.end()
            }
            _ => self.1.serialize(serializer),
        }
    }
}

/// A stored object with its type.
pub fn whole(resource: Resource, stored: &Value) -> Shown<'_> {
    Shown { kind: Some((resource.version(), resource.kind())), ..item(resource, stored) }
}

/// A stored object without its type, as an item of a list.
pub fn item(resource: Resource, stored: &Value) -> Shown<'_> {
    Shown { kind: None, of: resource.object(), value: convert::shown(resource, stored) }
}

/// Only the metadata of an object.
pub fn partial(value: &Value) -> Partial<'_> {
    Partial { kind: "PartialObjectMetadata", api_version: "meta.k8s.io/v1", metadata: &value["metadata"] }
}

/// The `resourceVersion` of an object.
pub fn version_of(value: &Value) -> String {
    text(value, "/metadata/resourceVersion").to_owned()
}

/// The metadata of a list.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
}

/// Only the metadata of an object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Partial<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: &'a Value,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::LEASE;

    #[test]
    fn fields_are_shown_in_the_order_of_the_go_types() {
        let value = json!({"metadata": {"name": "a", "labels": {"z": "", "b": ""}, "uid": "u"}, "spec": {}});
        let shown = Shown { kind: Some(("coordination.k8s.io/v1", "Lease")), of: &LEASE, value: Cow::Borrowed(&value) };
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            r#"{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"a","uid":"u","labels":{"b":"","z":""}},"spec":{}}"#
        );
    }
}
