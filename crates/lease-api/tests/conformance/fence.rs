//! The fence of a scenario: on the real server the policy and binding of `fence.yaml`, on the embedded one its own rule.

use anyhow::{Context, Result};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};

use crate::fixture::Fixture;

pub const LABEL: &str = "still-leading.dev/guarded";
pub const ANNOTATION: &str = "still-leading.dev/epoch";

pub fn policy(fixture: &Fixture) -> String {
    format!("{}.fence", fixture.namespace)
}

pub fn binding(fixture: &Fixture) -> String {
    format!("{}.binding", fixture.namespace)
}

pub fn manifests(
    fixture: &Fixture,
    user: &str,
) -> Result<(ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding)> {
    let filled = include_str!("fence.yaml")
        .replace("{policy}", &policy(fixture))
        .replace("{binding}", &binding(fixture))
        .replace("{ns}", &fixture.namespace)
        .replace("{user}", user);
    let (policy, binding) = filled.split_once("---\n").context("fence.yaml is two documents")?;
    Ok((serde_saphyr::from_str(policy)?, serde_saphyr::from_str(binding)?))
}
