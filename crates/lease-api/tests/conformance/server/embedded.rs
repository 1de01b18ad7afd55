//! The embedded Lease API.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use still_leading_lease_api::{Access, Limits, Options, Server, Store, User};
use still_leading_testbed::api_server::{client, user_name};
use still_leading_testbed::manifests::create_namespace;

use crate::fence;
use crate::fixture::{Fixture, Users};

const ADMIN: &str = "administrator";

pub struct Embedded {
    server: Server,
    /// Keeps so few changes that its first namespaces already fill the ring.
    forgetful: Server,
}

impl Embedded {
    pub async fn start() -> Result<Self> {
        let few = Limits { watch_events: 3, ..Limits::default() };
        Ok(Self { server: start(Store::default()).await?, forgetful: start(Store::new(few)).await? })
    }

    pub async fn fixture(&self, namespace: String, users: &Users, forgetful: bool) -> Result<Fixture> {
        let server = if forgetful { &self.forgetful } else { &self.server };
        let url = server.url();
        let with = |token: Option<&str>| client(&url, None, token);
        let admin = with(Some(ADMIN))?;
        create_namespace(&admin, &namespace, BTreeMap::new()).await?;
        let nobody = [("anonymous", with(None)?), ("stranger", with(Some("wrong"))?), ("admin", admin)];
        let mut clients: BTreeMap<_, _> = nobody.into_iter().map(|(name, client)| (name.to_owned(), client)).collect();
        for (name, rules) in users {
            let token = format!("{namespace}-{name}");
            let rules = serde_json::from_value(rules.clone()).context("reading rules")?;
            let access = Access::Only { namespace: namespace.clone(), rules };
            server.add_user(User { name: user_name(&namespace, name), token: token.clone(), access });
            clients.insert(name.clone(), with(Some(&token))?);
        }
        Ok(Fixture { address: server.address().to_string(), namespace, clients })
    }

    pub fn fence(&self, fixture: &Fixture, user: &str) {
        self.server.fence(fence::around(fixture, user));
    }
}

async fn start(store: Store) -> Result<Server> {
    let server =
        Server::start(Options { store, ..Options::default() }).await.context("starting the embedded server")?;
    server.add_user(User { name: "admin".to_owned(), token: ADMIN.to_owned(), access: Access::All });
    Ok(server)
}
