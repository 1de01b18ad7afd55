//! Requests to the real API server whose warnings count.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, WARNING};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::client::Body;
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Longer than anything here takes on a busy machine: a bug is to fail, not to hang.
pub const LONG: Duration = Duration::from_secs(90);

const OPERATOR: &str = "monitoring.coreos.com";

/// What came back for an object that was not really created.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub warnings: Vec<String>,
    pub message: String,
}

impl Answer {
    /// Accepted, and not a word more.
    pub fn is_clean(&self) -> bool {
        self.status == 201 && self.warnings.is_empty()
    }
}

/// Asks what would become of an object if it were created, down to its last field.
pub async fn try_to_create(client: &Client, object: &Value, namespace: &str) -> Result<Answer> {
    let text = |key: &str| object[key].as_str().with_context(|| format!("an object has no {key}"));
    let (group, version) = text("apiVersion")?.split_once('/').unwrap_or(("", text("apiVersion")?));
    let (resource, scope) = resource(client, group, version, text("kind")?).await?;
    let api: Api<DynamicObject> = match scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let url = format!("{}?dryRun=All&fieldValidation=Strict", api.resource_url());
    let body = Body::from(serde_json::to_vec(object)?);
    let request = Request::post(url).header(CONTENT_TYPE, "application/json").body(body)?;
    let (head, body) = client.send(request).await?.into_parts();
    let warnings = head.headers.get_all(WARNING).iter().map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let answer: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
    let message = answer["message"].as_str().unwrap_or_default().to_owned();
    Ok(Answer { status: head.status.as_u16(), warnings: warnings.collect(), message })
}

async fn resource(client: &Client, group: &str, version: &str, kind: &str) -> Result<(ApiResource, Scope)> {
    let kind = GroupVersionKind::gvk(group, version, kind);
    let found = pinned_kind(client, &kind).await;
    let (resource, capabilities) = found.with_context(|| format!("the API server has no kind {kind:?}"))?;
    Ok((resource, capabilities.scope))
}

/// The kinds of the Prometheus operator, with any fields: those are held against the operator's own definitions elsewhere.
pub async fn define_resources_of_the_operator(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (plural, kind) in [("podmonitors", "PodMonitor"), ("prometheusrules", "PrometheusRule")] {
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": any}});
        let definition = json!({
            "metadata": {
                "name": format!("{plural}.{OPERATOR}"),
                // The group belongs to Kubernetes, which wants to know who allowed that.
                "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
            },
            "spec": {
                "group": OPERATOR,
                "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": [version],
            },
        });
        definitions.create(&PostParams::default(), &serde_json::from_value(definition)?).await?;
        let deadline = Instant::now() + LONG;
        while resource(client, OPERATOR, "v1", kind).await.is_err() {
            ensure!(Instant::now() < deadline, "the API server does not serve {plural}");
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}
