//! The real kube-apiserver.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use still_leading_testbed::api_server::{client, service_account_token, wait_until_allowed};
use still_leading_testbed::manifests::create_namespace;
use still_leading_testbed::{ApiServer, ServerKind};
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::fence;
use crate::fixture::{Fixture, Users};

const CACHED_BOUND: Duration = Duration::from_secs(30);

pub struct Real {
    server: ApiServer,
    ca: Vec<u8>,
    /// The version that `/version` returns.
    pub version: String,
}

impl Real {
    pub async fn start() -> Result<Self> {
        let server = ApiServer::start(ServerKind::Real).await?;
        // A watch cache that begins with etcd has everything from the first revision on. After a restart some revisions are too
        // old for it, as on any server that has run for a while.
        server.stop_serving().await?;
        server.start_serving().await?;
        let client = server.client()?;
        wait_until_cached::<Lease>(&client).await?;
        wait_until_cached::<ConfigMap>(&client).await?;
        wait_until_cached::<Event>(&client).await?;
        wait_until_cached::<Namespace>(&client).await?;
        let version = client.apiserver_version().await?.git_version;
        let ca = CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).context("reading the certificate")?;
        Ok(Self { ca: ca.to_vec(), server, version })
    }

    pub async fn fixture(&self, namespace: String, users: &Users) -> Result<Fixture> {
        let (url, admin) = (self.server.url(), self.server.client()?);
        let with = |token: Option<&str>| client(&url, Some(self.ca.clone()), token);
        create_namespace(&admin, &namespace, BTreeMap::new()).await?;
        let nobody = [("anonymous", with(None)?), ("stranger", with(Some("wrong"))?), ("admin", admin.clone())];
        let mut clients: BTreeMap<_, _> = nobody.into_iter().map(|(name, client)| (name.to_owned(), client)).collect();
        for (name, rules) in users {
            let rules: Vec<PolicyRule> = serde_json::from_value(rules.clone()).context("reading rules")?;
            let token = create_user(&admin, &namespace, name, &rules).await?;
            let user = with(Some(&token))?;
            if let Some(permission) = first_permission(&namespace, &rules) {
                wait_until_allowed(&user, permission).await?;
            }
            clients.insert(name.clone(), user);
        }
        let address = url.trim_start_matches("https://").to_owned();
        Ok(Fixture { namespace, address, clients })
    }

    /// Puts up the fence. This takes up to two seconds.
    pub async fn fence(&self, fixture: &Fixture, user: &str) -> Result<()> {
        let fence = fence::around(fixture, user);
        self.server.fence(&fence, &fence::manifest(fixture, &fence)).await
    }
}

/// Waits until the server answers lists and watches. A server that is ready may still be filling its caches, and until then it
/// may refuse them with 429 (KEP-4568).
async fn wait_until_cached<K>(client: &Client) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let deadline = Instant::now() + CACHED_BOUND;
    let objects: Api<K> = Api::all(client.clone());
    loop {
        let listed = objects.list(&ListParams::default().match_any()).await;
        match listed {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error).context("waiting for the caches"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Creates a ServiceAccount with these rules, and returns its token.
async fn create_user(admin: &Client, namespace: &str, name: &str, rules: &[PolicyRule]) -> Result<String> {
    let new = PostParams::default();
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata: metadata.clone(), ..ServiceAccount::default() };
    Api::namespaced(admin.clone(), namespace).create(&new, &account).await?;
    let role = Role { metadata: metadata.clone(), rules: Some(rules.to_vec()) };
    Api::namespaced(admin.clone(), namespace).create(&new, &role).await?;
    let (api_group, kind) = (Some("rbac.authorization.k8s.io".to_owned()), "Role".to_owned());
    let role_ref = RoleRef { api_group, kind, name: name.to_owned() };
    let (kind, of) = ("ServiceAccount".to_owned(), Some(namespace.to_owned()));
    let subject = Subject { kind, name: name.to_owned(), namespace: of, ..Subject::default() };
    let binding = RoleBinding { metadata, role_ref, subjects: Some(vec![subject]) };
    Api::namespaced(admin.clone(), namespace).create(&new, &binding).await?;
    service_account_token(admin, namespace, name).await
}

/// Returns the first thing that the rules allow. One is enough, since a Role takes effect as a whole.
fn first_permission(namespace: &str, rules: &[PolicyRule]) -> Option<ResourceAttributes> {
    let rule = rules.first()?;
    let first = |list: &Option<Vec<String>>| list.as_ref().and_then(|list| list.first().cloned());
    Some(ResourceAttributes {
        group: first(&rule.api_groups),
        resource: first(&rule.resources),
        name: first(&rule.resource_names),
        verb: rule.verbs.first().cloned(),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    })
}
