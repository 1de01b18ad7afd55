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

use super::needs::{Needs, Start};
use super::subject::Subject;
use crate::clock::Clock;

/// How often a wait looks again.
const LOOK: Duration = Duration::from_millis(100);
/// Nothing here takes so long, also with many trials at once.
const LONG: Duration = Duration::from_secs(60);
/// How often the leader acts.
pub const TICK: Duration = Duration::from_millis(100);
/// A kubelet waits 10 s before it starts a container again for the second time; the first time it does so at once. That is so
/// much of the lease duration that is usual: everything here goes by the subject's durations.
const BACKOFF_LEASES: f64 = 10.0 / 15.0;

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
    /// The processor time that each replica had used when the fault came.
    pub cpu_before: Vec<Option<Duration>>,
    /// Who was asked or forced to end. What ends otherwise has ended by itself.
    asked: BTreeSet<usize>,
    /// When what has ended is to be started again.
    restarts: BTreeMap<usize, Instant>,
    /// What has ended by itself and was started again.
    pub exits: Vec<Exit>,
}

/// The end of a process that was started again.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Whose.
    pub index: usize,
    /// How it ended.
    pub status: String,
    /// The last lines of its standard error.
    pub stderr: String,
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
        let (cpu_before, asked, restarts, exits) = Default::default();
        let mut scene = Self { server, fleet, leader: 0, timings, subject, clock, cpu_before, asked, restarts, exits };
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

    /// Whether somebody has led since then, in monotonic nanoseconds, and does now; a pause is no time of more than `pause`.
    #[must_use]
    pub fn was_led_since(&self, since: u64, pause: Duration) -> bool {
        let gaps = history::judge::gaps(&self.fleet.history().events(), since, history::now());
        self.fleet.leader_index().is_some() && gaps.iter().all(|gap| gap.length() <= pause)
    }

    async fn wait_for_acts(&self, since: u64, count: usize) -> Result<()> {
        let so_far = |events: &[_]| acts(events).iter().filter(|act| act.at > since).count();
        self.fleet.history().wait_for(LONG, |events| (so_far(events) >= count).then_some(())).await
    }

    /// What a kubelet does: a container that has ended is started again, at once and later after a while, in the same pod.
    async fn tend(&mut self) -> Result<()> {
        let backoff = self.timings.lease_duration.mul_f64(BACKOFF_LEASES);
        for index in 0..self.fleet.len() {
            let replica = self.fleet.replica(index);
            let Some(status) = replica.exit_status() else { continue };
            if self.asked.contains(&index) {
                continue;
            }
            let before = self.exits.iter().filter(|exit| exit.index == index).count();
            let due = *self.restarts.entry(index).or_insert_with(|| Instant::now() + backoff * before as u32);
            if due <= Instant::now() {
                let (status, stderr) = (status.to_string(), replica.stderr());
                self.exits.push(Exit { index, status, stderr });
                self.restarts.remove(&index);
                self.fleet.restart_replica(index)?;
            }
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

    /// Notes what the replicas have cost so far.
    pub fn note_cpu_time(&mut self) {
        self.cpu_before = (0..self.fleet.len()).map(|index| self.fleet.replica(index).cpu_time()).collect();
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

    /// Opens every way to the API server.
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
