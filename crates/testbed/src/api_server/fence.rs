//! A fence around the writes of a ServiceAccount. The real server has it as a policy, and the embedded one has the rule built in.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, ObjectMeta};
use kube::discovery::pinned_kind;
use kube::{Client, ResourceExt};
use still_leading_lease_api::Fence;
use tokio::time::{Instant, sleep};

use crate::manifests::{self, kind};

/// On the real server it took up to two seconds.
const FORCE_BOUND: Duration = Duration::from_secs(60);
const FORCE_PERIOD: Duration = Duration::from_millis(50);
const FIELD_MANAGER: &str = "still-leading-testbed";

/// Reads the policy and the binding of a manifest.
///
/// # Errors
/// Fails when the manifest has other objects, or other names than `fence`: the messages of the embedded server would differ.
pub(super) fn read(policy: &str, fence: &Fence) -> Result<Vec<DynamicObject>> {
    let objects = manifests::parse(policy)?;
    let mut found: Vec<_> = objects.iter().map(|object| (kind(object), object.name_any())).collect();
    found.sort();
    let expected = [
        ("ValidatingAdmissionPolicy", fence.policy.clone()),
        ("ValidatingAdmissionPolicyBinding", fence.binding.clone()),
    ];
    ensure!(found == expected, "the manifest has {found:?}, the fence {expected:?}");
    Ok(objects)
}

/// Returns namespace and name of the fenced ServiceAccount.
pub(super) fn account(fence: &Fence) -> Result<(&str, &str)> {
    let account = fence.user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    account.with_context(|| format!("{} is not a ServiceAccount", fence.user))
}

pub(super) async fn apply(client: &Client, objects: &[DynamicObject]) -> Result<()> {
    for object in objects {
        let (kind, name) = (kind(object), object.name_any());
        let types = object.types.as_ref().with_context(|| format!("{name} has no kind"))?;
        let (resource, _) = pinned_kind(client, &GroupVersionKind::try_from(types)?).await?;
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let applied = api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(object)).await;
        applied.with_context(|| format!("applying {kind} {name}"))?;
    }
    Ok(())
}

/// Waits until `client` may not create a guarded ConfigMap without an epoch. It tries with dry runs.
pub(super) async fn wait_until_in_force(client: &Client, namespace: &str, fence: &Fence) -> Result<()> {
    let metadata = ObjectMeta {
        name: Some("fence-probe".to_owned()),
        labels: Some([(fence.label.clone(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    };
    let probe = ConfigMap { metadata, ..ConfigMap::default() };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let deadline = Instant::now() + FORCE_BOUND;
    loop {
        match maps.create(&dry_run, &probe).await {
            Err(kube::Error::Api(status)) if status.message.contains(&format!("'{}'", fence.policy)) => return Ok(()),
            Ok(_) if Instant::now() < deadline => sleep(FORCE_PERIOD).await,
            Ok(_) => bail!("{} is not in force after {FORCE_BOUND:?}: is {} its user?", fence.policy, fence.user),
            Err(error) => return Err(error).context("trying a write that the fence refuses"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
";

    fn fence(policy: &str, user: &str) -> Fence {
        let text = |text: &str| text.to_owned();
        let (label, annotation) = (text("guarded"), text("epoch"));
        Fence { policy: text(policy), binding: text("b"), user: text(user), label, annotation }
    }

    #[test]
    fn a_manifest_has_the_names_of_the_fence_and_nothing_else() {
        assert_eq!(read(POLICY, &fence("p", "")).unwrap().len(), 2);
        let error = read(POLICY, &fence("other", "")).unwrap_err().to_string();
        assert!(error.contains("other"), "{error}");
        let more = format!("{POLICY}---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: n}}}}\n");
        assert!(read(&more, &fence("p", "")).is_err());
        assert!(read("", &fence("p", "")).is_err());
    }

    #[test]
    fn only_a_service_account_is_fenced() {
        assert_eq!(account(&fence("p", "system:serviceaccount:ns:app")).unwrap(), ("ns", "app"));
        assert!(account(&fence("p", "somebody")).is_err());
    }
}
