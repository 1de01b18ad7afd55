//! What goes over the wire: get and put, each with a time-out, and a watch that begins again whenever it ends. This file
//! decides how an answer is to be understood; `lease.rs` decides what follows from it.

mod readable;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{GetParams, PostParams, WatchEvent, WatchParams};
use kube::client::{AuthError, Body};
use kube::core::{Request, Status};
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::config::Attempt;
use crate::lease::{Event, Timing};
use crate::lockout::Lockout;
use crate::report::{Note, Reporter};
use readable::Readable;

/// More than the largest object that Kubernetes stores.
const BODY_MAX: usize = 4 << 20;
/// So many requests in a row that reach nobody are worth a word about the usual causes. A few may be a restart.
const UNREACHED: u32 = 3;
/// So much of a body that is no Status goes to the log.
const EXCERPT_MAX: usize = 200;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The Lease is not what it was thought to be, so the write did not happen.
    #[error("{0}")]
    Refused(String),
    /// The API server says no for another reason. The write did not happen.
    #[error("{0}")]
    Denied(String),
    /// The API server says that this account may not. The write did not happen.
    #[error("{0}")]
    Forbidden(String),
    /// Whether a write happened is open.
    #[error("{0}")]
    Failed(String),
    /// The API server was not reached, or hung up: whether a write happened is open.
    #[error("{0}")]
    Unreached(String),
    /// No answer in time: whether a write happened is open.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// The requests for one Lease. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    namespace: String,
    name: String,
    timing: Timing,
    reporter: Reporter,
    /// How many requests in a row have reached nobody.
    unreached: AtomicU32,
    lockout: Lockout,
}

impl Requests {
    pub(crate) fn timing(&self) -> &Timing {
        &self.inner.timing
    }

    /// Requests for the Lease `namespace/name` by this client.
    #[cfg(any(test, feature = "internals"))]
    pub fn new(client: Client, namespace: String, name: String, timing: Timing, reporter: Reporter) -> Self {
        Self::with_lockout(client, namespace, name, timing, reporter, Lockout::default())
    }

    /// As `new`, by a client that notes whether it is let in.
    pub(crate) fn with_lockout(
        client: Client,
        namespace: String,
        name: String,
        timing: Timing,
        reporter: Reporter,
        lockout: Lockout,
    ) -> Self {
        Self {
            inner: Arc::new(Inner { client, namespace, name, timing, reporter, unreached: AtomicU32::new(0), lockout }),
        }
    }

    /// What the API server says, if it has kept this replica out for so long that a restart may help.
    pub(crate) fn locked_out(&self) -> Option<String> {
        self.inner.lockout.reason(self.inner.timing.renew_deadline)
    }

    async fn bounded<T>(&self, request: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let bound = self.inner.timing.attempt_timeout();
        let answer = timeout(bound, request).await.unwrap_or(Err(Failure::TimedOut(bound)));
        if answer.is_err() {
            self.inner.reporter.attempt(Attempt::Failed);
        }
        if matches!(answer, Err(Failure::Unreached(_) | Failure::TimedOut(_))) {
            let unreached = self.inner.unreached.fetch_add(1, Ordering::Relaxed) + 1;
            if unreached == UNREACHED {
                self.inner.reporter.note(Note::Unreached);
            }
        } else {
            self.inner.unreached.store(0, Ordering::Relaxed);
        }
        answer
    }

    fn request(&self) -> Request {
        Request::new(Lease::url_path(&(), Some(&self.inner.namespace)))
    }

    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Failure> {
        let response = self.inner.client.send(request.map(Body::from)).await.map_err(|error| unsent(&error))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await.map_err(|error| failed(&*error))?;
        Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
    }

    /// The Lease as it is now: without a resourceVersion the API server asks etcd, never its cache. With it, how old the
    /// object is by the server's own clock.
    pub async fn get(&self) -> Result<(Option<Lease>, Option<Duration>), Failure> {
        self.bounded(async {
            let request =
                self.request().get(&self.inner.name, &GetParams::default()).map_err(|error| failed(&error))?;
            let response = self.send(request).await?;
            if response.status().is_success() {
                let lease = self.lease(response.body())?;
                let age = age(&lease, &response);
                return Ok((Some(lease), age));
            }
            if says_not_found(&response, "leases") { Ok((None, None)) } else { Err(refusal(&response)) }
        })
        .await
    }

