//! A fleet of both kinds, and what the cases ask of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use kube::core::ResourceExt;
use serde_json::Value;
use still_leading_testbed::history::judge::{no_overlap, terms};
use still_leading_testbed::history::{Event, monotonic, now};
use still_leading_testbed::{Extra, Fleet, FleetOptions, Program, Timings, Variant, Verb, manifests};

use crate::OLD;
use crate::world::{Fixture, LONG};

/// Where client-go keeps its record in a ConfigMap.
pub const ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";
/// Who leads by the lock `configmapsleases` while its two halves name different holders.
const UNKNOWN: &str = "leaderelection.k8s.io/unknown";

/// A retry period that is long beside a hand-over: what happens between two attempts of client-go has time enough.
pub const TIMINGS: Timings = Timings {
    lease_duration: Duration::from_secs(8),
    renew_deadline: Duration::from_secs(6),
    retry_period: Duration::from_secs(2),
};
/// A standby of client-go has just asked, and does not for a retry period.
const JUST: u64 = 200_000_000;
/// How long before that the Lease was written: so much longer than native client-go waits for it to run out.
const HEAD_START: u64 = 500_000_000;

/// Replicas of an old client-go, called by its name and version, and native ones.
pub struct Mixed {
    pub fleet: Fleet,
    old: Program,
}

impl Mixed {
    /// Starts replicas of client-go 0.26, at least one, of which the first leads, and then native ones, which know that.
    pub async fn start(fixture: &Fixture, timings: Timings, olds: usize, natives: usize) -> Result<Self> {
        Self::start_with(&fixture.programs.client_go_0_26, fixture, timings, olds, natives).await
    }

    /// As [`Mixed::start`], with another client-go.
    pub async fn start_with(
        old: &Program,
        fixture: &Fixture,
        timings: Timings,
        olds: usize,
        natives: usize,
    ) -> Result<Self> {
        let manifests = Some(manifests::parse(include_str!("manifest.yaml"))?);
        let tick = Duration::from_millis(200);
        let options = FleetOptions::new(Variant::Native, fixture.programs.native.clone());
        let options = FleetOptions { replicas: 0, timings, tick, manifests, ..options };
        let mut mixed = Self { fleet: Fleet::start(&fixture.server, options).await?, old: old.clone() };
        for index in 0..olds {
            mixed.start_old(fixture).await?;
            if index == 0 {
                mixed.fleet.wait_for_leader(LONG).await?;
            }
        }
        for _ in 0..natives {
            let index = mixed.fleet.start_replica(&fixture.server).await?;
            mixed.fleet.wait_until_known(index, 0, LONG).await?;
        }
        Ok(mixed)
    }

    /// Starts a replica of client-go, waits until it takes part, and returns its index.
    pub async fn start_old(&mut self, fixture: &Fixture) -> Result<usize> {
        let (since, program) = (now(), self.old.clone());
        let extra = Extra { program: Some(program), ..Extra::default() };
        let index = self.fleet.start_replica_with(&fixture.server, extra).await?;
        self.fleet.wait_until_taking_part(index, since, LONG).await?;
        Ok(index)
    }

    pub fn is_native(&self, index: usize) -> bool {
        !self.fleet.replica(index).name().starts_with(OLD)
    }

    /// The native replica that is not `index`, of two.
    pub fn other_native(&self, index: usize) -> Result<usize> {
        let other = (0..self.fleet.len()).find(|it| *it != index && self.is_native(*it));
        other.context("there is one native replica only")
    }

    /// The holder that the ConfigMap names; empty after a release.
    pub async fn holder_in_configmap(&self) -> Result<String> {
        let map = self.configmaps().get(self.fleet.lease_name()).await?;
        let record = map.annotations().get(ANNOTATION).context("the ConfigMap has no record")?;
        let record: Value = serde_json::from_str(record)?;
        Ok(record["holderIdentity"].as_str().context("the record names no holder")?.to_owned())
    }

