//! One random request. The answers before it decide which versions are current or stale.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::seen::Seen;
use crate::scenario::{Body, Request};

#[derive(Clone, Debug)]
pub struct Turn {
    lease: &'static str,
    manager: &'static str,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Create(Value),
    Update(Version, Value),
    Merge(Version, Value),
    Strategic(Version, Value),
    Json(Value),
    Apply { force: bool, version: Version, spec: Value },
    Delete { uid: Version, version: Version },
    Get,
}

/// The version, or uid, that a request requires.
#[derive(Clone, Copy, Debug)]
enum Version {
    None,
    Current,
    Stale,
}

impl Version {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![3 => Just(Self::None), 3 => Just(Self::Current), 1 => Just(Self::Stale)]
    }

    fn of<'a>(self, seen: &'a Seen, lease: &str) -> Option<&'a (String, String)> {
        match self {
            Self::None => None,
            Self::Current => seen.of(lease).next(),
            Self::Stale => seen.of(lease).nth(1),
        }
    }
}

pub fn turn() -> impl Strategy<Value = Turn> {
    let kind = prop_oneof![
        2 => object(false).prop_map(Kind::Create),
        4 => (Version::any(), object(false)).prop_map(|(version, it)| Kind::Update(version, it)),
        3 => (Version::any(), object(true)).prop_map(|(version, it)| Kind::Merge(version, it)),
        3 => (Version::any(), object(true)).prop_map(|(version, it)| Kind::Strategic(version, it)),
        2 => json_patch().prop_map(Kind::Json),
        5 => (proptest::bool::ANY, Version::any(), object(false))
            .prop_map(|(force, version, spec)| Kind::Apply { force, version, spec }),
        1 => (Version::any(), Version::any()).prop_map(|(uid, version)| Kind::Delete { uid, version }),
        1 => Just(Kind::Get),
    ];
    let names = (select(vec!["a", "a", "b"]), select(vec!["m1", "m2", "m3"]));
    (names, kind).prop_map(|((lease, manager), kind)| Turn { lease, manager, kind })
}

/// Makes fields of a Lease, a few of them wrong. In a patch some may be null.
fn object(is_patch: bool) -> BoxedStrategy<Value> {
    let field = move |name: &'static str, good: Value, bad: Value| {
        let Value::Array(good) = good else { unreachable!("{name}: an array is written below") };
        let Value::Array(bad) = bad else { unreachable!("{name}: an array is written below") };
        let null = u32::from(is_patch);
        let value = prop_oneof![
            60 => Just(None),
            60 => select(good).prop_map(Some),
            15 * null => Just(Some(Value::Null)),
            1 => select(bad).prop_map(Some),
        ];
        // Boxed: as one type, the whole would not fit the stack of a test's thread.
        value.prop_map(move |value| value.map(|value| (name.to_owned(), value))).boxed()
    };
    let renewals = json!(["2024-01-01T00:00:00.000000Z", "2024-01-01T00:00:01.5Z", "2024-01-01T02:00:02.000001+02:00"]);
    let spec = (
        field("holderIdentity", json!(["", "x", "y", "z"]), json!([1])),
        field("leaseDurationSeconds", json!([15, 30]), json!([0, "15"])),
        field("leaseTransitions", json!([0, 1, 2]), json!([-1, 1.5])),
        field(
            "acquireTime",
            json!(["2023-01-01T00:00:00.000000Z", "2023-01-01T00:00:00.123456Z"]),
            json!(["yesterday"]),
        ),
        field("renewTime", json!([renewals[0], renewals[2]]), json!([renewals[1]])),
    );
    let metadata = (
        field("labels", json!([{"l": "1"}, {"l": "2"}, {"l": "1", "k": "1"}]), json!([{"l": "not one!"}])),
        field("annotations", json!([{"a": "1"}, {"a": "2"}]), json!([{"a": 1}])),
    );
    let object = (spec, metadata).prop_map(|((a, b, c, d, e), (f, g))| {
        let spec: Map<String, Value> = [a, b, c, d, e].into_iter().flatten().collect();
        let metadata: Map<String, Value> = [f, g].into_iter().flatten().collect();
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    });
    object.boxed()
}

fn json_patch() -> impl Strategy<Value = Value> {
    let fields = vec![("holderIdentity", json!("x")), ("holderIdentity", json!("y")), ("leaseTransitions", json!(1))];
    let change = (select(vec!["test", "add", "replace", "remove"]), select(fields)).prop_map(|(op, (field, value))| {
        let mut change = json!({"op": op, "path": format!("/spec/{field}")});
        if op != "remove" {
            change["value"] = value;
        }
        change
    });
    proptest::collection::vec(change, 1..=3).prop_map(Value::Array)
}

impl Turn {
    pub fn request(&self, seen: &Seen) -> Request {
        let (lease, manager) = (self.lease, self.manager);
        let named = |object: &Value, version: Version| {
            let mut object = object.clone();
            object["metadata"]["name"] = lease.into();
            if let Some((version, _)) = version.of(seen, lease) {
                object["metadata"]["resourceVersion"] = version.as_str().into();
            }
            object
        };
        let path = format!("leases/{lease}?fieldManager={manager}");
        match &self.kind {
            Kind::Get => request("GET", format!("leases/{lease}"), "json", None),
            Kind::Create(it) => {
                request("POST", format!("leases?fieldManager={manager}"), "json", Some(named(it, Version::None)))
            }
            Kind::Update(version, it) => request("PUT", path, "json", Some(named(it, *version))),
            Kind::Merge(version, it) => request("PATCH", path, "merge-patch+json", Some(named(it, *version))),
            Kind::Strategic(version, it) => {
                request("PATCH", path, "strategic-merge-patch+json", Some(named(it, *version)))
            }
            Kind::Json(it) => request("PATCH", path, "json-patch+json", Some(it.clone())),
            Kind::Apply { force, version, spec } => {
                let path = format!("{path}{}", if *force { "&force=true" } else { "" });
                request("PATCH", path, "apply-patch+yaml", Some(named(spec, *version)))
            }
            Kind::Delete { uid, version } => {
                let mut preconditions = Map::new();
                if let Some((_, uid)) = uid.of(seen, lease) {
                    preconditions.insert("uid".to_owned(), uid.as_str().into());
                }
                if let Some((version, _)) = version.of(seen, lease) {
                    preconditions.insert("resourceVersion".to_owned(), version.as_str().into());
                }
                let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
                request("DELETE", format!("leases/{lease}"), "json", Some(options))
            }
        }
    }
}

/// Lists what is left at the end.
pub fn list() -> Request {
    request("GET", "leases".to_owned(), "json", None)
}

pub fn describe(request: &Request) -> String {
    let body = match &request.body {
        Some(Body::Json { value, .. }) => value.to_string(),
        _ => String::new(),
    };
    let kind = request.headers.get("Content-Type").map_or("", String::as_str);
    format!("  {} {} {kind} {body}", request.method, request.path)
}

fn request(method: &str, path: String, content_type: &str, body: Option<Value>) -> Request {
    let headers = BTreeMap::from([("Content-Type".to_owned(), format!("application/{content_type}"))]);
    let body = body.map(|value| Body::Json { value, change: None });
    let (method, user) = (method.to_owned(), "admin".to_owned());
    Request { method, path, user, headers, body, save: None, watch: None, only: None }
}