    /// Replaces the Lease of exactly this uid and resourceVersion. Without them it creates the Lease, and is refused if
    /// there is one: unlike a post, such a put is authorised by name.
    pub async fn put(&self, mut lease: Lease) -> Result<Lease, Failure> {
        lease.metadata.name = Some(self.inner.name.clone());
        lease.metadata.namespace = Some(self.inner.namespace.clone());
        let sent = Instant::now();
        let accepted = self
            .bounded(async {
                let body = serde_json::to_vec(&lease).map_err(|error| failed(&error))?;
                let request = self.request().replace(&self.inner.name, &PostParams::default(), body);
                let response = self.send(request.map_err(|error| failed(&error))?).await?;
                if response.status().is_success() { self.lease(response.body()) } else { Err(refusal(&response)) }
            })
            .await?;
        self.inner.reporter.attempt(Attempt::Wrote(sent.elapsed()));
        Ok(accepted)
    }

    /// The Lease in the body of an answer. Anything else that a proxy may answer with code 200 is no answer.
    fn lease(&self, body: &[u8]) -> Result<Lease, Failure> {
        let Readable(lease) = serde_json::from_slice(body)
            .map_err(|error| Failure::Failed(format!("the answer is not a Lease: {error}")))?;
        let metadata = &lease.metadata;
        let is_it = metadata.name.as_ref() == Some(&self.inner.name)
            && metadata.uid.is_some()
            && metadata.resource_version.is_some();
        if is_it { Ok(lease) } else { Err(Failure::Failed("the answer is another object than the Lease".to_owned())) }
    }

    /// [`Requests::get`], as an event.
    pub async fn read(&self) -> Event {
        match self.get().await {
            Ok((lease, age)) => Event::Read { lease, age },
            Err(error) => {
                self.inner.reporter.note(Note::CannotRead(error.to_string()));
                Event::ReadFailed
            }
        }
    }

