//! What a scenario runs on: a namespace of its own on a server that all scenarios share, and a client for each user.

mod embedded;
mod real;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use kube::{Client, Config};
use serde_json::Value;

pub use embedded::Embedded;
pub use real::Real;

/// The users of a scenario, each with the rules of its Role.
pub type Users = BTreeMap<String, Value>;

pub struct Ground {
    pub namespace: String,
    /// `host:port` of the server.
    pub address: String,
    clients: BTreeMap<String, Client>,
}

impl Ground {
    pub fn client(&self, user: &str) -> Result<&Client> {
        self.clients.get(user).with_context(|| format!("nobody is called {user}"))
    }
}

/// A server under comparison.
pub enum Server {
    Real(Box<Real>),
    Embedded(Box<Embedded>),
}

impl Server {
    /// See [`Scenario`](crate::scenario::Scenario) for what `forgetful` is.
    pub async fn ground(&self, users: &Users, forgetful: bool) -> Result<Ground> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Of one length, so that none is the beginning of another.
        let namespace = format!("exchange-{:06}", COUNT.fetch_add(1, Ordering::Relaxed));
        match self {
            // It always is.
            Self::Real(server) => server.ground(namespace, users).await,
            Self::Embedded(server) => server.ground(namespace, users, forgetful).await,
        }
    }
}

/// As it is called in messages, on both servers.
fn full_name(namespace: &str, user: &str) -> String {
    format!("system:serviceaccount:{namespace}:{user}")
}

/// A client that retries nothing and adds nothing but the token.
fn client(url: &str, ca: Option<Vec<u8>>, token: Option<&str>) -> Result<Client> {
    let mut config = Config::new(url.parse()?);
    // Never the system's, which take longer to load than a scenario to run.
    config.root_cert = Some(ca.into_iter().collect());
    config.auth_info.token = token.map(|token| token.to_owned().into());
    config.default_retry = false;
    Client::try_from(config).context("setting up a client")
}

async fn create_namespace(admin: &Client, name: &str) -> Result<()> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    let created = Api::all(admin.clone()).create(&PostParams::default(), &namespace).await;
    created.map(drop).with_context(|| format!("creating namespace {name}"))
}
