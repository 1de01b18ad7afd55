//! What a fault is done to: a fleet with a leader, and a kubelet that starts again what ends by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};
use still_leading_testbed::history::judge::acts;
use still_leading_testbed::{ApiServer, Extra, Fleet, FleetOptions, Mode, Timings, history, manifests};
use tokio::time::{Instant, sleep};

use super::fault::{Needs, Start};
use super::subject::Subject;
use crate::clock::Clock;

/// How often a wait looks again.
const LOOK: Duration = Duration::from_millis(100);
/// Nothing here takes so long, also with many trials at once.
const LONG: Duration = Duration::from_secs(60);
/// How often the leader acts.
pub const TICK: Duration = Duration::from_millis(100);
/// A kubelet waits so long before it starts a container again for the second time; the first time it does so at once.
const BACKOFF: Duration = Duration::from_secs(10);

/// A fleet under a fault.
pub struct Scene<'a> {
    /// The API server.
    pub server: &'a ApiServer,
    /// The replicas.
    pub fleet: Fleet,
    /// Which of them led when the fault came.
    pub leader: usize,
    /// The election's durations.
    pub timings: Timings,
    /// What runs.
    pub subject: Subject,
    /// The clock of the one replica whose clock can be set, and which that is.
    pub clock: Option<Clock>,
    /// Who was asked or forced to end. What ends otherwise has ended by itself.
    asked: BTreeSet<usize>,
    /// When what has ended is to be started again; none once that was done.
    restarts: BTreeMap<usize, Option<Instant>>,
    /// How often the container of a replica was started again, by its present replica.
    starts: BTreeMap<usize, u32>,
}

impl<'a> Scene<'a> {
    /// Installs the subject and starts as many replicas as the fault begins with: the first alone, so that there is a leader
    /// beyond dispute, the others one after another when it acts.
    ///
    /// # Errors
    /// The manifest is refused, a program does not start, or nobody leads although nothing is wrong.
    pub async fn start(server: &'a ApiServer, options: FleetOptions, subject: Subject, needs: Needs) -> Result<Self> {
        let timings = options.timings;
        let replicas = match needs.start {
            Start::Led { replicas } => replicas,
            Start::Nobody => 0,
        };
        let fleet = Fleet::start(server, FleetOptions { replicas: 0, ..options }).await?;
        let clock = needs.clock.map(|_| Clock::new()).transpose()?;
        let (asked, restarts, starts) = Default::default();
        let mut scene = Self { server, fleet, leader: 0, timings, subject, clock, asked, restarts, starts };
        for index in 0..replicas {
            let extra = match (&scene.clock, needs.clock) {
                (Some(clock), Some(of)) if of == index => Extra { env: clock.env(), ..Extra::default() },
                _ => Extra::default(),
            };
            scene.fleet.start_replica_with(server, extra).await?;
            match index {
                0 => scene.leader = scene.fleet.wait_for_leader(LONG).await.context("nobody leads alone")?,
                _ => scene.fleet.wait_until_taking_part(index, 0, LONG).await?,
            }
        }
        if replicas > 0 {
            scene.wait_for_acts(history::now(), 3).await.context("the leader does not act")?;
            scene.leader = scene.fleet.wait_for_leader(LONG).await?;
        }
        Ok(scene)
    }

    /// Lets time pass, and starts again what ends by itself meanwhile.
    ///
    /// # Errors
    /// A replica cannot be started.
    pub async fn pass(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tend().await?;
            sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
        }
        Ok(())
    }

    /// Lets time pass until somebody has acted so often after `since`, in monotonic nanoseconds, for at most `bound`. Whether
    /// that happened is for the judge to see.
    ///
    /// # Errors
    /// A replica cannot be started.
    pub async fn pass_until_led(&mut self, since: u64, count: usize, bound: Duration) -> Result<bool> {
        let end = Instant::now() + bound;
        while Instant::now() < end {
            let leads = self.fleet.leader_index().is_some();
            let acted = acts(&self.fleet.history().events()).iter().filter(|act| act.at > since).count();
            if leads && acted >= count {
                return Ok(true);
            }
            self.tend().await?;
            sleep(LOOK).await;
        }
        Ok(false)
    }

    async fn wait_for_acts(&self, since: u64, count: usize) -> Result<()> {
        let so_far = |events: &[_]| acts(events).iter().filter(|act| act.at > since).count();
        self.fleet.history().wait_for(LONG, |events| (so_far(events) >= count).then_some(())).await
    }

    /// What a kubelet does: a container that has ended is started again, at once and later after a while, in the same pod, so
    /// with the same way to the API server.
    async fn tend(&mut self) -> Result<()> {
        for index in 0..self.fleet.len() {
            let ended = self.fleet.replica(index).exit_status().is_some() && !self.asked.contains(&index);
            if ended && !self.restarts.contains_key(&index) {
                let before = self.starts.get(&index).copied().unwrap_or(0);
                let wait = if before == 0 { Duration::ZERO } else { BACKOFF * before };
                self.restarts.insert(index, Some(Instant::now() + wait));
            }
        }
        let is_due = |at: &Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        let due: Vec<usize> = self.restarts.iter().filter(|(_, at)| is_due(at)).map(|(index, _)| *index).collect();
        for index in due {
            self.restarts.insert(index, None);
            let mode = self.fleet.proxy(index).mode();
            let new = self.fleet.start_replica_with(self.server, Extra { mode, ..Extra::default() }).await?;
            self.starts.insert(new, self.starts.get(&index).copied().unwrap_or(0) + 1);
        }
        Ok(())
    }

    /// Notes that a replica is being ended, so that it is not started again.
    pub fn asks_to_end(&mut self, index: usize) {
        self.asked.insert(index);
    }

    /// Whether a replica was asked or forced to end.
    #[must_use]
    pub fn was_asked_to_end(&self, index: usize) -> bool {
        self.asked.contains(&index)
    }

    /// Notes in the history that something was done to the scene.
    pub fn note(&self, what: &str) {
        self.fleet.history().record(what, Map::new());
    }

    /// The standbys, by index.
    #[must_use]
    pub fn standbys(&self) -> Vec<usize> {
        (0..self.fleet.len()).filter(|index| *index != self.leader).collect()
    }

    /// Sets the way to the API server of these replicas.
    pub fn set_modes(&self, of: &[usize], mode: Mode) {
        for index in of {
            self.fleet.proxy(*index).set_mode(mode);
        }
    }

    /// Opens every way to the API server, also those of replicas that have been started since.
    pub fn open_all(&self) {
        self.set_modes(&(0..self.fleet.len()).collect::<Vec<_>>(), Mode::Pass);
    }

    /// The Leases of the fleet's namespace, as an administrator.
    #[must_use]
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.fleet.client().clone(), self.fleet.namespace())
    }

    /// Writes into the Lease, whoever holds it.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn write_lease(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.leases().patch(self.fleet.lease_name(), &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// What the subject is installed with.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn manifest(&self) -> Result<Vec<DynamicObject>> {
        let path = self.subject.manifest().install_yaml();
        manifests::parse(&std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?)
    }
}