    /// [`Requests::put`], as an event.
    pub async fn write(&self, lease: Lease) -> Event {
        let creates = lease.metadata.resource_version.is_none();
        match self.put(lease).await {
            Ok(lease) => Event::Wrote(lease),
            Err(Failure::Refused(error)) => {
                self.inner.reporter.note(Note::LostRace(error));
                Event::Refused
            }
            Err(Failure::Forbidden(error)) if creates => {
                self.inner.reporter.note(Note::CannotCreate(error));
                Event::Denied
            }
            Err(Failure::Denied(error) | Failure::Forbidden(error)) => {
                self.inner.reporter.note(Note::CannotWrite(error));
                Event::Denied
            }
            Err(error) => {
                self.inner.reporter.note(Note::CannotWrite(error.to_string()));
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
        loop {
            let next_start = Instant::now() + self.inner.timing.retry_period;
            if let Err(error) = self.watch_once(&events).await {
                self.inner.reporter.note(Note::CannotWatch(error.to_string()));
            }
            if events.send(Event::WatchEnded).await.is_err() {
                return;
            }
            sleep_until(next_start).await;
        }
    }

    /// From version "0": the present state first, then every change. So nothing is missed between two watches, and there
    /// is neither a list nor a version too old to handle.
    async fn watch_once(&self, events: &mpsc::Sender<Event>) -> Result<(), Failure> {
        let only_this = WatchParams::default().fields(&format!("metadata.name={}", self.inner.name));
        let request = self.request().watch(&only_this, "0").map_err(|error| failed(&error))?;
        let open = self.inner.client.request_events::<Readable>(request);
        let changes = self.bounded(async { open.await.map_err(|error| of_kube(&error)) }).await?;
        let mut changes = pin!(changes);
        while let Some(change) = changes.try_next().await.map_err(|error| of_kube(&error))? {
            let is_other = |lease: &Readable| lease.0.metadata.name.as_ref() != Some(&self.inner.name);
            let event = match change {
                WatchEvent::Added(lease) | WatchEvent::Modified(lease) | WatchEvent::Deleted(lease)
                    if is_other(&lease) =>
                {
                    continue;
                }
                WatchEvent::Added(Readable(lease)) | WatchEvent::Modified(Readable(lease)) => Event::Watched(lease),
                WatchEvent::Deleted(Readable(lease)) => Event::Deleted(lease),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => return Err(Failure::Failed(words(&status))),
            };
            if events.send(event).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// How old the Lease is by the server's own clock: the Date of the answer less the creationTimestamp.
fn age(lease: &Lease, response: &Response<Vec<u8>>) -> Option<Duration> {
    let date = response.headers().get(header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let created = lease.metadata.creation_timestamp.as_ref()?.0;
    // A creation in the future means that clocks were set. Then the age is unknown.
    u64::try_from(date.as_second() - created.as_second()).ok().map(Duration::from_secs)
}

/// What an answer that is no success says about the request.
fn refusal(response: &Response<Vec<u8>>) -> Failure {
    let code = response.status();
    let Some(status) = status(response) else {
        // Not the API server's own word: a proxy, perhaps, which may have passed the request on.
        return Failure::Failed(format!("{} ({})", excerpt(response.body()), code.as_u16()));
    };
    let words = words(&status);
    let is_about_version = || {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.field == "metadata.resourceVersion")
    };
    match code {
        // Another version, or another object.
        StatusCode::CONFLICT => Failure::Refused(words),
        // A put that was meant to create met an existing Lease. Admission policies answer 422 too, without this field.
        StatusCode::UNPROCESSABLE_ENTITY if is_about_version() => Failure::Refused(words),
        // It is gone.
        StatusCode::NOT_FOUND if says_not_found(response, "leases") => Failure::Refused(words),
        // The request may have been too slow, or too many: then nobody says that it did not happen.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Failure::Failed(words),
        StatusCode::FORBIDDEN => Failure::Forbidden(words),
        code if code.is_client_error() => Failure::Denied(words),
        _ => Failure::Failed(words),
    }
}

/// Whether the API server itself says that there is no object of this kind. A proxy's page with code 404 does not.
fn says_not_found(response: &Response<Vec<u8>>, kind: &str) -> bool {
    response.status() == StatusCode::NOT_FOUND
        && status(response)
            .is_some_and(|it| it.reason == "NotFound" && it.details.is_some_and(|details| details.kind == kind))
}

fn status(response: &Response<Vec<u8>>) -> Option<Status> {
    let value: serde_json::Value = serde_json::from_slice(response.body()).ok()?;
    if value["kind"] == "Status" { serde_json::from_value(value).ok() } else { None }
}

/// The server's words. The message alone is what a person reads.
fn words(status: &Status) -> String {
    let what = if status.message.is_empty() { &status.reason } else { &status.message };
    format!("{what} ({})", status.code)
}

fn of_kube(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => Failure::Failed(words(status)),
        error => failed(error),
    }
}

/// No answer came back, unless the request never left for want of credentials.
fn unsent(error: &(dyn std::error::Error + 'static)) -> Failure {
    match failed(error) {
        Failure::Failed(words) if !is_about_credentials(error) => Failure::Unreached(words),
        failure => failure,
    }
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<AuthError>())
}

/// An error with its causes, in one line.
fn failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    let chain: Vec<_> = std::iter::successors(Some(error), |error| error.source()).collect();
    // What kube says of a credential plugin holds its environment and its output, and with them secrets.
    if let Some(about_credentials) = chain.iter().find_map(|error| error.downcast_ref::<AuthError>()) {
        return Failure::Failed(without_secrets(about_credentials));
    }
    Failure::Failed(chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn without_secrets(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => format!("the credential plugin has failed ({})", out.status),
        AuthError::AuthExecStart(error) => format!("the credential plugin cannot be started: {error}"),
        AuthError::AuthExecParse(_) => "the output of the credential plugin cannot be parsed".to_owned(),
        AuthError::ReadTokenFile(error, path) => format!("the token file {} cannot be read: {error}", path.display()),
        AuthError::NoValidNativeRootCA(error) => format!("no root certificates: {error}"),
        _ => "the credentials cannot be used; kubectl with the same kubeconfig says more".to_owned(),
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_MAX)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "an empty answer".to_owned() } else { line }
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

#[cfg(test)]
mod tests;
