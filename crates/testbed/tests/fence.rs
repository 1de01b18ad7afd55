//! On either API server, the fence around a ServiceAccount's writes is in force once [`ApiServer::fence`] returns.
//!
//! The test on the real one is ignored where its binaries are missing.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use still_leading_testbed::api_server::{Fence, user_name};
use still_leading_testbed::{ApiServer, Assets, ServerKind, manifests};

/// The policy with which the conformance suite compares the embedded server's rule.
const POLICY: &str = include_str!("../../lease-api/tests/conformance/fence.yaml");
const NAMESPACE: &str = "fenced";
const LABEL: &str = "still-leading.dev/guarded";
const EPOCH: &str = "still-leading.dev/epoch";
const ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: app}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: app}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [create, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: app}
subjects: [{kind: ServiceAccount, name: app}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: app}
";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = Assets::find().err();
    if let Some(reason) = missing.as_ref().filter(|_| !arguments.list) {
        eprintln!("note: the test on a real API server is ignored: {reason}");
    }
    let trial = |kind: ServerKind| {
        let run = move || try_on(kind).map_err(|error| Failed::from(format!("{error:#}")));
        let name = format!("{kind}::a_fence_is_in_force_at_once_and_binds_its_account_alone");
        Trial::test(name, run).with_ignored_flag(kind == ServerKind::Real && missing.is_some())
    };
    libtest_mimic::run(&arguments, ServerKind::ALL.map(trial).into()).exit_code()
}

#[tokio::main]
async fn try_on(kind: ServerKind) -> Result<()> {
    let server = ApiServer::start(kind).await?;
    server.install(&manifests::parse(ACCOUNT)?, NAMESPACE, "app").await?;
    let client = server.client_with_token(&server.token(NAMESPACE, "app").await?)?;
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let others: Api<ConfigMap> = Api::namespaced(server.client()?, NAMESPACE);
    let text = str::to_owned;
    let (policy, binding, user) = (text("fence-of-app"), text("fence-binding-of-app"), user_name(NAMESPACE, "app"));
    let fence = Fence { policy, binding, user, label: text(LABEL), annotation: text(EPOCH) };
    let rendered = POLICY
        .replace("{policy}", &fence.policy)
        .replace("{binding}", &fence.binding)
        .replace("{ns}", NAMESPACE)
        .replace("{user}", &fence.user);

    create(&maps, "before", json!({})).await.context("before there is a fence")?;
    let other_names = server.fence(&Fence { policy: text("other"), ..fence.clone() }, &rendered).await;
    ensure!(other_names.is_err(), "a manifest with other names was taken");
    server.fence(&fence, &rendered).await?;

    refused(create(&maps, "a", json!({})).await, "a leader must write its epoch")?;
    create(&maps, "a", json!({EPOCH: "7"})).await.context("with an epoch")?;
    refused(patch(&maps, json!({"annotations": {EPOCH: "6"}})).await, "fenced: epoch 6 is over, 7 has written since")?;
    refused(patch(&maps, json!({"labels": {LABEL: null}})).await, "a guarded object keeps its label")?;
    patch(&others, json!({"annotations": {EPOCH: "3"}})).await.context("another user, who is not bound")?;
    patch(&maps, json!({"annotations": {EPOCH: "4"}})).await.context("with a higher epoch than the stored one")
}

async fn create(maps: &Api<ConfigMap>, name: &str, annotations: Value) -> Result<()> {
    let metadata = json!({"name": name, "labels": {LABEL: "true"}, "annotations": annotations});
    let map = serde_json::from_value(json!({"metadata": metadata}))?;
    Ok(maps.create(&PostParams::default(), &map).await.map(drop)?)
}

async fn patch(maps: &Api<ConfigMap>, metadata: Value) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": metadata}));
    Ok(maps.patch("a", &PatchParams::default(), &patch).await.map(drop)?)
}

fn refused(written: Result<()>, why: &str) -> Result<()> {
    let error = written.err().with_context(|| format!("nothing was refused; expected: {why}"))?;
    let text = format!("{error:#}");
    ensure!(text.contains("ValidatingAdmissionPolicy 'fence-of-app' with binding") && text.contains(why), "{text}");
    Ok(())
}
