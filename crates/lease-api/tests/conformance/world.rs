//! What the trials share: the async runtime, and each server, which is started when a trial first needs it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use still_leading_testbed::ServerKind;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::server::{Embedded, Real, Server};

/// The bound of one trial, so that a bug fails and does not hang. The longest trial waits seven seconds on purpose.
const TRIAL_BOUND: Duration = Duration::from_secs(180);

pub struct World {
    runtime: Mutex<Option<Arc<Runtime>>>,
    embedded: OnceCell<Arc<Server>>,
    real: OnceCell<Arc<Server>>,
}

impl World {
    pub fn new() -> Result<Self> {
        let runtime = Mutex::new(Some(Arc::new(Runtime::new().context("starting an async runtime")?)));
        Ok(Self { runtime, embedded: OnceCell::new(), real: OnceCell::new() })
    }

    pub async fn server(&self, kind: ServerKind) -> Result<Arc<Server>> {
        let server = match kind {
            ServerKind::Embedded => {
                let start = async { Ok(Arc::new(Server::Embedded(Box::new(Embedded::start().await?)))) };
                self.embedded.get_or_try_init(|| start).await
            }
            ServerKind::Real => {
                let start = async { Ok(Arc::new(Server::Real(Box::new(Real::start().await?)))) };
                self.real.get_or_try_init(|| start).await
            }
        };
        server.cloned().map_err(|error: anyhow::Error| error.context("there is no server"))
    }

    /// Begins to start the real server, which takes longest, while other trials run.
    pub fn prepare(self: &Arc<Self>) {
        let world = Arc::clone(self);
        if let Ok(runtime) = self.runtime() {
            // A trial that needs the server tries again, and reports the failure.
            runtime.spawn(async move { world.server(ServerKind::Real).await.map(drop).ok() });
        }
    }

    /// Runs a trial on the calling thread.
    pub fn run<T>(&self, trial: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime()?.block_on(async { timeout(TRIAL_BOUND, trial).await.context("it hangs")? })
    }

    /// Returns the version of the real server; `None` if no trial needed it.
    pub fn version(&self) -> Option<String> {
        match self.real.get().map(Arc::as_ref) {
            Some(Server::Real(server)) => Some(server.version.clone()),
            _ => None,
        }
    }

    /// Ends what the runtime still does. The servers end with the last handle.
    pub fn end(&self) {
        drop(self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn runtime(&self) -> Result<Arc<Runtime>> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
        runtime.context("there is no async runtime")
    }
}
