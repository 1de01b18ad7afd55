//! The policy of deploy/components/fencing, for the namespace of one fleet.

use std::fs;

use anyhow::{Context, Result};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use still_leading_testbed::{manifests, workspace};

/// Makes the policy and its binding, called after both names. The replicas prove by `--require-fencing` that it is in force.
pub(super) async fn install(client: &Client, account: &str, namespace: &str) -> Result<()> {
    // As the component's kustomization does it.
    let name = format!("{account}.{namespace}");
    let adapt = |text: String| {
        let text =
            text.replace("still-leading.still-leading", &name).replace("'still-leading'", &format!("'{account}'"));
        let of_namespace = "kubernetes.io/metadata.name: still-leading";
        text.replace(of_namespace, &format!("kubernetes.io/metadata.name: {namespace}"))
    };
    let policy: ValidatingAdmissionPolicy = read("policy.yaml", adapt)?;
    let binding: ValidatingAdmissionPolicyBinding = read("binding.yaml", adapt)?;
    let params = PostParams::default();
    Api::all(client.clone()).create(&params, &policy).await.with_context(|| format!("policy {}", policy.name_any()))?;
    Api::all(client.clone())
        .create(&params, &binding)
        .await
        .with_context(|| format!("binding {}", binding.name_any()))?;
    Ok(())
}

/// Takes both away, so that the API server does not check later trials by all earlier policies.
pub(super) async fn remove(client: &Client, account: &str, namespace: &str) {
    let (name, params) = (format!("{account}.{namespace}"), DeleteParams::default());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    bindings.delete(&name, &params).await.ok();
    policies.delete(&name, &params).await.ok();
}

fn read<T: DeserializeOwned>(file: &str, adapt: impl Fn(String) -> String) -> Result<T> {
    let path = workspace().join("deploy/components/fencing").join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let object = manifests::parse(&adapt(text))?.pop().with_context(|| format!("{file} is empty"))?;
    serde_json::from_value(serde_json::to_value(object)?).with_context(|| format!("{file} is not of its kind"))
}