    pub fn configmaps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.fleet.client().clone(), self.fleet.namespace())
    }

    /// When a replica asked for the Lease after `since`, in monotonic nanoseconds.
    pub fn looks(&self, index: usize, since: u64) -> Vec<u64> {
        let requests = self.fleet.proxy(index).requests().into_iter();
        let looks = requests.filter(|it| it.verb == Verb::Get && it.path.contains("/leases/") && it.succeeded());
        looks.map(|it| it.at).filter(|at| *at > since).collect()
    }

    /// Waits for a moment in which native is the first to take over, whatever ends the leader: a standby of client-go has
    /// just looked, and it saw the last renewal half a second after native. At other moments both may see a free Lease at once.
    pub async fn wait_for_head_start(&self, standby: usize) -> Result<()> {
        let is_now = || {
            let (looked, written) = (*self.looks(standby, 0).last()?, self.fleet.lease_history().last()?.at);
            (now() < looked + JUST && looked > written + HEAD_START).then_some(())
        };
        self.fleet.history().wait_for(LONG, |_| is_now()).await
    }

    /// Waits until a standby of client-go says that it does not know who leads: it has seen the two halves differ.
    pub async fn wait_until_unknown(&self, standby: usize) -> Result<()> {
        let name = self.fleet.replica(standby).name();
        let last = |events: &[Event]| {
            let told = events.iter().rfind(|it| it.replica == name && it.message == "new leader")?;
            (told.fields.get("leader")? == UNKNOWN).then_some(())
        };
        self.fleet.history().wait_for(LONG, last).await
    }

    /// Waits until a replica has acted `count` times after `since`, in monotonic nanoseconds.
    pub async fn wait_for_acts(&self, index: usize, since: u64, count: usize) -> Result<()> {
        let name = self.fleet.replica(index).name();
        let acts = |events: &[Event]| {
            events.iter().filter(|it| it.replica == name && it.message == "still leading" && it.at > since).count()
        };
        self.fleet.history().wait_for(LONG, |events| (acts(events) >= count).then_some(())).await
    }

    /// Asks a replica to end, and waits until it has. Returns when it was asked, in monotonic nanoseconds.
    pub async fn end(&self, index: usize) -> Result<u64> {
        let replica = self.fleet.replica(index);
        let asked = replica.terminate()?;
        let status = replica.wait(LONG).await?;
        ensure!(status.success(), "{} ended with {status}: {}", replica.name(), replica.stderr());
        Ok(asked)
    }

    /// When the Lease that a replica held ran out, in monotonic nanoseconds, by the last time that it wrote into it.
    pub fn expiry(&self, index: usize, lease_duration: Duration) -> Result<u64> {
        let identity = format!("{}_", self.fleet.replica(index).name());
        let history = self.fleet.lease_history();
        let held = history.iter().filter(|state| state.holder.as_ref().is_some_and(|it| it.starts_with(&identity)));
        let stamp = held.filter_map(|state| state.renew_time).next_back().context("it never wrote a renewTime")?;
        Ok(monotonic(stamp) + lease_duration.as_nanos() as u64)
    }

    /// The start and the end of a replica's last term, in monotonic nanoseconds; none without one.
    pub fn last_term(&self, index: usize) -> Option<(u64, Option<u64>)> {
        let name = self.fleet.replica(index).name();
        let terms = terms(&self.fleet.history().events());
        terms.into_iter().rfind(|term| term.replica == name).map(|term| (term.from, term.until))
    }

    /// No two led at once, every line was an event, and nobody asked for more than the page says.
    pub fn check(&self) -> Result<()> {
        let verdict = no_overlap(&self.fleet.history().events());
        ensure!(verdict.is_held(), "two led at once: {verdict:?}\n{}", self.fleet.history().table());
        self.check_all_but_overlaps()
    }

    /// As [`Mixed::check`], for a case in which two do lead at once.
    pub fn check_all_but_overlaps(&self) -> Result<()> {
        let malformed = self.fleet.history().malformed();
        ensure!(malformed.is_empty(), "lines that are no events: {malformed:?}");
        for index in 0..self.fleet.len() {
            let is_native = self.is_native(index);
            for request in self.fleet.proxy(index).requests() {
                let (on_lease, on_map) = (request.path.contains("/leases"), request.path.contains("/configmaps"));
                let allowed = match request.verb {
                    Verb::Get | Verb::Update => on_lease || (on_map && !is_native),
                    Verb::Watch => on_lease && is_native,
                    Verb::Create => (on_lease || on_map) && !is_native,
                    _ => false,
                };
                ensure!(allowed, "{} asked for more: {request:?}", self.fleet.replica(index).name());
            }
        }
        Ok(())
    }
}
