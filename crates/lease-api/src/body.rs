//! The body of a request, as an object of a resource.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use crate::decode::{From, decode};
use crate::go::{kind_of, quoted};
use crate::protobuf;
use crate::query::FieldValidation;
use crate::resource::Resource;
use crate::status::{Result, Status};

/// The media types of bodies. kube-apiserver takes YAML too.
const ACCEPTED: &str = "application/json, application/vnd.kubernetes.protobuf";

/// How many bytes of a body a message shows.
const SUMMARY_BYTES: usize = 30;

/// The media type of the body, without parameters.
pub fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Parses a body as JSON, or as protobuf that becomes JSON. The inner error is what is wrong with the body.
///
/// # Errors
/// 415, if the media type is another one.
pub fn parsed(headers: &HeaderMap, body: &Bytes) -> Result<std::result::Result<Value, String>> {
    match media_type(headers) {
        "" | "application/json" => {}
        protobuf::MEDIA_TYPE => return Ok(protobuf::to_json(body).ok_or_else(|| protobuf::UNREADABLE.to_owned())),
        _ => return Err(Status::unsupported_media_type(ACCEPTED)),
    }
    Ok(serde_json::from_slice(body).map_err(|error| match error.is_eof() {
        true => "unexpected end of JSON input".to_owned(),
        false => error.to_string(),
    }))
}

/// Reads an object from a body, in its stored form. What strict validation would refuse goes to `warnings`.
///
/// # Errors
/// 400, if it is not an object of this resource.
pub fn object(
    resource: Resource,
    headers: &HeaderMap,
    body: &Bytes,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value> {
    let unrecognized = |why: &str| {
        let kind = resource.kind();
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; \
             json parse error: {why} ({})",
            summary(body)
        ))
    };
    let sent = parsed(headers, body)?.map_err(|why| unrecognized(&why))?;
    let nothing = Map::new();
    let members = match &sent {
        Value::Object(members) => members,
        Value::Null => &nothing,
        other => return Err(unrecognized(&no_object(other))),
    };
    for name in ["apiVersion", "kind"] {
        if let Some(other) = members.get(name).filter(|value| !value.is_string() && !value.is_null()) {
            let what = kind_of(other);
            return Err(unrecognized(&format!(
                "json: cannot unmarshal {what} into Go struct field .{name} of type string"
            )));
        }
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (kind, version) = (text("kind").unwrap_or(resource.kind()), text("apiVersion").unwrap_or(resource.version()));
    let refused = |why: &str| {
        let short = version.rsplit('/').next().unwrap_or_default();
        let shown = quoted(short);
        Status::bad_request(format!("{kind} in version {shown} cannot be handled as a {}: {why}", resource.kind()))
    };
    check_type(resource, kind, version).map_err(|why| refused(&why))?;
    let decoded = decode(resource.object(), members, From::Json).map_err(|why| refused(&why))?;
    let strict = decoded.strict;
    if validation == FieldValidation::Strict && !strict.is_empty() {
        return Err(refused(&format!("strict decoding error: {}", strict.join(", "))));
    }
    if validation == FieldValidation::Warn {
        warnings.extend(strict);
    }
    if version != resource.version() {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            resource.version()
        )));
    }
    let mut object = decoded.value;
    resource.default(&mut object);
    Ok(object)
}

/// Checks whether an object of that type can be an object of this resource.
///
/// # Errors
/// What is wrong with it.
pub fn check_type(resource: Resource, kind: &str, version: &str) -> std::result::Result<(), String> {
    let other = Resource::ALL.into_iter().find(|other| (other.kind(), other.version()) == (kind, version));
    // An old version of Leases is known, and refused later.
    if other.map(Resource::stored) == Some(resource.stored())
        || (resource.kind(), kind, version) == ("Lease", "Lease", "coordination.k8s.io/v1beta1")
    {
        return Ok(());
    }
    Err(match other {
        Some(other) => {
            let (from, package) = (other.kind(), if resource == Resource::Leases { "coordination" } else { "core" });
            format!("converting (v1.{from}) to ({package}.{}): unknown conversion", resource.kind())
        }
        None => unregistered(kind, version),
    })
}

/// Returns kube-apiserver's message about a type that it does not know.
pub fn unregistered(kind: &str, version: &str) -> String {
    let scheme = "in scheme \"pkg/runtime/scheme.go:111\"";
    format!("no kind {} is registered for version {} {scheme}", quoted(kind), quoted(version))
}

/// Adds its type to an object, as patches see it.
pub fn with_type(resource: Resource, object: &Value) -> Value {
    let mut members = object.as_object().cloned().unwrap_or_else(Map::new);
    members.insert("apiVersion".to_owned(), resource.version().into());
    members.insert("kind".to_owned(), resource.kind().into());
    Value::Object(members)
}

/// Returns Go's message about JSON that is not an object.
pub fn no_object(value: &Value) -> String {
    let what = kind_of(value);
    let into = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    format!("json: cannot unmarshal {what} into Go value of type {into}")
}

fn summary(body: &Bytes) -> String {
    let (shown, more) = match body.get(..SUMMARY_BYTES) {
        Some(start) if body.len() > SUMMARY_BYTES => (start, " ..."),
        _ => (body.as_ref(), ""),
    };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + more,
    }
}
