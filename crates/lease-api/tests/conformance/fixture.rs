//! What a scenario runs on: its own namespace on a server that all scenarios share, and a client for each user.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use kube::Client;
use serde_json::Value;

/// The users of a scenario, each with the rules of its Role.
pub type Users = BTreeMap<String, Value>;

pub struct Fixture {
    pub namespace: String,
    /// `host:port` of the server.
    pub address: String,
    pub clients: BTreeMap<String, Client>,
}

impl Fixture {
    pub fn client(&self, user: &str) -> Result<&Client> {
        self.clients.get(user).with_context(|| format!("nobody is called {user}"))
    }
}
