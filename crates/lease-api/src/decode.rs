//! Decodes JSON from a client to the stored form: only known fields, each of its type, and without zero values.
//!
//! A wrong type is an error at once. What only strict validation would refuse is collected.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::schema::{Field, Struct, Type, Zero, is_zero};
use crate::time::{Precision, normalized};

/// Go's zero time, which counts as no time.
const NO_TIME: [&str; 2] = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"];

/// An object in its stored form.
#[derive(Debug)]
pub struct Decoded {
    pub value: Value,
    /// What strict validation would refuse.
    pub strict: Vec<String>,
}

/// The origin of what is decoded. kube-apiserver has two decoders, and they differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum From {
    /// The body of a request, or the result of a JSON or merge patch.
    Json,
    /// The result of a strategic merge patch or an apply. Numbers that are too large are cut to 32 bits without a message.
    Map,
}

/// Decodes the fields of an object, other than `apiVersion` and `kind`.
///
/// # Errors
/// What is wrong, in the words of Go's decoder.
pub fn decode(of: &'static Struct, members: &Map<String, Value>, from: From) -> Result<Decoded, String> {
    let mut decoder = Decoder { from, strict: Vec::new(), mistake: None };
    let at = At { path: String::new(), holder: of.go };
    let value = decoder.fields(of, members, &at);
    match decoder.mistake {
        None => Ok(Decoded { value, strict: decoder.strict }),
        Some(mistake) => Err(mistake.told),
    }
}

struct Decoder {
    from: From,
    strict: Vec<String>,
    /// The mistake to report: the first fatal one, else the first.
    mistake: Option<Mistake>,
}

#[derive(Debug)]
struct Mistake {
    told: String,
    /// Go notes a wrong type and goes on, but reports a wrong time at once.
    fatal: bool,
}

/// The place of a value, for messages.
struct At {
    path: String,
    /// The Go type of the innermost struct.
    holder: &'static str,
}

impl At {
    fn child(&self, name: &str, holder: &'static str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, holder }
    }

    fn mismatch(&self, value: &Value, of: Type, from: From) -> String {
        if from == From::Map {
            return mismatch_of_maps(value, of);
        }
        let shown = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if matches!(of, Type::Int32 | Type::Int64) => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        // Messages about types name a list, those about unknown fields also the item.
        let path: String =
            self.path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
        let of = match of {
            Type::Time | Type::MicroTime => "string".to_owned(),
            Type::String if path.ends_with(".uid") => "types.UID".to_owned(),
            of => of.go(),
        };
        format!("json: cannot unmarshal {shown} into Go struct field {}.{path} of type {of}", self.holder)
    }
}

impl Decoder {
    /// Notes a mistake. Nothing of the wrong value is kept.
    fn wrong(&mut self, told: String, fatal: bool) -> Value {
        // The decoder of maps reports its first mistake.
        let fatal = fatal || self.from == From::Map;
        if self.mistake.as_ref().is_none_or(|before| fatal && !before.fatal) {
            self.mistake = Some(Mistake { told, fatal });
        }
        Value::Null
    }

    fn fields(&mut self, of: &'static Struct, members: &Map<String, Value>, at: &At) -> Value {
        for name in members.keys().filter(|name| of.field(name).is_none()) {
            // The type stands beside the object, and is checked there.
            if !(at.path.is_empty() && (name == "apiVersion" || name == "kind")) {
                self.strict.push(format!("unknown field \"{}\"", at.child(name, of.go).path));
            }
        }
        let mut decoded = Map::new();
        for field in of.fields {
            if let Some(value) = self.field(field, members.get(field.name), &at.child(field.name, of.go)) {
                decoded.insert(field.name.to_owned(), value);
            }
        }
        Value::Object(decoded)
    }

    fn field(&mut self, field: &Field, value: Option<&Value>, at: &At) -> Option<Value> {
        let value = match value {
            None | Some(Value::Null) => None,
            Some(value) => Some(self.value(field.of, value, at)),
        };
        match field.zero {
            Zero::Kept => value,
            Zero::Dropped => value.filter(|value| !is_zero(value)),
            Zero::Shown => Some(value.unwrap_or_else(|| field.of.zero())),
        }
    }

    fn value(&mut self, of: Type, value: &Value, at: &At) -> Value {
        match (of, value) {
            (Type::String, Value::String(_)) | (Type::Bool, Value::Bool(_)) | (Type::Fields, _) => value.clone(),
            (Type::Int32 | Type::Int64, Value::Number(number)) => match self.integer(of, number) {
                Some(number) => number.into(),
                None => self.wrong(at.mismatch(value, of, self.from), false),
            },
            (Type::Bytes, Value::String(text)) => match STANDARD.decode(text) {
                Ok(bytes) => STANDARD.encode(bytes).into(),
                Err(_) => self.wrong("illegal base64 data at input byte 0".to_owned(), false),
            },
            (Type::Time | Type::MicroTime, Value::String(text)) => {
                let micros = matches!(of, Type::MicroTime);
                let precision = if micros { Precision::Micros } else { Precision::Seconds };
                time(text, precision).unwrap_or_else(|why| self.wrong(why, true))
            }
            (Type::Time | Type::MicroTime, _) => self.wrong(at.mismatch(value, of, self.from), true),
            (Type::Struct(of), Value::Object(members)) => {
                self.fields(of, members, &At { path: at.path.clone(), holder: of.go })
            }
            (Type::Map(of), Value::Object(members)) => self.map(*of, members, at),
            (Type::List(of, _), Value::Array(items)) => self.list(*of, items, at),
            _ => self.wrong(at.mismatch(value, of, self.from), false),
        }
    }

