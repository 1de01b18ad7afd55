//! The policy of `deploy/components/fencing` for one account, with the names of the component's kustomization.

use std::fs;

use anyhow::{Context, Result};

use crate::api_server::{Fence, user_name};
use crate::assets::workspace;

/// The label on copies of the example `controller`. The policy applies to objects that have it.
const GUARDED: &str = "still-leading.dev/guarded";
/// The annotation in which the example writes its epoch.
const EPOCH: &str = "still-leading.dev/epoch";

/// Returns the fence around `account` in `namespace`, and its manifest, for [`ApiServer::fence`](crate::ApiServer::fence).
///
/// # Errors
/// The component is not where it should be.
pub fn component(account: &str, namespace: &str) -> Result<(Fence, String)> {
    let name = format!("{account}.{namespace}");
    let read = |file: &str| {
        let path = workspace().join("deploy/components/fencing").join(file);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let of_namespace = "kubernetes.io/metadata.name: ";
    let manifest = [read("policy.yaml")?, read("binding.yaml")?].join("---\n");
    let manifest = manifest
        .replace("still-leading.still-leading", &name)
        .replace("'still-leading'", &format!("'{account}'"))
        .replace(&format!("{of_namespace}still-leading"), &format!("{of_namespace}{namespace}"));
    let [policy, label, annotation] = [&name, GUARDED, EPOCH].map(str::to_owned);
    Ok((Fence { policy, binding: name, user: user_name(namespace, account), label, annotation }, manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_policy_is_given_the_names_of_the_account_and_its_namespace() {
        let (fence, manifest) = component("app", "ns").unwrap();
        assert_eq!((fence.policy.as_str(), fence.user.as_str()), ("app.ns", "system:serviceaccount:ns:app"));
        for part in [
            "  name: app.ns\n",
            "  policyName: app.ns\n",
            "request.namespace + ':' + 'app'\n",
            "      kubernetes.io/metadata.name: ns\n",
            GUARDED,
            EPOCH,
        ] {
            assert!(manifest.contains(part), "{part:?} is missing in\n{manifest}");
        }
        assert!(!manifest.replace(GUARDED, "").replace(EPOCH, "").contains("still-leading"), "{manifest}");
    }
}
