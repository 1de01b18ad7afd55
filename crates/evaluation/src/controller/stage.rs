//! Three replicas on sources of their own, and the questions that all parts ask of them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use still_leading_testbed::api_server::Fence;
use still_leading_testbed::fencing::component;
use still_leading_testbed::proxy::Request;
use still_leading_testbed::{ApiServer, Fleet, FleetOptions, Timings, Variant, Verb, manifests};
use tokio::time::{Instant, sleep};

use super::edits::{self, source};
use super::judge::{self, COPY, Seen, Term, terms};
use super::watch::Watch;
use super::{Lab, fencing};

/// Longer than anything here takes on a busy machine.
pub(super) const BOUND: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(20);

pub(super) const TIMINGS: Timings = Timings::SHORT;

/// What a stage is made of.
pub(super) struct Setup<'a> {
    pub(super) variant: Variant,
    pub(super) program: &'a Path,
    pub(super) sources: usize,
    /// The policy is in force, and the replicas ask for it.
    pub(super) fenced: bool,
    pub(super) args: &'a [&'a str],
}

pub(super) struct Stage<'a> {
    server: &'a ApiServer,
    pub(super) fleet: Fleet,
    pub(super) objects: Api<ConfigMap>,
    /// The replicas that were not ended.
    pub(super) live: Vec<usize>,
    /// The sources at the start.
    pub(super) sources: usize,
    watch: Watch,
    fence: Option<Fence>,
}

/// A term and the replica that has it.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    pub(super) index: usize,
    pub(super) term: Term,
}

impl<'a> Stage<'a> {
    /// Makes the sources, starts three replicas, and waits until each source has its copy.
    pub(super) async fn start(lab: Lab<'a>, setup: Setup<'_>) -> Result<Self> {
        let mut options = FleetOptions::new(setup.variant, setup.program.to_owned());
        (options.replicas, options.timings) = (0, TIMINGS);
        options.args = setup.args.iter().map(|&arg| arg.to_owned()).collect();
        if setup.fenced {
            options.args.push("--require-fencing".to_owned());
        }
        if setup.variant == Variant::ControllerGo {
            options.manifests = Some(manifests::parse(include_str!("manifest-go.yaml"))?);
        }
        let mut fleet = Fleet::start(lab.server, options).await?;
        let objects: Api<ConfigMap> = Api::namespaced(fleet.client().clone(), fleet.namespace());
        let watch = Watch::start(objects.clone());
        let fence = match setup.fenced {
            true => {
                let (fence, manifest) = component(fleet.lease_name(), fleet.namespace())?;
                lab.server.fence(&fence, &manifest).await?;
                Some(fence)
            }
            false => None,
        };
        let (params, made) = (PostParams::default(), &objects);
        let creating = (0..setup.sources).map(|number| {
            let params = &params;
            async move { made.create(params, &source(&edits::name(number), "first")).await }
        });
        futures::stream::iter(creating).buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await?;
        let mut live = Vec::new();
        for _ in 0..3 {
            live.push(fleet.start_replica(lab.server).await?);
        }
        let stage = Self { server: lab.server, fleet, objects, live, sources: setup.sources, watch, fence };
        stage.leader(None).await?;
        stage.settled().await?;
        for index in &stage.live {
            stage.taking_part(*index).await?;
        }
        Ok(stage)
    }

    /// Starts one more replica and waits until it takes part.
    pub(super) async fn replace(&mut self, ended: usize) -> Result<()> {
        self.live.retain(|index| *index != ended);
        let index = self.fleet.start_replica(self.server).await?;
        self.live.push(index);
        self.taking_part(index).await
    }

    /// The terms so far, from the Lease.
    pub(super) fn terms(&self) -> Vec<Term> {
        let version = |text: &str| text.parse().unwrap_or_default();
        terms(self.fleet.lease_history().into_iter().map(|it| (version(&it.resource_version), it.at, it.holder)))
    }

