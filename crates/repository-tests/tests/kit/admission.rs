//! The namespace of an overlay admits its pods, and none that may do more.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use still_leading_testbed::{ServerKind, manifests};

use crate::findings::Findings;
use crate::lists::PREFIX;
use crate::objects::Objects;
use crate::overlay::Overlay;
use crate::server::try_to_create;
use crate::world::World;

/// Changes to a pod of which `restricted` forbids each.
const FORBIDDEN: &str = r#"[
    {"op": "add", "path": "/spec/securityContext/runAsUser", "value": 0},
    {"op": "remove", "path": "/spec/securityContext/runAsNonRoot"},
    {"op": "remove", "path": "/spec/securityContext/seccompProfile"},
    {"op": "add", "path": "/spec/hostNetwork", "value": true},
    {"op": "add", "path": "/spec/volumes", "value": [{"name": "x", "hostPath": {"path": "/"}}]},
    {"op": "remove", "path": "/spec/containers/0/securityContext/allowPrivilegeEscalation"},
    {"op": "remove", "path": "/spec/containers/0/securityContext/capabilities/drop"}
]"#;

pub async fn lets_its_pods_in_and_none_that_may_do_more(world: &World, overlay: Overlay) -> Result<()> {
    let objects = Objects::shipped(overlay)?;
    let client = world.server(ServerKind::Real).await?.client()?;
    let labels = objects.untyped("Namespace").map(|it| it["metadata"]["labels"].clone()).unwrap_or_default();
    let labels: BTreeMap<String, String> = serde_json::from_value(labels)?;
    let namespace = format!("{PREFIX}{overlay}-admission");
    manifests::create_namespace(&client, &namespace, labels).await?;
    let template = serde_json::to_value(objects.workload()?.template)?;
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["name"] = Value::from("pod");

    let mut findings = Findings::default();
    let answer = try_to_create(&client, &pod, &namespace).await?;
    findings.require(answer.is_clean(), format!("a pod is not let in: {answer:?}"));
    for change in serde_json::from_str::<Vec<Value>>(FORBIDDEN)? {
        let mut changed = pod.clone();
        let operation: json_patch::Patch = serde_json::from_value(json!([change]))?;
        json_patch::patch(&mut changed, &operation).with_context(|| format!("changing a pod by {change}"))?;
        let answer = try_to_create(&client, &changed, &namespace).await?;
        let is_refused = answer.status == 403 && answer.message.contains("violates PodSecurity \"restricted");
        findings.require(is_refused, format!("a pod with {change} is not refused: {answer:?}"));
    }
    findings.into_result()
}
