//! Waits on the real API server until manifests are in effect.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use tokio::time::{Instant, sleep};

use crate::control_plane::ControlPlane;
use crate::manifests;

/// The API server sees a new Role through its own watch, within milliseconds.
const EFFECTIVE_BOUND: Duration = Duration::from_secs(10);
const EFFECTIVE_PERIOD: Duration = Duration::from_millis(20);

pub(super) async fn install(
    server: &ControlPlane,
    objects: &[DynamicObject],
    namespace: &str,
    account: &str,
) -> Result<()> {
    let client = server.client()?;
    manifests::apply(&client, objects, namespace).await?;
    let token = service_account_token(&client, namespace, account).await?;
    match first_permission(objects, namespace) {
        Some(permission) => wait_until_allowed(&server.client_with_token(&token)?, permission).await,
        None => Ok(()),
    }
}

/// Returns a new token of a ServiceAccount, valid for an hour.
///
/// # Errors
/// Fails when there is no such ServiceAccount.
pub async fn service_account_token(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    // Without an audience it is the API server's own.
    let spec = Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() });
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let granted = accounts.create_token_request(name, &PostParams::default(), &request).await;
    let granted = granted.with_context(|| format!("minting a token for ServiceAccount {name}"))?;
    granted.status.and_then(|status| status.token).context("a granted token request has no token")
}

/// Returns the first thing that a Role allows. One is enough, since a Role takes effect as a whole.
fn first_permission(objects: &[DynamicObject], namespace: &str) -> Option<ResourceAttributes> {
    let role = objects.iter().find(|object| manifests::kind(object) == "Role")?;
    let rule = role.data["rules"].as_array()?.first()?;
    let first = |key: &str| rule[key][0].as_str().map(str::to_owned);
    Some(ResourceAttributes {
        group: first("apiGroups"),
        resource: Some(first("resources")?),
        name: first("resourceNames"),
        verb: Some(first("verbs")?),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    })
}

/// Waits until the API server grants `permission` to `client`. It sees a new Role a moment after its creation.
///
/// # Errors
/// Fails when it does not within ten seconds.
pub async fn wait_until_allowed(client: &Client, permission: ResourceAttributes) -> Result<()> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(permission), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let deadline = Instant::now() + EFFECTIVE_BOUND;
    loop {
        let answer = reviews.create(&PostParams::default(), &review).await;
        if answer.as_ref().is_ok_and(|it| it.status.as_ref().is_some_and(|status| status.allowed)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            answer.context("asking whether the Role is in effect")?;
            bail!("the Role is not in effect after {EFFECTIVE_BOUND:?}: is it bound to the ServiceAccount?");
        }
        sleep(EFFECTIVE_PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_permission_is_the_first_of_every_list() {
        let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: x}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [mine]
    verbs: [get, update]
";
        let permission = first_permission(&manifests::parse(role).unwrap(), "ns").unwrap();
        assert_eq!(permission.group.as_deref(), Some("coordination.k8s.io"));
        assert_eq!(permission.resource.as_deref(), Some("leases"));
        assert_eq!(permission.name.as_deref(), Some("mine"));
        assert_eq!(permission.verb.as_deref(), Some("get"));
        assert_eq!(permission.namespace.as_deref(), Some("ns"));
    }

    #[test]
    fn without_a_rule_there_is_nothing_to_wait_for() {
        let role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: x}, rules: []}";
        assert_eq!(first_permission(&manifests::parse(role).unwrap(), "ns"), None);
        assert_eq!(first_permission(&[], "ns"), None);
    }
}
