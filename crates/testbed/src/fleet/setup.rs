//! What a fleet needs on the API server, and what its replicas need to get there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::FleetOptions;
use crate::control_plane::{ControlPlane, random_hex};
use crate::guard::write_private;
use crate::manifests;

/// The API server learns of a new Role through a watch of its own, within milliseconds.
const EFFECTIVE_BOUND: Duration = Duration::from_secs(10);
const EFFECTIVE_PERIOD: Duration = Duration::from_millis(20);

pub(super) struct Setup {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// Of the Lease, the ServiceAccount and everything else of the variant.
    pub(super) name: String,
}

/// Applies the manifests in a new namespace and waits until their Role is in effect: a replica that came earlier would
/// be refused once, and a test could not tell that from a missing verb.
pub(super) async fn install(control_plane: &ControlPlane, options: &FleetOptions) -> Result<Setup> {
    let name = format!("still-leading-{}", options.variant);
    let namespace = format!("{name}-{}", random_hex(4)?);
    let objects = match &options.manifests {
        Some(objects) => objects.clone(),
        None => {
            let path = options.variant.install_yaml();
            manifests::parse(&fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?)?
        }
    };
    let client = control_plane.client()?;
    manifests::apply(&client, &objects, &namespace).await?;
    let token = manifests::service_account_token(&client, &namespace, &name).await?;
    if let Some(rule) = first_permission(&objects, &namespace) {
        wait_until_allowed(&control_plane.client_with_token(&token)?, rule).await?;
    }
    Ok(Setup { client, namespace, name })
}

impl Setup {
    /// A kubeconfig with a token of its own, for a replica that finds the API server at `server`.
    pub(super) async fn write_kubeconfig(
        &self,
        control_plane: &ControlPlane,
        dir: &Path,
        replica: &str,
        server: &str,
    ) -> Result<PathBuf> {
        let token = manifests::service_account_token(&self.client, &self.namespace, &self.name).await?;
        let ca = dir.join(format!("{replica}-ca.crt"));
        write_private(&ca, &control_plane.ca_pem())?;
        let path = dir.join(format!("{replica}.kubeconfig"));
        write_private(&path, &kubeconfig(server, &ca, &token, &self.namespace).to_string())?;
        Ok(path)
    }
}

/// In JSON, which is YAML too.
fn kubeconfig(server: &str, ca: &Path, token: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "replica", "user": {"token": token}}],
        "contexts": [{"name": "replica", "context": {"cluster": "testbed", "user": "replica", "namespace": namespace}}],
        "current-context": "replica",
    })
}

/// The first thing that a Role allows. One is enough: a Role takes effect as a whole.
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

async fn wait_until_allowed(client: &Client, permission: ResourceAttributes) -> Result<()> {
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

    #[test]
    fn a_kubeconfig_is_read_by_kube_as_it_is_meant() {
        let written = kubeconfig("https://127.0.0.1:1", Path::new("/dir/ca.crt"), "secret", "ns").to_string();
        let read = kube::config::Kubeconfig::from_yaml(&written).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("replica"));
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/dir/ca.crt"));
        assert!(read.auth_infos[0].auth_info.as_ref().unwrap().token.is_some());
        assert_eq!(read.contexts[0].context.as_ref().unwrap().namespace.as_deref(), Some("ns"));
    }
}
