//! The checklist of `docs/in-your-own-repository.md`: what its files render to is what its rows say.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use still_leading_repository_tests::follow::follow;
use still_leading_repository_tests::page;
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{ServerKind, workspace};

use crate::findings::Findings;
use crate::objects::Objects;
use crate::server::try_to_create;
use crate::world::World;

const NAME: &str = "my-controller";
const SECTIONS: [&str; 2] = ["The manifests", "A checklist"];

/// The objects that `kubectl apply -k deploy` would apply, once a reader has followed the page so far.
fn rendered(world: &World) -> Result<Objects> {
    let dir = TempDir::new("still-leading-checklist-")?;
    std::os::unix::fs::symlink(workspace(), dir.path().join("still-leading"))?;
    let mut at = dir.path().join(NAME);
    fs::create_dir_all(at.join("deploy"))?;
    for block in page::read("in-your-own-repository.md")?.iter().filter(|it| SECTIONS.contains(&it.section.as_str())) {
        follow(block, &mut at)?;
    }
    let yaml = world.kubectl()?.kustomize(&at.join("deploy"))?;
    ensure!(!yaml.contains("still-leading"), "our name is left in\n{yaml}");
    // Of some kinds there are two.
    Ok(Objects(serde_saphyr::from_multiple(&yaml).context("reading what was rendered")?))
}

/// Each row of the checklist has an effect.
pub fn does_what_its_rows_say(world: &World) -> Result<()> {
    let objects = rendered(world)?;
    let the = |kind: &str| objects.untyped(kind).with_context(|| format!("there is no {kind}"));
    let at = |kind: &str, path: &str| the(kind).map(|it| it.pointer(path).cloned().unwrap_or(Value::Null));
    let mut findings = Findings::default();
    let image = "registry.example.com/my-team/my-controller:1.0.0";
    let policy = "/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name";
    for (kind, path, wanted) in [
        ("Deployment", "/spec/template/spec/containers/0/image", json!(image)),
        ("ServiceAccount", "/imagePullSecrets", json!([{"name": "my-registry"}])),
        ("PodMonitor", "/metadata/labels/release", json!("kube-prometheus-stack")),
        ("PrometheusRule", "/metadata/labels/release", json!("kube-prometheus-stack")),
        (
            "PodMonitor",
            "/spec/podMetricsEndpoints/0/port",
            at("Deployment", "/spec/template/spec/containers/0/ports/0/name")?,
        ),
        ("NetworkPolicy", policy, json!("openshift-user-workload-monitoring")),
    ] {
        findings.equal(&format!("{path} of the {kind}"), at(kind, path)?, wanted);
    }
    let labels = at("Deployment", "/spec/template/metadata/labels")?;
    for (kind, path) in
        [("PodMonitor", "/spec/selector/matchLabels"), ("NetworkPolicy", "/spec/podSelector/matchLabels")]
    {
        let selector = at(kind, path)?;
        let finds = selector.as_object().is_some_and(|all| all.iter().all(|(name, value)| labels[name] == *value));
        findings.require(finds, format!("the {kind} selects {selector}, not the pods with {labels}"));
    }
    let egress = at("NetworkPolicy", "/spec/egress")?.to_string();
    findings.require(egress.contains("openshift-dns") && egress.contains("5353"), "OpenShift's DNS is not let out");
    // kubectl does not know of which namespace the others are.
    for object in objects.0.iter().filter(|object| object["kind"] != "Namespace") {
        let namespace = object["metadata"]["namespace"].as_str();
        findings.equal(&format!("the namespace of the {}", object["kind"]), namespace, Some(NAME));
    }
    findings.into_result()
}

/// The real API server takes each object, field by field.
pub async fn is_accepted(world: &World) -> Result<()> {
    let objects = rendered(world)?;
    let client = world.server(ServerKind::Real).await?.client()?;
    let namespace = objects.untyped("Namespace").context("there is no Namespace")?;
    let mut findings = Findings::default();
    let answer = try_to_create(&client, namespace, NAME).await?;
    findings.require(answer.is_clean(), format!("the Namespace: {answer:?}"));
    for object in &objects.0 {
        if object["kind"] == "Namespace" {
            continue;
        }
        // Where it is tried does not matter, and the namespace of the page is not there.
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!("default");
        let answer = try_to_create(&client, &object, "default").await?;
        findings.require(answer.is_clean(), format!("{}: {answer:?}", object["kind"]));
    }
    findings.into_result()
}
