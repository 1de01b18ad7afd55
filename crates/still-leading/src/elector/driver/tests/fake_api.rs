//! An API server with one Lease that answers as each test wants, below a `kube` client.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::unfold;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::mpsc;
use tower::service_fn;

/// How the API server treats gets and puts of the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    Hanging,
    /// Carries out puts and does not answer them.
    Deaf,
    Failing(u16, &'static str),
    /// Puts fail in this way, gets do not.
    FailingPuts(u16, &'static str),
}

/// An API server with one Lease.
pub struct Server {
    pub mood: Mood,
    pub lease: Option<Lease>,
    version: u64,
    uids: u64,
    /// Bodies of all puts, accepted or not.
    pub puts: Vec<Lease>,
    pub gets: usize,
    /// Puts that were sent, answered or not.
    pub begun_puts: usize,
    requests: usize,
    /// Those who watch. `None`: a watch is accepted and never begins.
    watches: Option<Vec<mpsc::UnboundedSender<String>>>,
    pub watches_opened: usize,
    /// Events are lost.
    pub is_stalled: bool,
    /// Watches are accepted and never say anything.
    pub is_mute: bool,
    /// So many gets are not answered.
    pub hanging_gets: usize,
    /// Shown as renewTime until somebody claims the Lease; the types of the client cannot hold each one.
    pub renew_time: Option<&'static str>,
    /// How long a request takes to arrive, and its answer to come back.
    pub latency: Duration,
    /// So many puts lost a race.
    pub conflicts: usize,
}

async fn pause(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

type AnyBody = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Clone)]
pub struct FakeApi(pub Arc<Mutex<Server>>);

impl FakeApi {
    /// With an empty Lease that is a day old, and without watches.
    pub fn new() -> Self {
        let mut lease = Lease { spec: Some(LeaseSpec::default()), ..Lease::default() };
        lease.metadata.name = Some("my-lease".to_owned());
        lease.metadata.uid = Some("uid-1".to_owned());
        lease.metadata.resource_version = Some("10".to_owned());
        lease.metadata.creation_timestamp = serde_json::from_value(json!("2026-11-24T12:00:00Z")).unwrap();
        Self(Arc::new(Mutex::new(Server {
            mood: Mood::Well,
            lease: Some(lease),
            version: 10,
            uids: 1,
            puts: Vec::new(),
            gets: 0,
            begun_puts: 0,
            requests: 0,
            watches: None,
            watches_opened: 0,
            is_stalled: false,
            is_mute: false,
            hanging_gets: 0,
            renew_time: None,
            latency: Duration::ZERO,
            conflicts: 0,
        })))
    }

    /// As `new`, with watches that deliver.
    pub fn with_watches() -> Self {
        let api = Self::new();
        api.0.lock().unwrap().watches = Some(Vec::new());
        api
    }

