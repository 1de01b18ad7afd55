//! What a case needs: the built variant, and an API server of either kind, which the cases share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use still_leading_testbed::{ApiServer, Fleet, FleetOptions, Form, Profile, ServerKind, Timings, Variant};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::Outcome;
use crate::observe::wait_for_acts;
use crate::promise::promise_within;

/// Longer than anything here takes on a busy machine, so that a bug fails and does not hang.
pub const LONG: Duration = Duration::from_secs(90);

pub const TICK: Duration = Duration::from_millis(100);

/// A form of a variant, with which a case is run.
pub type Candidate = (Variant, Form);

/// Everything the cases share.
pub struct World {
    runtime: Mutex<Option<Arc<Runtime>>>,
    programs: OnceLock<BTreeMap<Candidate, Result<PathBuf, String>>>,
    servers: tokio::sync::Mutex<BTreeMap<ServerKind, Arc<ApiServer>>>,
}

impl World {
    pub fn new() -> Self {
        let runtime = Mutex::new(Runtime::new().ok().map(Arc::new));
        Self { runtime, programs: OnceLock::new(), servers: tokio::sync::Mutex::default() }
    }

    /// Builds all that the cases need, once and before they run. A compiler beside a running case would distort what the case
    /// measures.
    pub fn build(&self, candidates: BTreeSet<Candidate>) {
        let build = |(variant, form): Candidate| {
            eprintln!("building {variant} ({form})");
            variant.build_form(form, Profile::Debug).map_err(|error| error.to_string())
        };
        self.programs.get_or_init(|| candidates.into_iter().map(|candidate| (candidate, build(candidate))).collect());
    }

    /// Runs one case on the calling thread, on an API server if it needs one.
    pub fn run(&self, candidate: Candidate, server: Option<ServerKind>, case: fn(Fixture) -> Outcome) -> Result<()> {
        let program = self.programs.get().and_then(|programs| programs.get(&candidate)).context("it was not built")?;
        let program = program.clone().map_err(|error| anyhow!(error))?;
        self.block_on(async {
            let server = match server {
                Some(kind) => Some(self.server(kind).await?),
                None => None,
            };
            let fixture = Fixture { variant: candidate.0, program, server };
            timeout(LONG * 4, case(fixture)).await.context("the case hangs")?
        })
    }

    /// Returns the version of the real API server that cases ran on, without its `v`; `None` if no case did.
    pub fn kubernetes(&self) -> Option<String> {
        let version = self.block_on(async {
            let server = self.servers.lock().await.get(&ServerKind::Real).cloned().context("there is none")?;
            let asking = async { Ok(server.client()?.apiserver_version().await?.git_version) };
            timeout(LONG, asking).await.context("the API server does not answer")?
        });
        version.ok().map(|version| version.trim_start_matches('v').to_owned())
    }

    /// Ends the API servers. The runtime goes first, and with it what a failed case has left behind.
    pub fn end(&self) {
        drop(self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.servers.blocking_lock().clear();
    }

    fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
        runtime.context("there is no async runtime")?.block_on(future)
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

/// What one case gets.
pub struct Fixture {
    pub variant: Variant,
    pub program: PathBuf,
    server: Option<Arc<ApiServer>>,
}

impl Fixture {
    /// Returns the API server that it shares with other cases.
    pub fn server(&self) -> Result<&ApiServer> {
        self.server.as_deref().context("this case was not declared to need an API server")
    }

    pub fn timings(&self) -> Timings {
        Timings::short_for(self.variant)
    }

    pub fn options(&self) -> FleetOptions {
        let (timings, tick) = (self.timings(), TICK);
        FleetOptions { timings, tick, ..FleetOptions::new(self.variant, self.program.clone()) }
    }

    /// Starts three replicas, of which one leads and acts while the others stand by. Returns the leader's index.
    pub async fn led_fleet(&self) -> Result<(Fleet, usize)> {
        led_fleet(self.server()?, self.options()).await
    }
}

/// The first replica leads and acts before the others start, so that a case begins with one certain leader. Another case shows
/// what happens when all start at once. It also keeps replicas that poll out of step with the leader.
pub async fn led_fleet(server: &ApiServer, options: FleetOptions) -> Result<(Fleet, usize)> {
    let mut fleet = Fleet::start(server, FleetOptions { replicas: 1, ..options.clone() }).await?;
    let leader = promise_within(fleet.wait_for_leader(LONG), "nobody led, although one was alone").await?;
    wait_for_acts(&fleet, leader, 0, 3).await?;
    for _ in 1..options.replicas {
        let standby = fleet.start_replica(server).await?;
        promise_within(fleet.wait_until_taking_part(standby, 0, LONG), "a standby asked for no Lease").await?;
    }
    Ok((fleet, leader))
}
