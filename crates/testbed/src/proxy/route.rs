//! What the connections of a proxy share: both ends of the way, and what is written down of it.

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

/// For a handshake on loopback; whoever takes longer is not there.
const HANDSHAKE_BOUND: Duration = Duration::from_secs(10);

/// A delay without end would overflow the clock.
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

    /// The replica's end.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<server::TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        Ok(timeout(HANDSHAKE_BOUND, self.acceptor.accept(stream)).await??)
    }

    /// A connection to the API server: what sends requests on it, and the future that drives it until it ends.
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

    /// What comes after is drawn from here on.
    pub(super) fn seed(&self, seed: u64) {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).seed(seed);
    }

    /// `fixed` and up to `jitter` more.
    pub(super) fn delay(&self, fixed: Duration, jitter: Duration) -> Duration {
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        fixed.saturating_add(jitter.min(DELAY_MAX).mul_f64(share)).min(DELAY_MAX)
    }
}