    pub fn set(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub fn holder(&self) -> Option<String> {
        self.0.lock().unwrap().lease.as_ref()?.spec.as_ref()?.holder_identity.clone()
    }

    pub fn puts(&self) -> usize {
        self.0.lock().unwrap().puts.len()
    }

    /// Somebody writes the Lease.
    pub fn change(&self, change: impl FnOnce(&mut LeaseSpec)) {
        self.change_lease(|lease| change(lease.spec.as_mut().unwrap()));
    }

    /// As `change`, also what is beside the claim.
    pub fn change_lease(&self, change: impl FnOnce(&mut Lease)) {
        let mut server = self.0.lock().unwrap();
        let mut lease = server.lease.clone().unwrap();
        change(&mut lease);
        server.store(lease);
    }

    pub fn give_to(&self, holder: &str) {
        self.change(|spec| spec.holder_identity = Some(holder.to_owned()));
    }

    pub fn end_watches(&self) {
        self.0.lock().unwrap().watches = Some(Vec::new());
    }

    pub fn client(&self) -> Client {
        let api = self.clone();
        Client::new(service_fn(move |request| api.clone().answer(request)), "default")
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<AnyBody>, Infallible> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (mood, latency) = {
            let mut server = self.0.lock().unwrap();
            server.requests += 1;
            // Paused time stands still for whoever never waits: without this, such a bug would hang the test.
            assert!(server.requests < 1000, "the API server is hammered");
            server.begun_puts += usize::from(method == Method::PUT);
            (server.mood, server.latency)
        };
        pause(latency).await;
        if is_watch {
            let events = self.0.lock().unwrap().watch();
            return match events {
                Some(events) => Ok(Response::new(streamed(events))),
                None => std::future::pending().await,
            };
        }
        let is_put = method == Method::PUT;
        let hangs = {
            let mut server = self.0.lock().unwrap();
            let hangs = !is_put && server.hanging_gets > 0;
            server.hanging_gets -= usize::from(hangs);
            hangs
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        let (status, body) = match mood {
            Mood::Hanging => std::future::pending().await,
            Mood::Failing(status, body) => (status, body.to_owned()),
            Mood::FailingPuts(status, body) if is_put => (status, body.to_owned()),
            _ if is_put => self.0.lock().unwrap().put(serde_json::from_slice(&body).unwrap()),
            _ => self.0.lock().unwrap().get(),
        };
        pause(latency).await;
        if mood == Mood::Deaf && is_put {
            std::future::pending::<()>().await;
        }
        let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        let response = response.header(header::DATE, "Wed, 25 Nov 2026 12:00:00 GMT");
        Ok(response.body(Full::new(Bytes::from(body)).boxed_unsync()).unwrap())
    }
}

impl Server {
    fn get(&mut self) -> (u16, String) {
        self.gets += 1;
        match &self.lease {
            Some(lease) => (200, self.shown(lease).to_string()),
            None => (404, refusal(404, "NotFound", r#"leases.coordination.k8s.io "my-lease" not found"#)),
        }
    }

    fn shown(&self, lease: &Lease) -> serde_json::Value {
        let mut lease = json!(lease);
        if let Some(time) = self.renew_time.filter(|_| self.puts.is_empty()) {
            lease["spec"]["renewTime"] = json!(time);
        }
        lease
    }

    fn put(&mut self, mut lease: Lease) -> (u16, String) {
        self.puts.push(lease.clone());
        let present = self.lease.as_ref().map(|lease| lease.metadata.resource_version.clone());
        if Some(&lease.metadata.resource_version) != present.as_ref().or(Some(&None)) {
            self.conflicts += 1;
            return (409, refusal(409, "Conflict", "the object has been modified"));
        }
        if present.is_none() {
            self.uids += 1;
            lease.metadata.uid = Some(format!("uid-{}", self.uids));
        }
        self.store(lease);
        (200, serde_json::to_string(&self.lease).unwrap())
    }

    fn store(&mut self, mut lease: Lease) {
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.tell("MODIFIED", &lease);
        self.lease = Some(lease);
    }

    pub fn delete(&mut self) {
        let mut lease = self.lease.take().unwrap();
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.tell("DELETED", &lease);
    }

    pub fn tell(&mut self, what: &str, lease: &Lease) {
        let line = format!("{}\n", json!({"type": what, "object": lease}));
        if !self.is_stalled {
            self.watches.iter_mut().flatten().for_each(|watch| drop(watch.send(line.clone())));
        }
    }

    fn watch(&mut self) -> Option<mpsc::UnboundedReceiver<String>> {
        self.watches.as_ref()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        if self.is_mute {
            self.watches_opened += 1;
            // Nobody drops it.
            std::mem::forget(sender);
            return Some(receiver);
        }
        if let Some(lease) = &self.lease {
            sender.send(format!("{}\n", json!({"type": "ADDED", "object": self.shown(lease)}))).unwrap();
        }
        self.watches.as_mut()?.push(sender);
        self.watches_opened += 1;
        self.is_stalled = false;
        Some(receiver)
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> String {
    let details = json!({"name": "my-lease", "group": "coordination.k8s.io", "kind": "leases"});
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
           "details": details})
    .to_string()
}

fn streamed(events: mpsc::UnboundedReceiver<String>) -> AnyBody {
    let lines = unfold(events, |mut events| async move { Some((events.recv().await?, events)) });
    StreamBody::new(lines.map(|line| Ok(http_body::Frame::data(Bytes::from(line))))).boxed_unsync()
}
