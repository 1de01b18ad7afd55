//! The proxy between one replica and the API server. It passes requests on, breaks connections, tampers with requests, and
//! counts.
//!
//! Each of the replica's connections has its own upstream connection, and if one ends, so does the other: a restart of the API
//! server looks the same as without a proxy. Bodies are streamed, so a watch works. Credentials pass through and are not
//! recorded.
//!
//! ```no_run
//! # fn example(proxy: &still_leading_testbed::Proxy) {
//! use still_leading_testbed::Mode;
//! use still_leading_testbed::proxy::{Action, Fault, Scope};
//!
//! proxy.set_mode(Mode::Cut);
//! proxy.set_mode(Action::WatchStalled);
//! proxy.set_mode(Fault::new(Action::Conflict).on(Scope::Writes).times(3));
//! # }
//! ```

mod answer;
mod exchange;
mod fault;
mod mode;
mod record;
mod route;
mod state;
mod watched;

pub use fault::{Action, Fault, Scope};
pub use mode::{Mode, UnknownMode};
pub use record::{Effect, Request};

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_linger;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::tls::Authority;
use crate::verb::Verb;
use exchange::Exchange;
use route::Route;
use state::State;

/// The pause after the system has refused something. Without it the retry would only spin.
const PAUSE: Duration = Duration::from_millis(50);

/// How many connections may wait to be accepted: tokio's default.
const BACKLOG: u32 = 1024;

/// One replica's way to the API server. It needs the async runtime on which it was started, and ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    route: Arc<Route>,
    listening: AbortHandle,
}

impl Proxy {
    /// Listens on a port of loopback and forwards to `upstream`. Both sides use TLS with certificates of `authority`.
    ///
    /// # Errors
    /// Fails when it cannot listen, or no certificate can be made.
    pub async fn start(authority: &Authority, upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening for a replica")?;
        let address = listener.local_addr()?;
        let route = Arc::new(Route::new(authority, upstream)?);
        let (state, current) = watch::channel(State::default());
        let listening = tokio::spawn(listen(listener, address, Arc::clone(&route), current)).abort_handle();
        Ok(Self { address, state, route, listening })
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Sets what happens to connections and requests. The mode's documentation says what that means for those in flight.
    /// Setting the same mode again is a change too: connections break again, and `times` starts anew.
    ///
    /// Requests meet the new mode from now on. Connections, the listener of [`Mode::Refuse`] and watches meet it as soon as the
    /// runtime gets to them.
    pub fn set_mode(&self, mode: impl Into<Mode>) {
        let mode = mode.into();
        self.state.send_modify(|state| state.set(mode));
    }

    /// Returns the present mode. A fault that is used up stays the mode.
    pub fn mode(&self) -> Mode {
        self.state.borrow().mode()
    }

    /// Seeds the jitter of [`Action::Latency`], which is then the same each time if requests arrive in the same order.
    pub fn seed(&self, seed: u64) {
        self.route.seed(seed);
    }

    /// Returns every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.route.record.requests()
    }

    /// Returns how many requests there were so far, by verb.
    pub fn counts(&self) -> BTreeMap<Verb, usize> {
        let mut counts = BTreeMap::new();
        for request in self.requests() {
            *counts.entry(request.verb).or_default() += 1;
        }
        counts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // This ends the connections too, since the task owns them.
        self.listening.abort();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).field("mode", &self.mode()).finish_non_exhaustive()
    }
}

async fn listen(mut listener: TcpListener, address: SocketAddr, route: Arc<Route>, mut state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        // Removes what has ended, so that the set does not grow with every connection.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            _ = state.wait_for(|state| state.mode() == Mode::Refuse) => None,
            accepted = listener.accept() => Some(accepted),
        };
        match accepted {
            None => {
                drop(listener);
                listener = refuse(address, &mut state).await;
            }
            Some(Ok((stream, _))) => {
                let (route, state) = (Arc::clone(&route), state.clone());
                let breaks = state.borrow().breaks();
                // The replica shows how a connection ended. What matters here is in the record.
                connections.spawn(async move { attend(stream, route, state, breaks).await.ok() });
            }
            // Out of file descriptors, most likely.
            Some(Err(_)) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Keeps the port without listening, until the mode changes.
///
/// Between two listeners the port is free for a moment. A process that asks for just this port may take it; one that asks for any
/// port gets another. In that case this tries until the port is free again.
async fn refuse(address: SocketAddr, state: &mut watch::Receiver<State>) -> TcpListener {
    loop {
        let again = async {
            let socket = TcpSocket::new_v4()?;
            // Connections that have just ended still count as users of the port.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            state.wait_for(|state| state.mode() != Mode::Refuse).await.ok();
            socket.listen(BACKLOG)
        };
        match again.await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Serves one connection of the replica until something ends it. `breaks` is the number of breaks before it began.
async fn attend(stream: TcpStream, route: Arc<Route>, mut state: watch::Receiver<State>, breaks: usize) -> Result<()> {
    // A second handle to the same socket: hyper has the other one, and does not give it back.
    let socket = stream.as_fd().try_clone_to_owned()?;
    let forwarding = forward(stream, route, state.clone());
    tokio::pin!(forwarding);
    tokio::select! {
        // First, so that no byte is read from a connection that has to break.
        biased;
        // An error means that the proxy is gone, which breaks the connection too.
        _ = state.wait_for(|state| state.has_broken(breaks)) => {}
        ended = &mut forwarding => return ended,
    }
    // Nobody polls the forwarding now, so it neither moves nor ends before this returns.
    state.wait_for(State::lets_go).await.ok();
    if state.borrow().resets() {
        set_socket_linger(&socket, Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Forwards one connection until it or its upstream connection ends.
async fn forward(stream: TcpStream, route: Arc<Route>, state: watch::Receiver<State>) -> Result<()> {
    let downstream = route.accept(stream).await?;
    let (sender, upstream) = route.connect().await?;
    let exchange = Exchange { route, sender: Mutex::new(sender), state };
    let service = service_fn(|request| exchange.serve(request));
    let downstream = http1::Builder::new().serve_connection(TokioIo::new(downstream), service);
    tokio::pin!(downstream, upstream);
    tokio::select! {
        ended = &mut downstream => return Ok(ended?),
        // If it failed, the replica sees that in the response that it broke.
        _ = &mut upstream => {}
    }
    // The last response may still be on its way. An idle connection ends at once.
    downstream.as_mut().graceful_shutdown();
    Ok(downstream.await?)
}

#[cfg(test)]
mod tests;
