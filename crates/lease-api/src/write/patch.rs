//! PATCH, in its four kinds.

use axum::body::Bytes;
use serde_json::{Map, Value};

use super::json;
use super::request::{Write, Written};
use super::strategic;
use super::update::{Exchange, exchange};
use crate::body::{check_type, media_type, with_type};
use crate::decode::{From, decode};
use crate::go::{kind_of, plain, quoted};
use crate::invalid::FieldError;
use crate::ownership::{Applying, Managed, type_errors};
use crate::query::{FieldValidation, WriteOptions};
use crate::schema::{Type, text};
use crate::status::{Result, Status, Subject};

/// A patch, by its media type.
#[derive(Debug)]
enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

/// Handles a PATCH.
///
/// # Errors
/// A `Status`.
pub fn patch(write: &mut Write<'_>) -> Result<Written> {
    let kind = match media_type(write.headers) {
        "application/json-patch+json" => Patch::Json(json_patch::Patch::default()),
        "application/merge-patch+json" => Patch::Merge(Value::Null),
        "application/strategic-merge-patch+json" => Patch::Strategic(Value::Null),
        "application/apply-patch+yaml" => Patch::Apply(Value::Null),
        _ => return Err(Status::unsupported_patch_type()),
    };
    let applies = matches!(kind, Patch::Apply(_));
    let options = WriteOptions::of(write.query, "PatchOptions", Some(applies))?;
    let patch = kind.parsed(write.body)?;
    let now = crate::time::now();
    let mut warnings = Vec::new();
    let done = exchange(write, &options, Exchange { uid: "", may_create: applies }, |live| {
        let mut new = match &patch {
            Patch::Apply(config) => apply(write, live, config, &options, &now, &mut warnings)?,
            other => {
                let live = live.ok_or_else(|| Status::not_found(write.resource.subject(), &write.info.name))?;
                let mut new = other.onto(write, live, options.field_validation, &mut warnings)?;
                write.track(Some(live), &mut new, &options, &now);
                new
            }
        };
        let uid = text(&new, "/metadata/uid");
        if live.is_none() && !uid.is_empty() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Status::conflict(write.resource.subject(), &write.info.name, &why));
        }
        write.settle(&mut new)?;
        write.check_name(&new)?;
        Ok(new)
    });
    write.warnings.append(&mut warnings);
    done
}

impl Patch {
    fn parsed(self, body: &Bytes) -> Result<Self> {
        let decoding = |why: &str| Status::bad_request(format!("error decoding patch: {why}"));
        let value = match (&self, serde_json::from_slice::<Value>(body)) {
            (_, Ok(value)) => value,
            (Self::Apply(_), Err(error)) => return Err(decoding(&error.to_string())),
            (_, Err(_)) => return Err(Status::bad_request("invalid JSON patch")),
        };
        if let Self::Json(_) = self {
            let items = value.as_array().ok_or_else(|| decoding(&mismatch(&value, "[]handlers.jsonPatchOp")))?;
            let strange = items.iter().find(|item| !item.is_object());
            if let Some(strange) = strange {
                return Err(decoding(&mismatch(strange, "handlers.jsonPatchOp")));
            }
            return serde_json::from_value(value).map(Self::Json).map_err(|_| Status::patch_does_not_apply());
        }
        let wrong = mismatch(&value, "map[string]interface {}");
        match (self, value) {
            (Self::Apply(_), value @ (Value::Object(_) | Value::Null)) => Ok(Self::Apply(value)),
            (Self::Apply(_), _) => Err(decoding(&format!("error unmarshaling JSON: while decoding JSON: {wrong}"))),
            (Self::Merge(_), value @ Value::Object(_)) => Ok(Self::Merge(value)),
            (Self::Merge(_), _) => Err(decoding(&wrong)),
            (Self::Strategic(_), value @ Value::Object(_)) => Ok(Self::Strategic(value)),
            (_, _) => Err(Status::bad_request(wrong)),
        }
    }

