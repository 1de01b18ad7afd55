//! What stands between one replica and the API server: it passes, breaks, tampers with and counts requests.
//!
//! Each of the replica's connections has an upstream connection of its own, and the end of one is the end of the other:
//! a restarted API server looks to the replica as it would without a proxy. Bodies are streamed, so a watch works.
//! Credentials pass through and are recorded nowhere.
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

/// Before something is tried again that the system refused: at once would only spin.
const PAUSE: Duration = Duration::from_millis(50);

/// How many connections may wait to be accepted; what tokio asks for by itself.
const BACKLOG: u32 = 1024;

/// One replica's way to the API server. Needs the async runtime that it was started on; ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    route: Arc<Route>,
    listening: AbortHandle,
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
        let route = Arc::new(Route::new(authority, upstream)?);
        let (state, current) = watch::channel(State::default());
        let listening = tokio::spawn(listen(listener, address, Arc::clone(&route), current)).abort_handle();
        Ok(Self { address, state, route, listening })
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Changes what happens to connections and requests; what that means for those in flight, the mode says. Setting the
    /// same mode again is a change too: connections break again, and `times` counts from the beginning.
    ///
    /// Requests meet it from now on; connections, the listener of [`Mode::Refuse`] and watches as soon as the runtime gets
    /// to them.
    pub fn set_mode(&self, mode: impl Into<Mode>) {
        let mode = mode.into();
        self.state.send_modify(|state| state.set(mode));
    }

    /// What happens to connections and requests now. A fault that is used up stays the mode.
    pub fn mode(&self) -> Mode {
        self.state.borrow().mode()
    }

    /// Makes the jitter of [`Action::Latency`] the same each time, as far as requests come in the same order.
    pub fn seed(&self, seed: u64) {
        self.route.seed(seed);
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.route.record.requests()
    }

    /// How many requests there were so far, by verb.
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
        // Takes the connections with it: the task owns them.
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
        // Reaps what has ended, so that the set does not grow with every connection that ever was.
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
                // How a connection ended is for the replica to say; what matters here is in the record.
                connections.spawn(async move { attend(stream, route, state, breaks).await.ok() });
            }
            // Out of file descriptors, most likely.
            Some(Err(_)) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Keeps the port without listening until the mode changes.
///
/// Between two listeners the port is free for a moment, so a stranger that asks for just this one may take it; one that
/// asks for any gets another. Then this tries until the port is free again.
async fn refuse(address: SocketAddr, state: &mut watch::Receiver<State>) -> TcpListener {
    loop {
        let again = async {
            let socket = TcpSocket::new_v4()?;
            // The connections that have just ended still count as users of the port.
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

/// Serves one connection of the replica, which has stood since there had been so many breaks, until something ends it.
async fn attend(stream: TcpStream, route: Arc<Route>, mut state: watch::Receiver<State>, breaks: usize) -> Result<()> {
    // The same socket: hyper has the other handle, and does not give it back.
    let socket = stream.as_fd().try_clone_to_owned()?;
    let forwarding = forward(stream, route, state.clone());
    tokio::pin!(forwarding);
    tokio::select! {
        // First, so that no byte is read from a connection that is to break.
        biased;
        // An error means that the proxy is gone, which breaks it as well.
        _ = state.wait_for(|state| state.has_broken(breaks)) => {}
        ended = &mut forwarding => return ended,
    }
    // Nobody drives what was forwarded, so it neither moves nor ends before this does.
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
        // Its error, if any, reaches the replica through the response that it broke.
        _ = &mut upstream => {}
    }
    // The last response may still be on its way; an idle connection ends at once.
    downstream.as_mut().graceful_shutdown();
    Ok(downstream.await?)
}

#[cfg(test)]
mod tests;
