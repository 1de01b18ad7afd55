//! Records "became leader" and "stopped leading" as Events of the Lease, as client-go does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Error, Resource};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// How long one Event may take. Waiting longer is not worth it.
const BOUND: Duration = Duration::from_secs(5);

/// Records Events in the background. They never delay the work, and if one fails, the work goes on.
#[derive(Clone)]
pub struct Announcer(Arc<Inner>);

struct Inner {
    leases: Api<Lease>,
    recorder: Recorder,
    namespace: String,
    lease: String,
    identity: String,
    /// Whether the right is missing, which was logged once.
    is_off: AtomicBool,
    /// Events on their way. The process waits a moment for them when it ends.
    tasks: TaskTracker,
}

/// A term that was announced. Dropping it announces the end of the term.
pub struct Announced(Announcer);

impl Announcer {
    /// Makes an announcer. Call it on a Tokio runtime.
    pub fn new(client: Client, namespace: &str, lease: &str, identity: &str, tasks: TaskTracker) -> Self {
        let reporter =
            Reporter { controller: "still-leading-controller".to_owned(), instance: Some(identity.to_owned()) };
        Self(Arc::new(Inner {
            leases: Api::namespaced(client.clone(), namespace),
            recorder: Recorder::new(client, reporter),
            namespace: namespace.to_owned(),
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            is_off: AtomicBool::new(false),
            tasks,
        }))
    }

    /// Announces that a term has begun. Call it on a Tokio runtime.
    pub fn began(self) -> Announced {
        self.announce("became leader", "BecomeLeader");
        Announced(self)
    }

    fn announce(&self, what: &'static str, action: &'static str) {
        let inner = self.0.clone();
        self.0.tasks.spawn(async move {
            match timeout(BOUND, inner.publish(what, action)).await {
                Ok(Ok(())) => {}
                Ok(Err(Error::Api(status))) if status.code == 403 => {
                    if !inner.is_off.swap(true, Ordering::Relaxed) {
                        warn!(reason = status.message, "no Events are recorded");
                    }
                }
                Ok(Err(error)) => debug!(%error, what, "an Event was not recorded"),
                Err(_) => debug!(what, "an Event was not recorded in time"),
            }
        });
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.announce("stopped leading", "StopLeading");
    }
}

impl Inner {
    async fn publish(&self, what: &str, action: &str) -> Result<(), Error> {
        if self.is_off.load(Ordering::Relaxed) {
            return Ok(());
        }
        // `kubectl describe lease` shows the Events with the uid of the Lease.
        let uid = self.leases.get_opt(&self.lease).await?.and_then(|lease| lease.metadata.uid);
        let lease = ObjectReference {
            api_version: Some(Lease::api_version(&()).into_owned()),
            kind: Some(Lease::kind(&()).into_owned()),
            name: Some(self.lease.clone()),
            namespace: Some(self.namespace.clone()),
            uid,
            ..ObjectReference::default()
        };
        let event = Event {
            type_: EventType::Normal,
            reason: "LeaderElection".to_owned(),
            note: Some(format!("{} {what}", self.identity)),
            // The recorder counts Events with one reason and action as one.
            action: action.to_owned(),
            secondary: None,
        };
        self.recorder.publish(&event, &lease).await
    }
}