    fn integer(&self, of: Type, number: &Number) -> Option<i64> {
        let whole = number.as_f64().filter(|number| self.from == From::Map && number.fract() == 0.0);
        // A float that is too large becomes the largest integer. Go's result is not better.
        let number = number.as_i64().or_else(|| whole.map(|number| number as i64))?;
        match (of, i32::try_from(number)) {
            (Type::Int64, _) => Some(number),
            (_, Ok(number)) => Some(number.into()),
            _ if self.from == From::Map => Some((number as i32).into()),
            _ => None,
        }
    }

    fn map(&mut self, of: Type, members: &Map<String, Value>, at: &At) -> Value {
        let mut decoded = Map::new();
        for (key, value) in members {
            let value = if value.is_null() { of.zero() } else { self.value(of, value, at) };
            // Null bytes are kept.
            let value = if value.is_null() { Value::String(String::new()) } else { value };
            decoded.insert(key.clone(), value);
        }
        Value::Object(decoded)
    }

    fn list(&mut self, of: Type, items: &[Value], at: &At) -> Value {
        let mut decoded = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = At { path: format!("{}[{index}]", at.path), holder: at.holder };
            decoded.push(if item.is_null() { of.zero() } else { self.value(of, item, &at) });
        }
        Value::Array(decoded)
    }
}

/// Returns the message of the decoder of maps, which does not name the place.
fn mismatch_of_maps(value: &Value, of: Type) -> String {
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        _ => "map",
    };
    match (of, kind) {
        (Type::Time | Type::MicroTime, _) => {
            let kind = crate::go::kind_of(value);
            format!("json: cannot unmarshal {kind} into Go value of type string")
        }
        (Type::Struct(_), _) => format!("cannot restore struct from: {kind}"),
        (Type::Map(_), _) => format!("cannot restore map from {kind}"),
        (Type::List(..), _) => format!("cannot restore slice from {kind}"),
        (Type::String, "int64") | (Type::Int32 | Type::Int64, "float64") => {
            format!("cannot convert {kind} to {}", of.go())
        }
        _ => format!("unrecognized type: {}", of.go()),
    }
}

fn time(text: &str, precision: Precision) -> Result<Value, String> {
    let time = normalized(text, precision)?;
    Ok(if NO_TIME.contains(&time.as_str()) { Value::Null } else { Value::String(time) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{EVENT, LEASE};

    fn lease(value: &Value) -> Result<Decoded, String> {
        decode(&LEASE, value.as_object().unwrap(), From::Json)
    }

    #[test]
    fn unknown_fields_and_zeros_are_dropped_and_pointers_kept() {
        let sent = json!({"kind": "Lease", "metadata": {"name": "a", "labels": {}, "selfLink": "", "b": 1},
            "spec": {"holderIdentity": "", "renewTime": null, "c": {}}});
        let decoded = lease(&sent).unwrap();
        assert_eq!(decoded.value, json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": ""}}));
        assert_eq!(decoded.strict, ["unknown field \"metadata.b\"", "unknown field \"spec.c\""]);
    }

    #[test]
    fn an_object_has_a_spec_even_if_none_was_sent() {
        assert_eq!(lease(&json!({})).unwrap().value, json!({"metadata": {}, "spec": {}}));
        let event = decode(&EVENT, &Map::new(), From::Json).unwrap().value;
        assert_eq!(event["eventTime"], Value::Null);
        assert_eq!(event["reportingComponent"], "");
    }

    #[test]
    fn of_several_mistakes_the_first_is_reported_but_a_wrong_time_comes_before_it() {
        let sent = json!({"metadata": {"name": 1}, "spec": {"leaseTransitions": "x", "renewTime": "y"}});
        assert!(lease(&sent).unwrap_err().starts_with("parsing time \"y\""));
        let sent = json!({"metadata": {"name": 1}, "spec": {"leaseTransitions": "x"}});
        assert!(lease(&sent).unwrap_err().contains("ObjectMeta.metadata.name"));
    }

    #[test]
    fn maps_cut_numbers_that_are_too_large() {
        let patched = |spec: Value| decode(&LEASE, json!({ "spec": spec }).as_object().unwrap(), From::Map);
        let lease = patched(json!({"leaseTransitions": 99_999_999_999_u64})).unwrap();
        assert_eq!(lease.value["spec"]["leaseTransitions"], 1_215_752_191);
        assert_eq!(patched(json!({"leaseTransitions": 1.5})).unwrap_err(), "cannot convert float64 to int32");
        assert_eq!(patched(json!({"leaseTransitions": "1"})).unwrap_err(), "unrecognized type: int32");
        assert_eq!(patched(json!("x")).unwrap_err(), "cannot restore struct from: string");
    }

    #[test]
    fn a_wrong_type_is_reported_as_go_does() {
        for (spec, told) in [
            (
                json!({"leaseDurationSeconds": "15"}),
                "string into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32",
            ),
            (
                json!({"leaseTransitions": 1.5}),
                "number 1.5 into Go struct field LeaseSpec.spec.leaseTransitions of type int32",
            ),
            (
                json!({"leaseTransitions": 2_147_483_648_u32}),
                "number 2147483648 into Go struct field LeaseSpec.spec.leaseTransitions of type int32",
            ),
            (json!({"holderIdentity": 1}), "number into Go struct field LeaseSpec.spec.holderIdentity of type string"),
            (json!([]), "array into Go struct field Lease.spec of type v1.LeaseSpec"),
        ] {
            let error = lease(&json!({"spec": spec})).unwrap_err();
            assert_eq!(error, format!("json: cannot unmarshal {told}"));
        }
    }
}
