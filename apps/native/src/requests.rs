//! What goes over the wire: get and put, each with a time-out, and a watch that begins again whenever it ends. How an
//! answer is to be understood is decided here; what follows from it, in `lease.rs`.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use kube::{Client, Error};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::lease::{Event, Timing};

/// Which Lease, and what to tell of the requests.
pub struct Params {
    pub namespace: String,
    pub lease_name: String,
    pub timing: Timing,
    /// Called after each request for the Lease, for metrics.
    pub on_attempt: Box<dyn Fn(Attempt) + Send + Sync>,
}

/// How a request for the Lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A write was accepted after this time.
    Wrote(Duration),
    /// Refused, failed or timed out.
    Failed,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The API server says that the write did not happen, because the Lease is not what it was thought to be.
    Refused(Error),
    /// Whether a write happened is open.
    Failed(Error),
    /// No answer in time: whether a write happened is open.
    TimedOut(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // kube's own texts repeat the whole Status; its message alone is what a person reads.
            Self::Refused(Error::Api(status)) | Self::Failed(Error::Api(status)) => {
                write!(f, "{} ({})", status.message, status.code)
            }
            Self::Refused(error) | Self::Failed(error) => {
                write!(f, "{error}")?;
                let mut source = std::error::Error::source(error);
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
            Self::TimedOut(bound) => write!(f, "no answer within {bound:?}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            // 409: another version or another object; 422: a put meant to create met an existing Lease; 404: it is gone.
            Error::Api(status) if matches!(status.code, 404 | 409 | 422) => Self::Refused(error),
            _ => Self::Failed(error),
        }
    }
}

/// Two attempts fit into a renew deadline even if the first one hangs, as with client-go.
pub fn attempt_timeout(timing: &Timing) -> Duration {
    timing.renew_deadline / 2
}

/// The requests for one Lease. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    leases: Api<Lease>,
    params: Arc<Params>,
}

impl Requests {
    pub fn new(client: Client, params: Params) -> Self {
        Self { leases: Api::namespaced(client, &params.namespace), params: Arc::new(params) }
    }

    async fn bounded<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let bound = attempt_timeout(&self.params.timing);
        let answer = match timeout(bound, request).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::TimedOut(bound)),
        };
        if answer.is_err() {
            (self.params.on_attempt)(Attempt::Failed);
        }
        answer
    }

    /// The Lease as it is now: without a resourceVersion the API server asks etcd, never its cache.
    pub async fn get(&self) -> Result<Option<Lease>, Failure> {
        self.bounded(self.leases.get_opt(&self.params.lease_name)).await
    }

    /// Replaces the Lease of exactly this uid and resourceVersion. Without them it creates the Lease, and is refused if
    /// there is one: unlike a post, such a put is authorised by name.
    pub async fn put(&self, mut lease: Lease) -> Result<Lease, Failure> {
        lease.metadata.name = Some(self.params.lease_name.clone());
        lease.metadata.namespace = Some(self.params.namespace.clone());
        let sent = Instant::now();
        let accepted =
            self.bounded(self.leases.replace(&self.params.lease_name, &PostParams::default(), &lease)).await?;
        (self.params.on_attempt)(Attempt::Wrote(sent.elapsed()));
        Ok(accepted)
    }

    /// [`Requests::get`], told as an event.
    pub async fn read(&self) -> Event {
        match self.get().await {
            Ok(lease) => Event::Read(lease),
            Err(error) => {
                warn!(%error, "error retrieving lease");
                Event::ReadFailed
            }
        }
    }

    /// [`Requests::put`], told as an event.
    pub async fn write(&self, lease: Lease) -> Event {
        match self.put(lease).await {
            Ok(lease) => Event::Wrote(lease),
            Err(error @ Failure::Refused(_)) => {
                debug!(%error, "lost a race for the lease");
                Event::Refused
            }
            Err(error) => {
                warn!(%error, "failed to update lease");
                Event::WriteFailed
            }
        }
    }

    /// Watches the Lease until the handle is dropped.
    pub fn watch(&self) -> Watch {
        // A slow elector slows the watch down, not the other way round: what is not read waits in the connection.
        let (sender, events) = mpsc::channel(16);
        let requests = self.clone();
        let task = tokio::spawn(async move { requests.watch_for_ever(sender).await });
        Watch { events, _task: AbortOnDropHandle::new(task) }
    }

    async fn watch_for_ever(self, events: mpsc::Sender<Event>) {
        let mut complaint = None;
        loop {
            let next_start = Instant::now() + self.params.timing.retry_period;
            let failure = self.watch_once(&events).await.err().map(|error| error.to_string());
            // Not at each repetition: without the right to watch this would go on for as long as the process lives.
            if let Some(error) = failure.as_ref().filter(|_| failure != complaint) {
                warn!(error, "cannot watch the lease, asking every retry period instead");
            }
            complaint = failure;
            if events.send(Event::WatchEnded).await.is_err() {
                return;
            }
            sleep_until(next_start).await;
        }
    }

    /// From version "0": the present state first, then every change. So nothing is missed between two watches, and there
    /// is neither a list nor a version too old to handle.
    async fn watch_once(&self, events: &mpsc::Sender<Event>) -> Result<(), Failure> {
        let only_this = WatchParams::default().fields(&format!("metadata.name={}", self.params.lease_name));
        let changes = self.bounded(self.leases.watch(&only_this, "0")).await?;
        let mut changes = pin!(changes);
        while let Some(change) = changes.try_next().await? {
            let event = match change {
                WatchEvent::Added(lease) | WatchEvent::Modified(lease) => Event::Watched(lease),
                WatchEvent::Deleted(lease) => Event::Deleted(lease),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => return Err(Failure::Failed(Error::Api(status))),
            };
            if events.send(event).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A running watch; dropping it ends it.
pub struct Watch {
    events: mpsc::Receiver<Event>,
    _task: AbortOnDropHandle<()>,
}

impl Watch {
    /// The next event; waits for ever once the watch has died, since the elector can do without it.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}
