//! The simulated server and network behind the transport of a real `kube` client.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use serde_json::value::Value;
use still_leading_simulation::intervention::Intervention;
use still_leading_simulation::network::{Key, Network, Treatment, Way};
use still_leading_simulation::plan::Plan;
use still_leading_simulation::record::Observed;
use still_leading_simulation::server::{Refusal, Seen, Server};
use still_leading_simulation::time::Ns;
use still_leading_simulation::world::initial_server;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::bytes::Bytes;

/// The name of the Lease.
pub const NAME: &str = "lease";
/// Its namespace.
pub const NAMESPACE: &str = "default";

/// The world as the real replicas see it. A clone is a handle to the same one.
#[derive(Clone)]
pub struct Api(Arc<Mutex<Inner>>);

struct Inner {
    started: Instant,
    plan: Plan,
    server: Server,
    network: Network,
    served: Vec<Option<Served>>,
    announced: usize,
    observed: Vec<(Ns, usize, Observed)>,
}

struct Served {
    key: Key,
    next: usize,
    has_begun: bool,
    lines: mpsc::UnboundedSender<String>,
}

/// Numbers the requests of one process as the simulation does.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<(u64, u64)>>);

impl Api {
    /// The world of `plan`, which begins now.
    pub fn new(plan: &Plan) -> Self {
        let server = initial_server(plan);
        Self(Arc::new(Mutex::new(Inner {
            started: Instant::now(),
            plan: plan.clone(),
            network: Network::of(plan),
            served: plan.replicas.iter().map(|_| None).collect(),
            announced: server.changes().len(),
            server,
            observed: Vec::new(),
        })))
    }

    /// What was done so far.
    pub fn observed(&self) -> Vec<(Ns, usize, Observed)> {
        self.lock().observed.clone()
    }

    /// Notes what a replica does now.
    pub fn note(&self, slot: usize, what: Observed) {
        let mut inner = self.lock();
        let now = inner.now();
        inner.observed.push((now, slot, what));
    }

    /// Waits for a time of the history.
    pub async fn until(&self, at: Ns) {
        let at = at.next_multiple_of(self.lock().plan.quantum);
        let started = self.lock().started;
        sleep_until(started + Duration::from_nanos(at)).await;
    }

    /// What is done from outside, as far as it concerns server, network and watches.
    pub fn intervene(&self, what: &Intervention) {
        {
            let mut inner = self.lock();
            let now = inner.now();
            let Inner { server, network, .. } = &mut *inner;
            what.apply(server, network, now);
        }
        match what {
            Intervention::BreakWatch(slot) | Intervention::Kill(slot) => self.lock().served[*slot] = None,
            Intervention::Deliver(slot) => {
                let key = self.lock().served[*slot].as_ref().map(|served| served.key);
                key.into_iter().for_each(|key| self.deliver(key));
            }
            _ => {}
        }
        self.announce();
    }

