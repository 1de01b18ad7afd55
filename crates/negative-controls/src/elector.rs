//! An elector that polls: get the Lease, decide, replace it. What each defect takes out of it stands where it is missing.
//!
//! Promises nothing: that is its use.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
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
    /// Its own term: the number of transitions at its beginning, and when it ends. None: only when somebody says so.
    term: Option<(u64, Option<Instant>)>,
}

impl Belief {
    /// As the application sees it.
    pub fn view(&self) -> Status {
        let remaining =
            |ends: Option<Instant>| ends.map_or(Duration::MAX, |ends| ends.saturating_duration_since(Instant::now()));
        let term = self.term.map(|(epoch, ends)| Term::new(Some(epoch), move || remaining(ends)));
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
                () = self.attempt() => {}
            }
            select! {
                biased;
                () = release.cancelled() => break,
                () = &mut shutdown, if early => {
                    self.release().await?;
                    release.cancelled().await;
                    return Ok(());
                }
                () = sleep(self.params.retry_period) => {}
            }
        }
        self.release().await
    }

    fn is(&self, defect: Defect) -> bool {
        self.params.defect == Some(defect)
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
        let mut lease = self.leases.get(&self.params.lease_name).await?;
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
        if self.is(Defect::NoCompareAndSwap) {
            // The version of the moment: whoever has written since is overwritten.
            lease.metadata.resource_version = self.leases.get(&self.params.lease_name).await?.metadata.resource_version;
        }
        let epoch = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        self.leases.replace(&self.params.lease_name, &PostParams::default(), &lease).await?;
        let endless = self.is(Defect::Boolean) || self.is(Defect::NoTimeOuts);
        let ends = (!endless).then(|| sent + self.params.renew_deadline);
        let (leader, term) = (Some(self.params.identity.clone()), Some((u64::from(epoch.unsigned_abs()), ends)));
        self.publish.send_modify(|belief| *belief = Belief { leader, term });
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
        let mut lease = self.leases.get(&self.params.lease_name).await?;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() == Some(&self.params.identity) {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            self.leases.replace(&self.params.lease_name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }
}
