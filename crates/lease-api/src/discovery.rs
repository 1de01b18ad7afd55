//! Discovery: what the server serves, for clients and `kubectl`.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::resource::Resource;
use crate::status::Status;

/// The groups other than the core group, in the order of kube-apiserver.
const GROUPS: [&str; 2] = ["events.k8s.io", "coordination.k8s.io"];

/// Whether a group is served.
pub fn serves(group: &str) -> bool {
    group.is_empty() || GROUPS.contains(&group)
}

/// Whether kube-apiserver answers at that path for any method.
pub fn any_method(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz" | "/apis")
}

/// Answers a request that is not about a resource. `host` is the server's address in the request.
pub fn answer(path: &str, host: &str) -> Response {
    let ok = |value: Value| answer::json(StatusCode::OK, &value);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts[..] {
        ["healthz" | "livez" | "readyz"] if !path.ends_with('/') => answer::text(StatusCode::OK, "ok"),
        ["version"] => ok(version()),
        ["api"] => ok(json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]})),
        ["apis"] => ok(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": GROUPS.map(described)})),
        ["apis", group] if GROUPS.contains(&group) => {
            let mut group = described(group);
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            ok(group)
        }
        ["api", "v1"] => ok(resources("")),
        ["apis", group, "v1"] if GROUPS.contains(&group) => ok(resources(group)),
        ["openapi", "v3"] => ok(openapi_index()),
        ["openapi", "v3", "api", "v1"] => ok(openapi("")),
        ["openapi", "v3", "apis", group, "v1"] if GROUPS.contains(&group) => ok(openapi(group)),
        [""] => ok(
            json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}),
        ),
        ["api", ..] => answer::status(&Status::no_such_resource()),
        ["apis", group, ..] if GROUPS.contains(&group) => answer::status(&Status::no_such_resource()),
        _ => answer::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

/// The version of the server from which the answers were taken. The part after the plus shows that this is another server.
fn version() -> Value {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({"major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36", "gitVersion": "v1.37.1+lease-api", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{arch}", std::env::consts::OS)})
}

fn described(group: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str) -> Value {
    let served = Resource::ALL.into_iter().filter(|resource| resource.group() == group);
    let resources: Vec<Value> = served
        .map(|resource| {
            let mut shown = json!({"name": resource.plural(), "singularName": resource.singular(),
                "namespaced": resource.namespaced(), "kind": resource.kind(), "verbs": Resource::VERBS,
                "storageVersionHash": resource.storage_version_hash()});
            if !resource.short_names().is_empty() {
                shown["shortNames"] = json!(resource.short_names());
            }
            shown
        })
        .collect();
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list
}

fn openapi_index() -> Value {
    let paths = std::iter::once("").chain(GROUPS).map(|group| {
        let path = if group.is_empty() { "api/v1".to_owned() } else { format!("apis/{group}/v1") };
        let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash=1")});
        (path, url)
    });
    json!({"paths": Value::Object(paths.collect())})
}

/// Returns only what `kubectl` looks for before it writes: that the server validates fields, so that `kubectl` need not.
fn openapi(group: &str) -> Value {
    let served = Resource::ALL.into_iter().filter(|resource| resource.group() == group);
    let paths = served.map(|resource| {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let namespace = if resource.namespaced() { "/namespaces/{namespace}" } else { "" };
        let kind = json!({"group": group, "version": "v1", "kind": resource.kind()});
        let parameter = json!({"name": "fieldValidation", "in": "query", "schema": {"type": "string"}});
        let patch = json!({"parameters": [parameter], "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": kind});
        (format!("{root}{namespace}/{}/{{name}}", resource.plural()), json!({ "patch": patch }))
    });
    json!({"openapi": "3.0.0", "info": {"title": "lease-api", "version": "v1.37.1+lease-api"},
        "paths": Value::Object(paths.collect()), "components": {"schemas": {}}})
}
