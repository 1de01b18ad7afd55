//! The embedded API server, as the testbed runs it. It knows neither ServiceAccounts nor Roles. So this file reads what a
//! manifest grants, and gives it to the server as the rights of a user.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::DynamicObject;
use serde_json::Value;
use still_leading_lease_api::{Access, Fence, Options, PolicyRule, Server, Store, User};
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::ServerConfig;

use crate::client::{client_of, random_hex};
use crate::manifests::{self, kind};
use crate::tls::Authority;

/// The kinds of a manifest that it stores. The rest is for a cluster that runs pods.
const STORED: [&str; 3] = ["ConfigMap", "Lease", "Namespace"];

/// How long to wait for a port that was free when it was chosen, and how often to try it.
const PORT_BOUND: Duration = Duration::from_secs(30);
const PORT_PERIOD: Duration = Duration::from_millis(50);

/// A running embedded API server. Dropping it ends it.
pub struct Embedded {
    /// `None` while it is stopped.
    server: Mutex<Option<Server>>,
    store: Store,
    tls: Arc<ServerConfig>,
    authority: Authority,
    token: String,
    address: SocketAddr,
    /// The rules that each ServiceAccount was granted, by its user name.
    granted: Mutex<BTreeMap<String, Vec<PolicyRule>>>,
}

impl Embedded {
    pub(super) async fn start() -> Result<Self> {
        let (authority, store, token) = (Authority::new()?, Store::default(), random_hex(32)?);
        let tls = authority.server_config()?;
        let options = Options { tls: Some(Arc::clone(&tls)), store: store.clone(), ..Options::default() };
        let server = Server::start(options).await.context("starting the embedded API server")?;
        let name = "system:admin".to_owned();
        server.add_user(User { name, token: token.clone(), access: Access::All });
        let address = server.address();
        let (server, granted) = (Mutex::new(Some(server)), Mutex::default());
        Ok(Self { server, store, tls, authority, token, address, granted })
    }

    pub(super) fn admin_token(&self) -> &str {
        &self.token
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn stop_serving(&self) -> Result<()> {
        let server = lock(&self.server).take().context("the API server does not run")?;
        server.stop().await;
        Ok(())
    }

    pub(super) async fn start_serving(&self) -> Result<()> {
        if lock(&self.server).is_some() {
            bail!("the API server runs already");
        }
        let deadline = Instant::now() + PORT_BOUND;
        let server = loop {
            let (tls, store) = (Some(Arc::clone(&self.tls)), self.store.clone());
            match Server::start(Options { listen: self.address, tls, store }).await {
                // The kernel may have given the port to a connection of another process, which will end.
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                    sleep(PORT_PERIOD).await;
                }
                started => break started.context("starting the embedded API server again")?,
            }
        };
        *lock(&self.server) = Some(server);
        Ok(())
    }

    pub(super) async fn install(&self, objects: &[DynamicObject], namespace: &str, account: &str) -> Result<()> {
        let stored: Vec<_> = objects.iter().filter(|object| STORED.contains(&kind(object))).cloned().collect();
        let client = client_of(self.address, &self.authority, &self.token)?;
        manifests::apply(&client, &stored, namespace).await?;
        lock(&self.granted).insert(user_name(namespace, account), rules_of(objects, account)?);
        Ok(())
    }

    pub(super) fn fence(&self, fence: Fence) -> Result<()> {
        lock(&self.server).as_ref().context("the API server does not run")?.fence(fence);
        Ok(())
    }

    pub(super) fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let (name, token) = (user_name(namespace, account), random_hex(32)?);
        let rules = lock(&self.granted).get(&name).cloned().with_context(|| format!("{name} was not installed"))?;
        let access = Access::Only { namespace: namespace.to_owned(), rules };
        let server = lock(&self.server);
        let server = server.as_ref().context("the API server does not run")?;
        server.add_user(User { name, token: token.clone(), access });
        Ok(token)
    }
}

/// Shows only its address, since it holds tokens and a private key.
impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The user name that kube-apiserver gives a ServiceAccount.
pub fn user_name(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// Returns the rules of the Roles that RoleBindings bind to `account`.
fn rules_of(objects: &[DynamicObject], account: &str) -> Result<Vec<PolicyRule>> {
    let is_subject = |binding: &&DynamicObject| {
        let subjects = binding.data["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        subjects.iter().any(|it| it["kind"] == "ServiceAccount" && it["name"] == account)
    };
    let mut rules = Vec::new();
    for binding in objects.iter().filter(|object| kind(object) == "RoleBinding").filter(is_subject) {
        let bound = |object: &&DynamicObject| {
            let name = object.metadata.name.as_deref();
            kind(object) == "Role" && name == binding.data["roleRef"]["name"].as_str()
        };
        let Some(role) = objects.iter().find(bound) else { continue };
        let granted = role.data.get("rules").cloned().unwrap_or(Value::Array(Vec::new()));
        rules.extend(serde_json::from_value::<Vec<PolicyRule>>(granted).context("reading the rules of a Role")?);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bound}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [mine], verbs: [get, update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: unbound}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: mine}
subjects: [{kind: ServiceAccount, name: mine, namespace: ns}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: bound}
";

    #[test]
    fn an_account_has_the_rules_of_the_roles_that_are_bound_to_it_and_no_others() {
        let objects = manifests::parse(MANIFEST).unwrap();
        let rules = rules_of(&objects, "mine").unwrap();
        assert_eq!(rules.len(), 1, "{rules:?}");
        assert_eq!(
            (&rules[0].verbs[..], &rules[0].resource_names[..]),
            (&["get".to_owned(), "update".to_owned()][..], &["mine".to_owned()][..])
        );
        assert!(rules_of(&objects, "other").unwrap().is_empty());
    }

    #[tokio::test]
    async fn it_waits_for_its_port_to_be_free_again() {
        let server = Embedded::start().await.unwrap();
        server.stop_serving().await.unwrap();
        let stranger = std::net::TcpListener::bind(server.address()).unwrap();
        let leaving = async {
            sleep(PORT_PERIOD * 4).await;
            drop(stranger);
        };
        let (started, ()) = tokio::join!(server.start_serving(), leaving);
        started.unwrap();
    }
}
