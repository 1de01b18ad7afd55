//! A client that stays usable. Requests take the client of the moment. A task beside them builds the next one, so that a request
//! that is given up takes nothing along that others wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use kube::{Client, Config};
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tower::{BoxError, Service};

use super::connector::Connector;
use super::{Access, AccessError, client};
use crate::lockout::Lockout;

/// How often the files are looked at.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// What a plugin issued is renewed so long before its end; earlier than after four fifths of its time never.
const AHEAD: Duration = Duration::from_secs(60);
/// The pause after a renewal that did not help. It doubles each time.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Says whether a renewal worked out.
#[derive(Clone)]
pub struct Say(Arc<dyn Fn(Result<(), AccessError>) + Send + Sync>);

impl Say {
    pub fn new(say: impl Fn(Result<(), AccessError>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(say))
    }
}

/// What requests and the task share.
struct Shared {
    current: watch::Sender<Option<(Client, Arc<Config>)>>,
    connector: Connector,
    lockout: Lockout,
    /// A request was refused.
    refused: Notify,
    /// A request was given up: its connection, and those beside it, may lead nowhere.
    was_given_up: AtomicBool,
}

/// The service under a client, see the file.
pub struct Keeper {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

impl Keeper {
    /// Must be called on the runtime that the client is to run on.
    pub fn start(mut access: Access, say: Say) -> Result<(Client, Lockout), AccessError> {
        let (lockout, connector) = (access.lockout.clone(), access.connector.clone());
        let shared = Shared {
            current: watch::Sender::new(None),
            connector,
            lockout: lockout.clone(),
            refused: Notify::new(),
            was_given_up: AtomicBool::new(false),
        };
        if access.settled.is_none() {
            // Given by the program, and not looked at yet.
            access = access.read()?;
        }
        if let Some(settled) = &access.settled {
            shared.build(Arc::new(settled.config.clone())).map_err(|error| AccessError::Client(Box::new(error)))?;
        }
        let (shared, namespace) = (Arc::new(shared), access.config.default_namespace.clone());
        let task = tokio::spawn(renew_for_ever(access, Arc::clone(&shared), say));
        Ok((Client::new(Self { shared, _task: AbortOnDropHandle::new(task) }, namespace), lockout))
    }
}

impl Service<Request<Body>> for Keeper {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let client = shared.client().await?;
            let mut unanswered = Unanswered(Some(&shared));
            let answer = client.send(request).await;
            unanswered.0 = None;
            shared.learn_from(&answer);
            Ok(answer?)
        })
    }
}

/// A request under way.
struct Unanswered<'a>(Option<&'a Shared>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.connector.suspect_last();
            shared.was_given_up.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn build(&self, config: Arc<Config>) -> Result<(), kube::Error> {
        let client = client::build(&config, self.connector.clone())?;
        self.current.send_replace(Some((client, config)));
        Ok(())
    }

    /// The client of the moment; waits for the first one.
    async fn client(&self) -> Result<Client, BoxError> {
        let mut current = self.current.subscribe();
        let (client, config) = current.wait_for(Option::is_some).await?.clone().ok_or("there is no client")?;
        if self.was_given_up.swap(false, Ordering::Relaxed) {
            // Without connections: those that wait in its pool may lead to where the last one led.
            self.build(config)?;
            return Ok(self.current.borrow().as_ref().map_or(client, |(client, _)| client.clone()));
        }
        Ok(client)
    }

    fn learn_from(&self, answer: &Result<Response<Body>, kube::Error>) {
        let is_refusal = match answer {
            Ok(answer) => self.lockout.note_status(answer.status().as_u16()),
            Err(error) => self.lockout.note_error(error),
        };
        if is_refusal {
            self.refused.notify_one();
        }
    }
}

/// When what was issued is to be renewed.
fn due(valid_until: Option<Timestamp>) -> Option<Instant> {
    let left = Duration::try_from(valid_until?.duration_since(Timestamp::now())).unwrap_or_default();
    Some(Instant::now() + left.saturating_sub(AHEAD.min(left / 5)))
}

async fn renew_for_ever(mut access: Access, shared: Arc<Shared>, say: Say) {
    let (mut pause, mut not_before) = (PAUSE, Instant::now());
    let mut renew_at = match &access.settled {
        Some(settled) => due(settled.valid_until),
        None => Some(not_before),
    };
    loop {
        let look = Instant::now() + LOOK_AFTER;
        let at = renew_at.map(|at| at.max(not_before));
        let is_due = select! {
            () = sleep_until(at.map_or(look, |at| at.min(look))) => at.is_some_and(|at| at <= Instant::now()),
            () = shared.refused.notified() => {
                if access.needs_plugin() {
                    renew_at = Some(not_before);
                }
                false
            }
        };
        if !is_due && !have_changed(&access).await {
            continue;
        }
        let renewed = renew(&access, &shared).await;
        let outcome = renewed.map(|renewed| access = renewed);
        not_before = Instant::now() + pause;
        if outcome.is_ok() {
            renew_at = due(access.settled.as_ref().and_then(|settled| settled.valid_until));
        }
        pause = if outcome.is_ok() && !shared.lockout.is_refused() { PAUSE } else { (pause * 2).min(PAUSE_MAX) };
        (say.0)(outcome);
    }
}

async fn renew(access: &Access, shared: &Shared) -> Result<Access, AccessError> {
    let renewed = access.anew().await?;
    if let Some(settled) = &renewed.settled {
        let built = shared.build(Arc::new(settled.config.clone()));
        built.map_err(|error| AccessError::Client(Box::new(error)))?;
    }
    Ok(renewed)
}

async fn have_changed(access: &Access) -> bool {
    let files = access.files.clone();
    spawn_blocking(move || files.have_changed()).await.unwrap_or(false)
}

#[cfg(test)]
mod tests;
