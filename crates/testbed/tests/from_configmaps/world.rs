//! What the cases share: the programs, and an API server of either kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use still_leading_testbed::{ApiServer, Program, ServerKind};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::Outcome;

/// Longer than anything here takes on a busy machine: a bug is to fail, not to hang.
pub const LONG: Duration = Duration::from_secs(90);

/// What replicas are made of.
#[derive(Clone)]
pub struct Programs {
    pub client_go_0_26: Program,
    pub client_go_0_27: Program,
    pub native: PathBuf,
}

pub struct World {
    programs: Programs,
    runtime: Mutex<Option<Arc<Runtime>>>,
    servers: tokio::sync::Mutex<BTreeMap<ServerKind, Arc<ApiServer>>>,
}

/// What one case gets.
pub struct Fixture {
    pub server: Arc<ApiServer>,
    pub programs: Programs,
}

impl World {
    pub fn new(programs: Programs) -> Self {
        let runtime = Mutex::new(Runtime::new().ok().map(Arc::new));
        Self { programs, runtime, servers: tokio::sync::Mutex::default() }
    }

    /// Runs one case on the calling thread.
    pub fn run(&self, kind: ServerKind, case: fn(Fixture) -> Outcome) -> Result<()> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
        runtime.context("there is no async runtime")?.block_on(async {
            let fixture = Fixture { server: self.server(kind).await?, programs: self.programs.clone() };
            timeout(LONG * 4, case(fixture)).await.context("the case hangs")?
        })
    }

    /// Ends the API servers. The runtime goes first, and with it what a failed case has left behind.
    pub fn end(&self) {
        drop(self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.servers.blocking_lock().clear();
    }

    async fn server(&self, kind: ServerKind) -> Result<Arc<ApiServer>> {
        let mut servers = self.servers.lock().await;
        if let Some(server) = servers.get(&kind) {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(ApiServer::start(kind).await?);
        servers.insert(kind, Arc::clone(&server));
        Ok(server)
    }
}
