//! What a replica answers over HTTP.
//!
//! A standby is healthy and ready. If only the leader were ready, a rollout would never finish. Neither answer depends on the
//! API server being up, or an outage of it would restart every replica at once. A replica is unhealthy only if the API server
//! has refused it for long: a restart reads the credentials anew.

use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tracing::{error, info};

use crate::{Metrics, Status};

/// How many connections may wait to be accepted; the number that tokio takes.
const WAITING: u32 = 1024;

/// What the answers are made of.
#[derive(Clone)]
pub struct State {
    /// This replica's identity.
    pub identity: String,
    /// Returns what the elector believes at this moment.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// Returns why the API server does not let this replica in, once that has lasted so long that a restart may help.
    pub locked_out: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

/// Answers at `address` for as long as the process lives.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(address: SocketAddr, state: State) -> Result<()> {
    let taken = || format!("cannot listen on {address}; choose another address with --listen");
    let listener = listen(address, open).with_context(taken)?;
    info!(address = %listener.local_addr().with_context(taken)?, "serving http");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router(state)).await {
            error!(%error, "http ended");
        }
    });
    Ok(())
}

/// Listens at `address`. `[::]` includes all addresses of IPv4; on a machine without IPv6 it means those alone.
fn listen(address: SocketAddr, open: fn(SocketAddr) -> io::Result<TcpListener>) -> io::Result<TcpListener> {
    let lacks_ipv6 = |error: &io::Error| {
        [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|it| error.raw_os_error() == Some(it.raw_os_error()))
    };
    match open(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && lacks_ipv6(&error) => {
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        other => other,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    if address.is_ipv6() {
        // By default the machine decides (net.ipv6.bindv6only).
        set_ipv6_v6only(&socket, false)?;
    }
    // A restarted replica need not wait until its predecessor's connections are gone.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// `/healthz`, `/readyz`, `/leader` and `/metrics`.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/leader", get(leader))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// Fails when the elector still holds a term that is over. It should have noticed, so something keeps it from running. If the
/// elector dies, the process ends.
async fn healthz(extract::State(state): extract::State<State>) -> (StatusCode, Cow<'static, str>) {
    if (state.status)().term.is_some_and(|term| !term.may_act()) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the elector holds a term that is over\n".into());
    }
    match (state.locked_out)() {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("locked out of the API server: {reason}\n").into()),
        None => (StatusCode::OK, "ok\n".into()),
    }
}

/// Succeeds once the replica has seen the Lease, as leader or as standby.
async fn readyz(extract::State(state): extract::State<State>) -> (StatusCode, &'static str) {
    if (state.status)().ready {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the lease has not been seen yet\n")
    }
}

#[derive(Serialize)]
struct Leader {
    /// The replica that answers.
    identity: String,
    /// The leader, as far as this replica knows.
    leader: Option<String>,
    /// Whether this replica may act now.
    leading: bool,
    /// The fencing token of this replica's term.
    epoch: Option<u64>,
    /// Seconds for which this replica may act without another renewal; null on a standby and for a leader for life.
    valid_for_s: Option<f64>,
}

async fn leader(extract::State(state): extract::State<State>) -> Json<Leader> {
    let Status { leader, term, .. } = (state.status)();
    // Both answers use one reading of the clock, so that they agree.
    let term = term.map(|term| (term.remaining(), term)).filter(|(remaining, _)| !remaining.is_zero());
    Json(Leader {
        identity: state.identity,
        leader,
        leading: term.is_some(),
        epoch: term.as_ref().and_then(|(_, term)| term.epoch()),
        valid_for_s: term
            .map(|(remaining, _)| remaining)
            .filter(|r| *r != std::time::Duration::MAX)
            .map(|r| r.as_secs_f64()),
    })
}

async fn metrics(extract::State(state): extract::State<State>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], state.metrics.render(&(state.status)()))
}

#[cfg(test)]
mod tests;
