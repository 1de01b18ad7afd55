//! The policy of deploy/components/fencing, around the writes of the fleet's ServiceAccount.

use std::fs;

use anyhow::{Context, Result};
use still_leading_testbed::api_server::{Fence, user_name};
use still_leading_testbed::{ApiServer, workspace};

const LABEL: &str = "still-leading.dev/guarded";
const EPOCH: &str = "still-leading.dev/epoch";

/// Puts the policy in force for `account` in `namespace`.
///
/// # Errors
/// When its files are missing, or it is not in force in time.
pub async fn put_up(server: &ApiServer, namespace: &str, account: &str) -> Result<()> {
    let component = workspace().join("deploy/components/fencing");
    let read = |file: &str| {
        let path = component.join(file);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let policy = rendered(&read("policy.yaml")?, &read("binding.yaml")?, namespace, account);
    let name = format!("{account}.{namespace}");
    let (label, annotation) = (LABEL.to_owned(), EPOCH.to_owned());
    let fence = Fence { policy: name.clone(), binding: name, user: user_name(namespace, account), label, annotation };
    server.fence(&fence, &policy).await
}

/// Names both objects after the account and its namespace, and has them bind it there: what `names` of the component does
/// with kustomize.
fn rendered(policy: &str, binding: &str, namespace: &str, account: &str) -> String {
    format!("{policy}---\n{binding}")
        .replace("still-leading.still-leading", &format!("{account}.{namespace}"))
        .replace("'still-leading'", &format!("'{account}'"))
        .replace("metadata.name: still-leading\n", &format!("metadata.name: {namespace}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_policy_is_given_the_names_of_the_account_and_its_namespace() {
        let read = |file| fs::read_to_string(workspace().join("deploy/components/fencing").join(file)).unwrap();
        let rendered = rendered(&read("policy.yaml"), &read("binding.yaml"), "ns", "app");
        for part in [
            "  name: app.ns\n",
            "  policyName: app.ns\n",
            "request.namespace + ':' + 'app'\n",
            "      kubernetes.io/metadata.name: ns\n",
            LABEL,
            EPOCH,
        ] {
            // The last label of a file has no line after it.
            assert!(format!("{rendered}\n").contains(part), "{part:?} is missing in\n{rendered}");
        }
        assert!(!rendered.replace(LABEL, "").replace(EPOCH, "").contains("still-leading"), "{rendered}");
    }
}