    /// A client for the process `incarnation` of the replica `slot`.
    pub fn client(&self, slot: usize, incarnation: u64) -> Client {
        let (api, numbers) = (self.clone(), Numbers::default());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (api, numbers) = (api.clone(), numbers.clone());
            async move { api.serve(slot, incarnation, &numbers, request).await }
        });
        Client::new(service, NAMESPACE)
    }

    async fn serve(
        &self,
        slot: usize,
        incarnation: u64,
        numbers: &Numbers,
        request: Request<Body>,
    ) -> Result<Response<Answered>, io::Error> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let key = Key { slot, incarnation, number: numbers.next(is_watch) };
        let (answer, answered) = oneshot::channel();
        let api = self.clone();
        if is_watch {
            self.note(slot, Observed::Watch);
            self.lock().served[slot] = None;
            tokio::spawn(async move { api.watch(key, answer).await });
        } else {
            let lease = match *request.method() {
                Method::PUT => {
                    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
                    Some(Box::new(serde_json::from_slice::<Lease>(&body)?))
                }
                _ => None,
            };
            self.note(slot, Observed::request(lease.as_deref()));
            // A task of its own: a request goes on when its sender gives it up or dies.
            tokio::spawn(async move { api.request(key, lease, answer).await });
        }
        match answered.await {
            Ok(response) => response,
            // Nobody answers.
            Err(_) => std::future::pending().await,
        }
    }

    async fn request(&self, key: Key, lease: Option<Box<Lease>>, answer: Answer) {
        let is_write = lease.is_some();
        let way = self.network(|network, now| network.request(key, now, is_write));
        match way {
            Way::Vanishes => return,
            Way::Fails(at) => {
                self.until(at).await;
                let _ = answer.send(Err(io::Error::other("the connection was refused")));
                return;
            }
            Way::Arrives(at) => self.until(at).await,
        }
        let response = {
            let mut inner = self.lock();
            let now = inner.now();
            match inner.network.treat(key, now, is_write) {
                Treatment::Gone => return,
                Treatment::Forbidden => status(StatusCode::FORBIDDEN, "Forbidden", None),
                Treatment::Error { executed } => {
                    if let Some(lease) = lease.filter(|_| executed) {
                        inner.server.put(*lease, now).ok();
                    }
                    status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", None)
                }
                Treatment::Normal => execute(&mut inner.server, lease, now),
            }
        };
        self.announce();
        if let Some(at) = self.network(|network, now| network.answer(key, now)) {
            self.until(at).await;
            // Its sender may have given it up.
            let _ = answer.send(Ok(response));
        }
    }

    async fn watch(&self, key: Key, answer: Answer) {
        match self.network(|network, now| network.watch(key, now)) {
            Way::Vanishes => return std::future::pending().await,
            Way::Fails(at) => {
                self.until(at).await;
                let _ = answer.send(Err(io::Error::other("the connection was refused")));
                return;
            }
            Way::Arrives(at) => self.until(at).await,
        }
        let (lines, mut shown) = mpsc::unbounded_channel::<String>();
        let frame = |line: String| Ok(Frame::data(Bytes::from(line)));
        let frames = futures::stream::poll_fn(move |context| shown.poll_recv(context).map(|line| line.map(frame)));
        if answer.send(Ok(Response::new(StreamBody::new(frames).boxed_unsync()))).is_err() {
            return;
        }
        {
            let mut inner = self.lock();
            let now = inner.now();
            let until = now.saturating_sub(inner.network.lag(key.slot, now));
            let next = inner.server.changes().partition_point(|change| change.at <= until).saturating_sub(1);
            inner.served[key.slot] = Some(Served { key, next, has_begun: false, lines });
        }
        self.deliver(key);
    }

    fn deliver(&self, key: Key) {
        let mut inner = self.lock();
        let now = inner.now();
        let Inner { server, network, served, .. } = &mut *inner;
        let Some(served) = served[key.slot].as_mut().filter(|served| served.key == key) else { return };
        if !network.delivers(key.slot, now) {
            return;
        }
        let until = now.saturating_sub(network.lag(key.slot, now));
        let first = served.next;
        while let Some(change) = server.changes().get(served.next).filter(|change| change.at <= until) {
            served.next += 1;
            let (kind, lease) = match &change.what {
                Seen::Present(lease) => ("MODIFIED", lease),
                Seen::Deleted(_) if first + 1 == served.next && !served.has_begun => continue,
                Seen::Deleted(lease) => ("DELETED", lease),
            };
            // The watch may have been given up.
            let _ = served.lines.send(format!("{}\n", json!({"type": kind, "object": named(lease)})));
        }
        served.has_begun = true;
    }

    fn announce(&self) {
        let mut inner = self.lock();
        let now = inner.now();
        for number in inner.announced..inner.server.changes().len() {
            for served in inner.served.iter().flatten() {
                let (api, key, at) = (self.clone(), served.key, inner.network.delivery(served.key.slot, number, now));
                tokio::spawn(async move {
                    api.until(at).await;
                    api.deliver(key);
                });
            }
        }
        inner.announced = inner.server.changes().len();
    }

    fn network<T>(&self, ask: impl FnOnce(&Network, Ns) -> T) -> T {
        let inner = self.lock();
        ask(&inner.network, inner.now())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of an answer.
type Answered = UnsyncBoxBody<Bytes, Infallible>;
type Answer = oneshot::Sender<Result<Response<Answered>, io::Error>>;

impl Inner {
    fn now(&self) -> Ns {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap()
    }
}

impl Numbers {
    fn next(&self, is_watch: bool) -> u64 {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = if is_watch { &mut numbers.1 } else { &mut numbers.0 };
        *number += 1;
        *number
    }
}

/// What kube-apiserver says to a read or a write.
fn execute(server: &mut Server, lease: Option<Box<Lease>>, now: Ns) -> Response<Answered> {
    let stored = match lease {
        None => server.lease().cloned().ok_or(Refusal::NotFound),
        Some(lease) => server.put(*lease, now),
    };
    match stored {
        Ok(lease) => answer(StatusCode::OK, &named(&lease), Server::date(now)),
        Err(Refusal::Conflict) => status(StatusCode::CONFLICT, "Conflict", None),
        Err(Refusal::NotFound) => status(StatusCode::NOT_FOUND, "NotFound", None),
        Err(Refusal::Exists) => status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", Some("metadata.resourceVersion")),
    }
}

fn named(lease: &Lease) -> Value {
    let mut lease = lease.clone();
    (lease.metadata.name, lease.metadata.namespace) = (Some(NAME.to_owned()), Some(NAMESPACE.to_owned()));
    serde_json::to_value(lease).unwrap()
}

fn status(code: StatusCode, reason: &str, field: Option<&str>) -> Response<Answered> {
    let causes: Vec<Value> = field.into_iter().map(|field| json!({"field": field})).collect();
    let details = json!({"kind": "leases", "causes": causes});
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason,
        "code": code.as_u16(), "details": details});
    answer(code, &body, 0)
}

fn answer(code: StatusCode, body: &Value, date: i64) -> Response<Answered> {
    let date = jiff::Timestamp::from_second(date).unwrap();
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
    let response = Response::builder().status(code).header(header::DATE, date);
    response.body(Full::from(serde_json::to_vec(body).unwrap()).boxed_unsync()).unwrap()
}
