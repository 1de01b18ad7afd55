//! An API server for one Lease, in memory, with a link for each client. A link can be cut off, delayed or refused.
//!
//! Put this file at `tests/lease/mod.rs`. It compiles with kube 1, 2, 4 and 5. It answers as kube-apiserver does as far as
//! the tests need it: resourceVersion, 404, 409, and for server-side apply one owner of `holderIdentity`.

// Each file of tests uses a part of this.
#![allow(dead_code)]

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

/// The name of the Lease. Its namespace is `default`.
pub const NAME: &str = "test";

/// What a link does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It delivers the request.
    None,
    /// The connection is refused.
    Refused,
    /// The connection is open, and no answer comes. The server does not see the request.
    Silent,
    /// The server sees the request after this time.
    Late(Duration),
    /// The server sees the request at once, and the answer comes after this time.
    AnsweredLate(Duration),
    /// This status is the answer, and nothing is changed.
    Status(u16),
}

/// The Lease, and everything that was asked for.
#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    lease: Option<Value>,
    version: u64,
    /// The field manager that set the holder last.
    owner: Option<String>,
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the Lease with this spec, as `kubectl` would.
    pub fn put(&self, spec: Value) {
        self.lock().store(json!({ "metadata": { "name": NAME, "namespace": "default" }, "spec": spec }));
    }

    /// Deletes the Lease.
    pub fn delete(&self) {
        self.lock().lease = None;
    }

    /// A field of the Lease's spec. It is null when the field or the Lease is missing.
    pub fn spec(&self, field: &str) -> Value {
        self.lock().lease.as_ref().map_or(Value::Null, |lease| lease["spec"][field].clone())
    }

    /// A new link to this server, without a fault.
    pub fn link(&self) -> Link {
        Link { server: self.clone(), state: Arc::new(Mutex::new(LinkState::default())) }
    }
}

/// The network between one client and the server.
#[derive(Clone)]
pub struct Link {
    server: Server,
    state: Arc<Mutex<LinkState>>,
}

struct LinkState {
    reads: Fault,
    writes: Fault,
    requests: u64,
}

impl Default for LinkState {
    fn default() -> Self {
        Self { reads: Fault::None, writes: Fault::None, requests: 0 }
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the fault of reads and writes. It applies to requests that are sent from now on.
    pub fn set(&self, fault: Fault) {
        let mut state = self.lock();
        (state.reads, state.writes) = (fault, fault);
    }

    /// Sets the fault of writes only.
    pub fn set_writes(&self, fault: Fault) {
        self.lock().writes = fault;
    }

    /// The number of requests so far, watches left out.
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// A client whose requests take this link. `kube` repeats none of them.
    pub fn client(&self) -> kube::Client {
        let link = self.clone();
        kube::Client::new(service_fn(move |request| link.clone().send(request)), "default")
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        // A watch stays open, and no event comes.
        if request.uri().query().is_some_and(|query| query.contains("watch=")) {
            return pending().await;
        }
        let fault = {
            let mut state = self.lock();
            state.requests += 1;
            if request.method() == Method::GET { state.reads } else { state.writes }
        };
        let mut after = Duration::ZERO;
        // The time that a request takes without a fault.
        tokio::time::sleep(Duration::from_millis(5)).await;
        match fault {
            Fault::None => {}
            Fault::Refused => return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            Fault::Silent => return pending().await,
            Fault::Late(time) => tokio::time::sleep(time).await,
            Fault::AnsweredLate(time) => after = time,
            Fault::Status(code) => return respond(Err(code)),
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        let is_list = head.uri.path().ends_with("/leases");
        let query = head.uri.query().unwrap_or_default();
        let answer = match head.headers.get("content-type").and_then(|it| it.to_str().ok()) {
            Some("application/apply-patch+yaml") => self.server.lock().apply(body, query),
            _ => self.server.lock().answer(&head.method, is_list, body, query),
        };
        tokio::time::sleep(after).await;
        respond(answer)
    }
}

impl Stored {
    fn answer(&mut self, method: &Method, is_list: bool, body: Value, query: &str) -> Result<Value, u16> {
        match *method {
            Method::GET if is_list => {
                let version = self.version.to_string();
                Ok(json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "LeaseList",
                    "metadata": { "resourceVersion": version }, "items": self.lease.iter().collect::<Vec<_>>() }))
            }
            Method::GET => self.lease.clone().ok_or(404),
            Method::POST if self.lease.is_some() => Err(409),
            Method::POST => Ok(self.store(body)),
            _ => {
                let mut lease = self.lease.clone().ok_or(404_u16)?;
                self.check(&body)?;
                if *method == Method::PUT {
                    lease = body;
                } else {
                    self.note_owner(&body, query);
                    merge(&mut lease, body);
                }
                Ok(self.store(lease))
            }
        }
    }

    /// Server-side apply.
    fn apply(&mut self, body: Value, query: &str) -> Result<Value, u16> {
        let Some(mut lease) = self.lease.clone() else {
            // "name must be provided"
            if body["metadata"]["name"].is_null() {
                return Err(400);
            }
            self.note_owner(&body, query);
            return Ok(self.store(body));
        };
        self.check(&body)?;
        let (held, wanted) = (&lease["spec"]["holderIdentity"], &body["spec"]["holderIdentity"]);
        let is_owned = !held.is_null() && self.owner.as_deref() != Some(manager(query));
        if is_owned && held != wanted && !query.contains("force=true") {
            return Err(409);
        }
        self.note_owner(&body, query);
        merge(&mut lease, body);
        Ok(self.store(lease))
    }

    /// A write that names a resourceVersion succeeds on that version only.
    fn check(&self, body: &Value) -> Result<(), u16> {
        let named = body["metadata"]["resourceVersion"].as_str();
        let is_current = named.is_none_or(|version| version == self.version.to_string());
        if is_current { Ok(()) } else { Err(409) }
    }

    fn note_owner(&mut self, body: &Value, query: &str) {
        if body["spec"].get("holderIdentity").is_some() {
            self.owner = Some(manager(query).to_owned());
        }
    }

    fn store(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["apiVersion"] = "coordination.k8s.io/v1".into();
        lease["kind"] = "Lease".into();
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        if lease["spec"].is_null() {
            lease["spec"] = json!({});
        }
        self.lease.insert(lease).clone()
    }
}

fn manager(query: &str) -> &str {
    query.split('&').find_map(|it| it.strip_prefix("fieldManager=")).unwrap_or_default()
}

/// JSON merge patch: null removes a field.
fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    into.remove(&name);
                } else {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (into, patch) => *into = patch,
    }
}

fn respond(answer: Result<Value, u16>) -> Result<Response<Body>, BoxError> {
    let (code, body) = match answer {
        Ok(body) => (200, body),
        Err(code) => {
            let reason = match code {
                404 => "NotFound",
                409 => "Conflict",
                _ => "",
            };
            (
                code,
                json!({ "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
                "message": format!("answered with {code}"), "reason": reason, "code": code }),
            )
        }
    };
    Ok(Response::builder().status(code).body(Body::from(serde_json::to_vec(&body)?))?)
}
