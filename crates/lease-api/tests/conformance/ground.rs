//! What a scenario runs on: a namespace of its own on a server that all scenarios share, and a client for each user.

mod embedded;
mod real;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use kube::Client;
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
