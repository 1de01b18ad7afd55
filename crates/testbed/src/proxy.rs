//! What stands between one replica and the API server: it passes, cuts, swallows and counts requests.
//!
//! Each of the replica's connections has an upstream connection of its own, and the end of one is the end of the other:
//! a restarted API server looks to the replica as it would without a proxy. Bodies are streamed, so a watch works.
//! Credentials pass through and are recorded nowhere.

mod mode;
mod record;

pub use mode::Mode;
pub use record::Request;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::tls::Authority;
use crate::verb::Verb;
use record::Record;

/// For a handshake on loopback; whoever takes longer is not there.
const HANDSHAKE_BOUND: Duration = Duration::from_secs(10);

/// One replica's way to the API server. Needs the async runtime that it was started on; ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    record: Record,
    listening: AbortHandle,
}

/// The mode, and how often it was another than `Pass`: a connection has to end even if it is back when it looks.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    mode: Mode,
    faults: usize,
}

/// What the connections share.
struct Route {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    upstream: SocketAddr,
    record: Record,
}

impl Proxy {
    /// Starts to listen on a port of loopback and to forward to `upstream`; both sides speak TLS with certificates of
    /// `authority`.
    ///
    /// # Errors
    /// When it cannot listen, or no certificate can be made.
    pub async fn start(authority: &Authority, upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening for a replica")?;
        let address = listener.local_addr()?;
        let record = Record::default();
        let (acceptor, connector) = (authority.acceptor()?, authority.connector()?);
        let route = Arc::new(Route { acceptor, connector, upstream, record: record.clone() });
        let (state, current) = watch::channel(State::default());
        let listening = tokio::spawn(listen(listener, route, current)).abort_handle();
        Ok(Self { address, state, record, listening })
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Changes what happens to connections, those in flight included.
    pub fn set_mode(&self, mode: Mode) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.faults += usize::from(mode != Mode::Pass);
        });
    }

    /// What happens to connections now.
    pub fn mode(&self) -> Mode {
        self.state.borrow().mode
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.record.requests()
    }

    /// How many requests there were so far, by verb.
    pub fn counts(&self) -> BTreeMap<Verb, usize> {
        let mut counts = BTreeMap::new();
        for request in self.record.requests() {
            *counts.entry(request.verb).or_default() += 1;
        }
        counts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Takes the connections with it: the task owns them.
        self.listening.abort();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).field("mode", &self.mode()).finish_non_exhaustive()
    }
}

async fn listen(listener: TcpListener, route: Arc<Route>, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        // Reaps what has ended, so that the set does not grow with every connection that ever was.
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: accepting again at once would only spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (route, mut state) = (Arc::clone(&route), state.clone());
        let faults = state.borrow().faults;
        connections.spawn(async move {
            let forwarding = forward(stream, &route);
            tokio::pin!(forwarding);
            tokio::select! {
                // First, so that no byte is read from a connection that is to be cut.
                biased;
                // An error means that the proxy is gone, which cuts as well.
                _ = state.wait_for(|state| state.mode != Mode::Pass || state.faults > faults) => {}
                // How a connection ended is for the replica to say; what matters here is in the record.
                _ = &mut forwarding => return,
            }
            // Nobody drives what was forwarded, so it neither moves nor ends before this does.
            state.wait_for(|state| state.mode != Mode::BlackHole).await.ok();
        });
    }
}

/// Serves one connection of the replica until it or its upstream connection ends.
async fn forward(stream: TcpStream, route: &Route) -> Result<()> {
    stream.set_nodelay(true)?;
    let downstream = timeout(HANDSHAKE_BOUND, route.acceptor.accept(stream)).await??;
    let (sender, upstream) = timeout(HANDSHAKE_BOUND, connect(route)).await??;
    let sender = Arc::new(Mutex::new(sender));
    let service = service_fn(|request| pass(request, Arc::clone(&sender), &route.record));
    let downstream = server::Builder::new().serve_connection(TokioIo::new(downstream), service);
    tokio::pin!(downstream, upstream);
    tokio::select! {
        ended = &mut downstream => return Ok(ended?),
        // Its error, if any, reaches the replica through the response that it broke.
        _ = &mut upstream => {}
    }
    // The last response may still be on its way; an idle connection ends at once.
    downstream.as_mut().graceful_shutdown();
    Ok(downstream.await?)
}

/// A connection to the API server: what sends requests on it, and the future that drives it until it ends.
async fn connect(
    route: &Route,
) -> Result<(client::SendRequest<Incoming>, impl Future<Output = hyper::Result<()>> + use<>)> {
    let stream = TcpStream::connect(route.upstream).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(route.upstream.ip());
    let stream = route.connector.connect(name, stream).await?;
    Ok(client::handshake(TokioIo::new(stream)).await?)
}

/// Passes one request on. An error here closes the replica's connection without an answer, as a dead server does.
async fn pass(
    request: hyper::Request<Incoming>,
    sender: Arc<Mutex<client::SendRequest<Incoming>>>,
    record: &Record,
) -> Result<hyper::Response<Incoming>, hyper::Error> {
    let entry = record.arrived(request.method(), request.uri());
    let mut sender = sender.lock().await;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    record.answered(entry, response.status().as_u16());
    Ok(response)
}

#[cfg(test)]
mod tests;
