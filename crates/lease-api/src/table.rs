//! Tables for `kubectl get`, whose columns come from the server.

use serde::Serialize;
use serde_json::{Value, json};

use crate::resource::Resource;
use crate::schema::text;
use crate::show::{ListMeta, partial, whole};
use crate::time::seconds_since;

/// How much of an object a row contains besides its cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Include {
    Metadata,
    /// The whole object, which `kubectl get --sort-by` asks for.
    Object,
}

impl Include {
    pub fn of(text: &str) -> Self {
        if text == "Object" { Self::Object } else { Self::Metadata }
    }
}

/// A table of objects of one resource.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    column_definitions: Option<Vec<Column>>,
    rows: Vec<Value>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    of: &'static str,
    format: &'static str,
    description: &'static str,
    /// Columns above 0 are shown by `-o wide` only.
    priority: u8,
}

const NAME: Column = Column {
    name: "Name",
    of: "string",
    format: "name",
    description: "Name must be unique within a namespace. Is required when creating resources, although some resources \
                  may allow a client to request the generation of an appropriate name automatically. Name is primarily \
                  intended for creation idempotence and configuration definition. Cannot be updated. More info: \
                  https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    priority: 0,
};

const AGE: Column = Column {
    name: "Age",
    of: "string",
    format: "",
    description: "CreationTimestamp is a timestamp representing the server time when this object was created. It is not \
                  guaranteed to be set in happens-before order across separate operations. Clients may not set this \
                  value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null \
                  for lists. More info: \
                  https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
    priority: 0,
};

const fn column(name: &'static str, description: &'static str) -> Column {
    Column { name, of: "string", format: "", description, priority: 0 }
}

const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, of: "string", format: "", description, priority: 1 }
}

const HOLDER: &str = "holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader \
                      Election is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name \
                      field.";
const DATA: &str = "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or \
                    '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data \
                    must not overlap with the keys in the BinaryData field, this is enforced during validation process.";
const LAST_SEEN: &str = "The time at which the most recent occurrence of this event was recorded.";
const TYPE: &str = "Type of this event (Normal, Warning), new types could be added in the future";
const REASON: &str = "This should be a short, machine understandable string that gives the reason for the transition \
                      into the object's current status.";
const SUBOBJECT: &str = "If referring to a piece of an object instead of an entire object, this string should contain a \
                         valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For \
                         example, if the object reference is to a container within a pod, this would take on a value \
                         like: \"spec.containers{name}\" (where \"name\" refers to the name of the container that \
                         triggered the event) or if no container name is specified \"spec.containers[2]\" (container \
                         with index 2 in this pod). This syntax is chosen only to have some well-defined way of \
                         referencing a part of an object.";
const SOURCE: &str = "The component reporting this event. Should be a short machine understandable string.";

fn columns(resource: Resource) -> Vec<Column> {
    match resource {
        Resource::Leases => vec![NAME, column("Holder", HOLDER), AGE],
        Resource::ConfigMaps => vec![NAME, column("Data", DATA), AGE],
        Resource::Namespaces => vec![NAME, column("Status", "The status of the namespace"), AGE],
        Resource::Events | Resource::K8sEvents => vec![
            column("Last Seen", LAST_SEEN),
            column("Type", TYPE),
            column("Reason", REASON),
            column("Object", "The object that this event is about."),
            wide("Subobject", SUBOBJECT),
            wide("Source", SOURCE),
            column("Message", "A human-readable description of the status of this operation."),
            wide(
                "First Seen",
                "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
            ),
            wide("Count", "The number of times this event has occurred."),
            Column { priority: 1, ..NAME },
        ],
    }
}