    /// Applies a JSON, merge or strategic merge patch to an object.
    fn onto(
        &self,
        write: &Write<'_>,
        live: &Value,
        validation: FieldValidation,
        warnings: &mut Vec<String>,
    ) -> Result<Value> {
        let resource = write.resource;
        let mut new = with_type(resource, live);
        let mut strict = Vec::new();
        let mut from = From::Json;
        match self {
            Self::Json(patch) => json::apply(&mut new, patch)?,
            Self::Strategic(patch) => {
                from = From::Map;
                let of = Type::Struct(resource.object());
                new = strategic::merge(of, Some(&new), patch).map_err(Status::unexpected)?;
            }
            Self::Merge(patch) | Self::Apply(patch) => json_patch::merge(&mut new, patch),
        }
        let refused = |why: &str| {
            let shown = match self {
                Self::Strategic(patch) => plain(patch),
                _ => new.to_string(),
            };
            let error = FieldError::invalid("patch", quoted(&shown), why);
            Status::invalid(Subject { group: "", resource: "" }, "", &[error])
        };
        let nothing = Map::new();
        let members = new.as_object().unwrap_or(&nothing);
        for field in ["apiVersion", "kind"] {
            let other = members.get(field).filter(|value| !value.is_string() && !value.is_null());
            let Some(other) = other else { continue };
            return Err(refused(&match from {
                From::Map => "unrecognized type: string".to_owned(),
                From::Json => format!(
                    "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field \
                     .{field} of type string",
                    kind_of(other)
                ),
            }));
        }
        let said = |field: &str, default: &'static str| -> String {
            members.get(field).and_then(Value::as_str).unwrap_or(default).to_owned()
        };
        if from == From::Json {
            let (kind, version) = (said("kind", resource.kind()), said("apiVersion", resource.version()));
            check_type(resource, &kind, &version).map_err(|why| refused(&why))?;
        }
        let decoded = decode(resource.object(), members, from).map_err(|why| refused(&why))?;
        strict.extend(decoded.strict);
        if validation == FieldValidation::Strict && !strict.is_empty() {
            return Err(refused(&format!("strict decoding error: {}", strict.join(", "))));
        }
        if validation == FieldValidation::Warn {
            warnings.append(&mut strict);
        }
        let mut new = decoded.value;
        resource.default(&mut new);
        Ok(new)
    }
}

/// Returns Go's message about JSON of another type.
fn mismatch(value: &Value, of: &str) -> String {
    format!("json: cannot unmarshal {} into Go value of type {of}", kind_of(value))
}

/// Server-side apply.
fn apply(
    write: &Write<'_>,
    live: Option<&Value>,
    config: &Value,
    options: &WriteOptions,
    now: &str,
    warnings: &mut Vec<String>,
) -> Result<Value> {
    let resource = write.resource;
    let (version, kind) = (text(config, "/apiVersion"), text(config, "/kind"));
    if (version, kind) != (resource.version(), resource.kind()) {
        let group_version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
        return Err(Status::bad_request(format!("invalid object type: {group_version}, Kind={kind}")));
    }
    if config.pointer("/metadata/managedFields").is_some_and(|entries| !entries.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let rules = resource.rules();
    let group_version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
    let (namespace, name) = (text(config, "/metadata/namespace"), text(config, "/metadata/name"));
    let (of, shown) = (format!("{group_version}, Kind={kind}"), format!("{namespace}/{name}"));
    let wrong = type_errors(rules.of, config);
    if !wrong.is_empty() {
        let wrong = match &wrong[..] {
            [one] => one.clone(),
            many => format!("errors:\n  {}", many.join("\n  ")),
        };
        return Err(Status::unexpected(format!("failed to create typed patch object ({shown}; {of}): {wrong}")));
    }
    let zero = rules.of.zero();
    let current = live.unwrap_or(&zero);
    let managed = Managed::of(current).ok_or_else(|| Status::unexpected("failed to decode managed fields"))?;
    let by = Applying { manager: &options.field_manager, force: options.force.unwrap_or_default(), now };
    let mut config = config.clone();
    if let Some(members) = config.as_object_mut() {
        members.remove("apiVersion");
        members.remove("kind");
    }
    let applied = rules.applied(current, &config, managed, by)?;
    let merged = applied.value.unwrap_or_else(|| current.clone());
    let members = merged.as_object().cloned().unwrap_or_default();
    // The type has been checked, but not the times.
    let decoded = decode(resource.object(), &members, From::Map).map_err(|why| {
        Status::unexpected(format!(
            "failed to convert new object ({shown}; {of}) to proper version: unable to convert unstructured object to \
             {of}: {why}"
        ))
    })?;
    warnings.extend(decoded.strict);
    let mut new = decoded.value;
    resource.default(&mut new);
    applied.managed.write(&mut new);
    Ok(new)
}