    /// Waits until a replica holds the Lease in a term that began after `after`.
    pub(super) async fn leader(&self, after: Option<&Term>) -> Result<Leader> {
        let after = after.map_or(0, |term| term.epoch);
        let deadline = Instant::now() + BOUND;
        loop {
            let term = self.terms().pop().filter(|term| term.epoch > after && term.ended.is_none());
            if let Some(term) = term {
                // The watch may be faster than the answer to the write, by which the holder is known.
                sleep(LOOK * 5).await;
                let index = self.holder().context("nobody has written the Lease")?;
                return Ok(Leader { index, term });
            }
            ensure!(Instant::now() < deadline, "nobody leads; {}", self.said());
            sleep(LOOK).await;
        }
    }

    /// Who wrote the Lease last. Right while somebody holds it, and in either language.
    fn holder(&self) -> Option<usize> {
        let last = |index: &usize| {
            let requests = self.fleet.proxy(*index).requests();
            let is_held = |it: &&Request| it.verb.is_write() && it.path.contains("/leases") && it.succeeded();
            requests.iter().rfind(is_held).map(|it| it.at)
        };
        (0..self.fleet.len()).filter_map(|index| Some((last(&index)?, index))).max().map(|(_, index)| index)
    }

    /// Waits until each source has its copy; with the policy, one of the present epoch.
    pub(super) async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + BOUND;
        loop {
            let wrong = self.wrong();
            if wrong.is_empty() {
                return Ok(());
            }
            let first: Vec<_> = wrong.iter().take(3).collect();
            ensure!(Instant::now() < deadline, "{} copies are not right: {first:?}; {}", wrong.len(), self.said());
            sleep(LOOK * 5).await;
        }
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        let epoch = self.fence.is_some().then(|| self.terms().last().map_or(u64::MAX, |term| term.epoch));
        judge::wrong(&self.watch.seen(), epoch)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.watch.seen().clone()
    }

    async fn taking_part(&self, index: usize) -> Result<()> {
        let deadline = Instant::now() + BOUND;
        loop {
            let requests = self.fleet.proxy(index).requests();
            if requests.iter().any(|it| it.path.contains("/leases") && it.succeeded()) {
                return Ok(());
            }
            if self.fleet.replica(index).exit_status().is_some() {
                bail!("{} has ended; {}", self.fleet.replica(index).name(), self.said());
            }
            ensure!(Instant::now() < deadline, "{} takes no part", self.fleet.replica(index).name());
            sleep(LOOK).await;
        }
    }

    /// The requests of a replica about copies that write them, in the order of arrival.
    pub(super) fn writes(&self, index: usize) -> Vec<Request> {
        let mut requests = self.fleet.proxy(index).requests();
        requests.retain(|it| it.verb.is_write() && it.path.contains("/configmaps"));
        requests
    }

    /// The names of the copies that a replica has asked for, and when: each reconcile begins with that.
    pub(super) fn reads(&self, index: usize) -> Vec<(String, u64)> {
        let requests = self.fleet.proxy(index).requests();
        let reads = requests.iter().filter(|it| it.verb == Verb::Get && it.path.contains("/configmaps/"));
        reads.filter_map(|it| Some((it.path.rsplit('/').next()?.strip_suffix(COPY)?.to_owned(), it.at))).collect()
    }

    /// The lines that a replica logged about failed reconciles, each with its time.
    pub(super) fn failures(&self, index: Option<usize>) -> Vec<(u64, String)> {
        let of = index.map(|index| self.fleet.replica(index).name().to_owned());
        let events = self.fleet.history().events();
        let failed = events.iter().filter(|it| it.message == "reconcile failed");
        let failed = failed.filter(|it| of.as_ref().is_none_or(|name| *name == it.replica));
        failed.filter_map(|it| Some((it.at, it.fields.get("error")?.as_str()?.to_owned()))).collect()
    }

    fn said(&self) -> String {
        let table = self.fleet.history().table();
        let lines: Vec<&str> = table.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub(super) async fn end(self) {
        if let Some(fence) = &self.fence {
            fencing::remove(self.fleet.client(), fence).await;
        }
        self.fleet.stop().await;
    }
}
