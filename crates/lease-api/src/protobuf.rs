//! Reads protobuf from `kubectl create configmap` and client-go: an envelope with the type, and in it the object. The result is
//! the JSON that another client would have sent.
//!
//! The schema has the numbers of the fields, with everything else about them. So no code is generated, and this file reads only
//! the wire format.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::resource::Resource;
use crate::schema::{DELETE_OPTIONS, Struct, Type};

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
pub const UNREADABLE: &str = "provided data does not appear to be a protobuf message of Kubernetes";

/// The first bytes of an envelope.
const MAGIC: &[u8] = b"k8s\0";

/// A value in the wire format.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads the object in an envelope, with its type; `None` if it cannot be read. Of an unknown type, only the type.
pub fn to_json(body: &[u8]) -> Option<Value> {
    let envelope = fields(body.strip_prefix(MAGIC)?)?;
    let of = bytes(&envelope, 1).map_or_else(|| Some(Vec::new()), fields)?;
    let text = |number| bytes(&of, number).map_or(Some(""), |text| std::str::from_utf8(text).ok());
    let (version, kind) = (text(1)?, text(2)?);
    let resource = Resource::ALL.into_iter().find(|it| (it.version(), it.kind()) == (version, kind));
    let of = resource.map(Resource::object).or((kind == DELETE_OPTIONS.go).then_some(&DELETE_OPTIONS));
    let raw = bytes(&envelope, 2).unwrap_or_default();
    let mut members = of.map_or_else(|| Some(Map::new()), |of| members(of, raw))?;
    members.insert("apiVersion".to_owned(), version.into());
    members.insert("kind".to_owned(), kind.into());
    Some(Value::Object(members))
}

/// Reads the fields of a message, in their order.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let wire = match key & 7 {
            0 => Wire::Number(varint(&mut message)?),
            2 => {
                let length = varint(&mut message)?;
                let (bytes, rest) = message.split_at_checked(usize::try_from(length).ok()?)?;
                message = rest;
                Wire::Bytes(bytes)
            }
            // No type of Kubernetes has fields of other kinds.
            _ => return None,
        };
        fields.push((key >> 3, wire));
    }
    Some(fields)
}

/// Reads an integer: seven bits per byte, the lowest first. The eighth bit means that more follow.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn bytes<'a>(fields: &[(u64, Wire<'a>)], number: u64) -> Option<&'a [u8]> {
    fields.iter().find_map(|field| match field {
        (found, Wire::Bytes(bytes)) if *found == number => Some(*bytes),
        _ => None,
    })
}

/// Reads the known fields of a message. Unknown ones are skipped, as in Go.
fn members(of: &'static Struct, message: &[u8]) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    for (number, wire) in fields(message)? {
        let Some(field) = of.fields.iter().find(|field| field.number == number) else { continue };
        match (field.of, wire) {
            (Type::List(of, _), wire) => {
                let list = members.entry(field.name).or_insert_with(|| json!([]));
                list.as_array_mut()?.push(value(*of, wire)?);
            }
            (Type::Map(of), Wire::Bytes(entry)) => {
                let entry = fields(entry)?;
                let key = std::str::from_utf8(bytes(&entry, 1).unwrap_or_default()).ok()?;
                let value = value(*of, Wire::Bytes(bytes(&entry, 2).unwrap_or_default()))?;
                let map = members.entry(field.name).or_insert_with(|| json!({}));
                map.as_object_mut()?.insert(key.to_owned(), value);
            }
            (of, wire) => {
                members.insert(field.name.to_owned(), value(of, wire)?);
            }
        }
    }
    Some(members)
}

fn value(of: Type, wire: Wire<'_>) -> Option<Value> {
    Some(match (of, wire) {
        (Type::String, Wire::Bytes(text)) => std::str::from_utf8(text).ok()?.into(),
        (Type::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Type::Bool, Wire::Number(number)) => (number != 0).into(),
        (Type::Int32 | Type::Int64, Wire::Number(number)) => number.cast_signed().into(),
        (Type::Time, Wire::Bytes(time)) => timestamp(time, "%Y-%m-%dT%H:%M:%SZ")?,
        (Type::MicroTime, Wire::Bytes(time)) => timestamp(time, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        (Type::Fields, Wire::Bytes(raw)) => serde_json::from_slice(bytes(&fields(raw)?, 1)?).ok()?,
        (Type::Struct(of), Wire::Bytes(message)) => Value::Object(members(of, message)?),
        _ => return None,
    })
}

/// Reads a time. Go's zero time is an empty message.
fn timestamp(message: &[u8], layout: &str) -> Option<Value> {
    if message.is_empty() {
        return Some(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in fields(message)? {
        match field {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanos = i32::try_from(number.cast_signed()).ok()?,
            _ => {}
        }
    }
    Some(Timestamp::new(seconds, nanos).ok()?.strftime(layout).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a short field of bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let of = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &of), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let metadata = [field(1, b"a"), field(8, b""), field(11, &[field(1, b"k"), field(2, b"v")].concat())].concat();
        let data = |value: &[u8]| [field(1, b"k"), field(2, value)].concat();
        let raw = [field(1, &metadata), field(2, &data(b"1")), field(3, &data(b"\xff")), vec![4 << 3, 1]].concat();
        let expected = json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": {"k": "1"},
            "binaryData": {"k": "/w=="},
            "metadata": {"name": "a", "creationTimestamp": null, "labels": {"k": "v"}}});
        assert_eq!(to_json(&envelope("v1", "ConfigMap", &raw)), Some(expected));
    }

    #[test]
    fn a_lease_is_read() {
        let time = [1 << 3, 0x80, 0x81, 0xc8, 0xac, 0x06, 2 << 3, 0xc0, 0x84, 0x3d];
        let spec = [field(1, b"me"), vec![2 << 3, 15], field(4, &time), vec![5 << 3, 0xac, 0x02]].concat();
        let lease = to_json(&envelope("coordination.k8s.io/v1", "Lease", &field(2, &spec))).unwrap();
        let expected = json!({"holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 300,
            "renewTime": "2024-01-01T00:00:00.001000Z"});
        assert_eq!(lease["spec"], expected);
    }

    #[test]
    fn what_is_cut_short_is_not_read() {
        let whole = envelope("v1", "Namespace", &field(1, &field(1, b"a")));
        assert!(to_json(&whole).is_some());
        for length in 0..whole.len() {
            let read = to_json(&whole[..length]);
            assert!(read.is_none_or(|read| read["metadata"]["name"] != "a"), "{length}");
        }
        assert_eq!(to_json(&envelope("v1", "Secret", b"?")), Some(json!({"apiVersion": "v1", "kind": "Secret"})));
    }
}
