//! What the connections of a proxy share: both ends of the route, and the record.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector, server};

use super::record::Record;
use crate::tls::Authority;

/// The bound of a handshake on loopback.
const HANDSHAKE_BOUND: Duration = Duration::from_secs(10);

/// A longer delay is cut to this, since it could overflow the clock.
const DELAY_MAX: Duration = Duration::from_hours(24);

pub(super) struct Route {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    upstream: SocketAddr,
    pub(super) record: Record,
    random: Mutex<Rng>,
}

impl Route {
    pub(super) fn new(authority: &Authority, upstream: SocketAddr) -> Result<Self> {
        let (acceptor, connector) = (authority.acceptor()?, authority.connector()?);
        Ok(Self { acceptor, connector, upstream, record: Record::default(), random: Mutex::new(Rng::new()) })
    }

    /// Accepts a connection of the replica.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<server::TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        Ok(timeout(HANDSHAKE_BOUND, self.acceptor.accept(stream)).await??)
    }

    /// Opens a connection to the API server. Returns what sends requests on it, and the future that drives it until it ends.
    pub(super) async fn connect<B>(&self) -> Result<(SendRequest<B>, impl Future<Output = hyper::Result<()>> + use<B>)>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let connecting = async {
            let stream = TcpStream::connect(self.upstream).await?;
            stream.set_nodelay(true)?;
            let stream = self.connector.connect(ServerName::from(self.upstream.ip()), stream).await?;
            anyhow::Ok(http1::handshake(TokioIo::new(stream)).await?)
        };
        timeout(HANDSHAKE_BOUND, connecting).await?
    }

    /// Seeds the random delays from here on.
    pub(super) fn seed(&self, seed: u64) {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).seed(seed);
    }

    /// Returns a delay of `fixed` and up to `jitter` more.
    pub(super) fn delay(&self, fixed: Duration, jitter: Duration) -> Duration {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        fixed.saturating_add(jitter.min(DELAY_MAX).mul_f64(share)).min(DELAY_MAX)
    }
}
