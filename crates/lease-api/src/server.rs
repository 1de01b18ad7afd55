//! The server: a listener and its connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::auth::User;
use crate::fence::Fence;
use crate::serve::serve;
use crate::store::Store;

/// How long a client may take for the TLS handshake.
const HELLO_BOUND: Duration = Duration::from_secs(10);

/// The options of a server.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; with port 0 the kernel chooses. Use it on loopback only: the server is not hardened for a network.
    pub listen: SocketAddr,
    /// The TLS configuration, if TLS is wanted. It must offer HTTP/1.1 only.
    pub tls: Option<Arc<ServerConfig>>,
    /// What the server serves. Keep a clone to start another server with the same objects.
    pub store: Store,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), tls: None, store: Store::default() }
    }
}

/// Shows whether there is TLS, but none of its keys.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Options");
        shown.field("listen", &self.listen).field("tls", &self.tls.is_some()).field("store", &self.store).finish()
    }
}

/// A running server. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    tls: bool,
    store: Store,
    listening: Option<JoinHandle<()>>,
    /// Dropping it stops the server.
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    /// Starts to listen. The async runtime must live as long as the server.
    ///
    /// # Errors
    /// Fails when it cannot listen there.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options { listen, tls, store } = options;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().fallback(serve).with_state(store.clone());
        let acceptor = tls.clone().map(TlsAcceptor::from);
        let listening = tokio::spawn(accept(listener, acceptor, router, stopped));
        Ok(Self { address, tls: tls.is_some(), store, listening: Some(listening), stop: Some(stop) })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Adds a user. It replaces a user with the same token. Users are kept in the store.
    pub fn add_user(&self, user: User) {
        self.store.users().add(user);
    }

    /// Fences a user's writes. Fences are kept in the store.
    pub fn fence(&self, fence: Fence) {
        self.store.fences().push(fence);
    }

    /// What it serves.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Stops the server at once, as SIGKILL would: all connections are cut, watches included. When this returns, the port is
    /// free.
    pub async fn stop(mut self) {
        self.stop.take();
        if let Some(listening) = self.listening.take() {
            // It cannot fail, since the task only ends.
            listening.await.ok();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).field("tls", &self.tls).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        // Removes what has ended, so that the set does not grow with every connection.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            _ = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Most likely out of file descriptors. To accept again at once would only spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        connections.spawn(connection(stream, tls.clone(), router.clone()));
    }
    drop(listener);
    connections.shutdown().await;
}

/// Serves one connection until it ends. If it fails, only the client sees that.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => http(stream, router).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HELLO_BOUND, tls.accept(stream)).await {
                http(stream, router).await;
            }
        }
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let service = TowerToHyperService::new(router);
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}
