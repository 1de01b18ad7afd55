//! An elector that polls: get the Lease, decide, patch it. What each defect takes out of it stands where it is missing.
//!
//! Promises nothing: that is its use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use still_leading_scaffold::{Status, Term};
use tokio::select;
use tokio::sync::watch::Sender;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::work::Defect;

/// What is contended for, in whose name, how patiently, and what is broken.
pub struct Params {
    pub namespace: String,
    pub lease_name: String,
    pub identity: String,
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry_period: Duration,
    pub defect: Option<Defect>,
}

/// What this replica believes.
#[derive(Clone, Debug, Default)]
pub struct Belief {
    leader: Option<String>,
    term: Option<Claim>,
}

/// Its own term.
#[derive(Clone, Debug)]
struct Claim {
    /// The number of transitions at its beginning.
    epoch: u64,
    /// When it ends, which each renewal moves. None: only when somebody says so.
    ends: Arc<Mutex<Option<Instant>>>,
}

impl Claim {
    fn remaining(&self) -> Duration {
        let ends = *self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.map_or(Duration::MAX, |ends| ends.saturating_duration_since(Instant::now()))
    }

    fn ends(&self, ends: Option<Instant>) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }
}

impl Belief {
    /// As the application sees it.
    pub fn view(&self) -> Status {
        let term = self.term.clone().map(|claim| Term::new(Some(claim.epoch), move || claim.remaining()));
        Status { ready: self.leader.is_some(), leader: self.leader.clone(), term, lost: None }
    }
}

pub struct Elector {
    leases: Api<Lease>,
    params: Params,
    publish: Sender<Belief>,
    /// The state of the Lease that was seen last, and since when it has been so.
    seen: Option<(String, Instant)>,
}

impl Elector {
    pub fn new(client: Client, params: Params, publish: Sender<Belief>) -> Self {
        Self { leases: Api::namespaced(client, &params.namespace), params, publish, seen: None }
    }

    /// Contends until `release` is cancelled, and gives the Lease up then; with a defect already at `shutdown`.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>, release: CancellationToken) -> Result<()> {
        let early = self.is(Defect::ReleaseBeforeDrain);
        tokio::pin!(shutdown);
        loop {
            select! {
                biased;
                () = release.cancelled() => break,
                () = &mut shutdown, if early => {
                    self.release().await?;
                    release.cancelled().await;
                    return Ok(());
                }
                () = self.attempt_and_pause() => {}
            }
        }
        self.release().await
    }

    fn is(&self, defect: Defect) -> bool {
        self.params.defect == Some(defect)
    }

    async fn attempt_and_pause(&mut self) {
        self.attempt().await;
        sleep(self.params.retry_period).await;
    }

    async fn attempt(&mut self) {
        let sent = Instant::now();
        let bound = self.params.renew_deadline / 2;
        let outcome = match self.is(Defect::NoTimeOuts) {
            true => self.acquire_or_renew(sent).await,
            false => timeout(bound, self.acquire_or_renew(sent)).await.unwrap_or_else(|late| Err(late.into())),
        };
        // An error ends no term before its deadline. Where there is no deadline, it ends with the error, unless it is a flag.
        if outcome.is_err() && self.is(Defect::NoTimeOuts) {
            self.publish.send_modify(|belief| belief.term = None);
        }
    }

    async fn acquire_or_renew(&mut self, sent: Instant) -> Result<()> {
        let mut lease = self.read().await?;
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, Instant::now()));
        }
        let spec = lease.spec.get_or_insert_default();
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let is_own = holder.as_ref() == Some(&self.params.identity);
        let since = self.seen.as_ref().map_or(sent, |(_, since)| *since);
        let is_free = holder.is_none() || since.elapsed() > self.params.lease_duration;
        if !is_own && !is_free {
            self.publish.send_modify(|belief| *belief = Belief { leader: holder, term: None });
            return Ok(());
        }
        self.claim(spec, is_own);
        let epoch = spec.lease_transitions.unwrap_or_default().unsigned_abs().into();
        self.write(&lease).await?;
        let endless = self.is(Defect::Boolean) || self.is(Defect::NoTimeOuts);
        let ends = (!endless).then(|| sent + self.params.renew_deadline);
        self.publish.send_modify(|belief| {
            belief.leader = Some(self.params.identity.clone());
            match belief.term.as_ref().filter(|claim| claim.epoch == epoch && !claim.remaining().is_zero()) {
                Some(claim) => claim.ends(ends),
                None => belief.term = Some(Claim { epoch, ends: Arc::new(Mutex::new(ends)) }),
            }
        });
        Ok(())
    }

    /// The Lease; where there is none, an empty one is made.
    async fn read(&self) -> Result<Lease> {
        let name = &self.params.lease_name;
        if let Some(lease) = self.leases.get_opt(name).await? {
            return Ok(lease);
        }
        let mut lease = Lease::default();
        lease.metadata.name = Some(name.clone());
        Ok(self.leases.create(&PostParams::default(), &lease).await?)
    }

    /// Writes the spec, on the condition that the Lease has not changed since it was read; with a defect on none.
    async fn write(&self, lease: &Lease) -> Result<()> {
        let mut patch = json!({"spec": lease.spec});
        if !self.is(Defect::NoCompareAndSwap) {
            patch["metadata"] = json!({"resourceVersion": lease.metadata.resource_version});
        }
        let patch = Patch::Merge(patch);
        self.leases.patch(&self.params.lease_name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn claim(&self, spec: &mut LeaseSpec, is_own: bool) {
        let now = MicroTime(Timestamp::now());
        if !is_own {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
            spec.acquire_time = Some(now.clone());
            spec.holder_identity = Some(self.params.identity.clone());
        }
        spec.renew_time = Some(now);
        spec.lease_duration_seconds = i32::try_from(self.params.lease_duration.as_secs()).ok();
    }

    async fn release(&mut self) -> Result<()> {
        if self.publish.borrow().term.is_none() {
            return Ok(());
        }
        let mut lease = self.read().await?;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() == Some(&self.params.identity) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.write(&lease).await?;
        }
        Ok(())
    }
}