impl Table {
    /// Makes a table with one row per object.
    pub fn of<'v>(
        resource: Resource,
        include: Include,
        metadata: ListMeta,
        objects: impl IntoIterator<Item = &'v Value>,
    ) -> Self {
        let rows = objects.into_iter().map(|object| {
            let shown = match include {
                Include::Object => json!(whole(resource, object)),
                Include::Metadata => json!(partial(object)),
            };
            json!({"cells": cells(resource, object), "object": shown})
        });
        let rows = rows.collect();
        Self {
            kind: "Table",
            api_version: "meta.k8s.io/v1",
            metadata,
            column_definitions: Some(columns(resource)),
            rows,
        }
    }

    /// Removes the columns: a watch sends them once.
    pub fn without_columns(self) -> Self {
        Self { column_definitions: None, ..self }
    }
}

fn cells(resource: Resource, object: &Value) -> Vec<Value> {
    let text = |pointer: &str| text(object, pointer);
    let age = |pointer: &str| match seconds_since(text(pointer)) {
        Some(seconds) => human(seconds),
        None => "<unknown>".to_owned(),
    };
    let (name, created) = (text("/metadata/name"), || age("/metadata/creationTimestamp"));
    match resource {
        Resource::Leases => vec![json!(name), json!(text("/spec/holderIdentity")), json!(created())],
        Resource::Namespaces => vec![json!(name), json!(text("/status/phase")), json!(created())],
        Resource::ConfigMaps => {
            let count = |name: &str| object.get(name).and_then(Value::as_object).map_or(0, serde_json::Map::len);
            vec![json!(name), json!(count("data") + count("binaryData")), json!(created())]
        }
        Resource::Events | Resource::K8sEvents => event(object),
    }
}

fn event(object: &Value) -> Vec<Value> {
    let text = |pointer: &str| text(object, pointer);
    let age = |pointers: &[&str]| {
        let seconds = pointers.iter().find_map(|pointer| seconds_since(text(pointer)));
        seconds.map_or_else(|| "<unknown>".to_owned(), human)
    };
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let series = object.get("series").is_some();
    let last =
        if series { &["/series/lastObservedTime"][..] } else { &["/lastTimestamp", "/firstTimestamp", "/eventTime"] };
    let count = if series { number("/series/count").unwrap_or(0) } else { number("/count").unwrap_or(1) };
    let (kind, name) = (text("/involvedObject/kind").to_lowercase(), text("/involvedObject/name"));
    let about = if name.is_empty() { kind } else { format!("{kind}/{name}") };
    let first_of = |a: &str, b: &str| if text(a).is_empty() { text(b).to_owned() } else { text(a).to_owned() };
    let component = first_of("/source/component", "/reportingComponent");
    let host = first_of("/source/host", "/reportingInstance");
    let source = if host.is_empty() { component } else { format!("{component}, {host}") };
    vec![
        json!(age(last)),
        json!(text("/type")),
        json!(text("/reason")),
        json!(about),
        json!(text("/involvedObject/fieldPath")),
        json!(source),
        json!(text("/message").trim()),
        json!(age(&["/firstTimestamp", "/eventTime"])),
        json!(count),
        json!(text("/metadata/name")),
    ]
}

/// Formats a duration with two or three significant digits, as Kubernetes shows ages.
fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let pair = |a: i64, unit: &str, b: i64, small: &str| match b {
        0 => format!("{a}{unit}"),
        _ => format!("{a}{unit}{b}{small}"),
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => pair(hours / 24, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => pair(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        () => format!("{}y", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_shown_as_kubernetes_does() {
        for (seconds, shown) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (600, "10m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (86_400, "24h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (864_000, "10d"),
            (63_072_000, "2y"),
        ] {
            assert_eq!(human(seconds), shown);
        }
    }

    #[test]
    fn a_lease_shows_its_holder() {
        let lease = json!({"metadata": {"name": "a", "creationTimestamp": crate::time::now()}, "spec": {"holderIdentity": "me"}});
        let table = Table::of(Resource::Leases, Include::Metadata, ListMeta::default(), [&lease]);
        let table = json!(table);
        assert_eq!(table["columnDefinitions"][1]["name"], "Holder");
        assert_eq!(table["rows"][0]["cells"], json!(["a", "me", "0s"]));
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    }
}
