//! One request and its answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response};
use tokio::sync::{Mutex, oneshot, watch};

use super::answer::{self, Body};
use super::fault::Action;
use super::record::Effect;
use super::route::Route;
use super::state::{Met, State};
use super::watched::Watched;
use crate::verb::Verb;

/// Serves the requests of one of the replica's connections. An error closes the connection without an answer, as a dead server
/// does.
pub(super) struct Exchange {
    pub(super) route: Arc<Route>,
    /// The connection to the API server.
    pub(super) sender: Mutex<SendRequest<Incoming>>,
    pub(super) state: watch::Receiver<State>,
}

impl Exchange {
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Result<Response<Body>> {
        let verb = Verb::of(request.method(), request.uri());
        let place = self.route.record.arrived(verb, request.uri());
        let met = self.state.borrow().meet(verb);
        if let Some(answer) = met.action.and_then(|action| answer::in_its_stead(action, request.uri())) {
            self.route.record.met(place, Effect::Answered);
            // Read to its end, or the connection could not be used again.
            request.into_body().collect().await?;
            self.route.record.answered(place, answer.status().as_u16());
            return Ok(answer);
        }
        let mut response = match met.action {
            Some(Action::LateDelivery) => self.hold(request, place, met).await?,
            _ => self.pass(request, place).await?,
        };
        match met.action {
            Some(Action::LostResponse) => {
                self.route.record.met(place, Effect::Lost);
                bail!("the answer gets lost");
            }
            Some(Action::Latency { fixed, jitter }) => {
                self.route.record.met(place, Effect::Late);
                self.delay(self.route.delay(fixed, jitter), met).await;
            }
            _ => {}
        }
        if verb == Verb::Watch && response.status().is_success() {
            if met.action.is_some_and(Action::ends_watches) {
                // The upstream connection ends with this answer, and so does this connection. The replica must not send more on
                // it.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let (state, route) = (self.state.clone(), Arc::clone(&self.route));
            return Ok(response.map(|body| Watched::new(body, met, state, route, place).into_body()));
        }
        Ok(response.map(BodyExt::boxed_unsync))
    }

    async fn pass(&self, request: Request<Incoming>, place: usize) -> Result<Response<Incoming>> {
        let mut sender = self.sender.lock().await;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        self.route.record.answered(place, response.status().as_u16());
        Ok(response)
    }

    /// Sends the request once the mode has changed, even if the replica's connection is gone by then.
    async fn hold(&self, request: Request<Incoming>, place: usize, met: Met) -> Result<Response<Incoming>> {
        self.route.record.met(place, Effect::Late);
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, Full::new(body.collect().await?.to_bytes()));
        let (answer, answered) = oneshot::channel();
        let (mut state, mut proxy, route) = (self.state.clone(), self.state.clone(), Arc::clone(&self.route));
        tokio::spawn(async move {
            if state.wait_for(|state| state.is_over(met)).await.is_err() {
                return;
            }
            tokio::select! {
                // If it fails, only the replica notices, whose connection ends then.
                _ = deliver(&route, request, place, answer) => {}
                // Completes only when the proxy ends.
                _ = proxy.wait_for(|_| false) => {}
            }
        });
        answered.await.context("it could not be delivered")
    }

    async fn delay(&self, delay: Duration, met: Met) {
        let mut state = self.state.clone();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = state.wait_for(|state| state.is_over(met)) => {}
        }
    }
}

/// Sends a request on its own connection.
async fn deliver(
    route: &Route,
    request: Request<Full<Bytes>>,
    place: usize,
    answer: oneshot::Sender<Response<Incoming>>,
) -> Result<()> {
    let (mut sender, connection) = route.connect().await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        route.record.answered(place, response.status().as_u16());
        // If the replica does not wait any more, nobody receives it, and the connection ends.
        answer.send(response).ok();
        anyhow::Ok(())
    };
    let (exchanged, connected) = tokio::join!(exchange, connection);
    exchanged?;
    Ok(connected?)
}
