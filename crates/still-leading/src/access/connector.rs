//! Opens connections. A name may have several addresses, of which some do not answer: all of them are tried within one
//! attempt, and one that has let an attempt down is tried last.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::select;
use tokio::time::sleep;
use tower::Service;

/// The next address gets its turn after this time, beside those before it; the pause of RFC 8305.
const HEAD_START: Duration = Duration::from_millis(250);

type Resolve = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// See the file. Clones share what is known of the addresses.
#[derive(Clone)]
pub struct Connector {
    resolve: Arc<Resolve>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// Where the last connection leads to.
    last: Option<SocketAddr>,
    /// What has let attempts down, the latest at the end.
    suspects: Vec<SocketAddr>,
}

impl Default for Connector {
    /// Asks the system for the addresses.
    fn default() -> Self {
        Self::new(|host, port| Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) }))
    }
}

impl Connector {
    pub fn new(
        resolve: impl Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self { resolve: Arc::new(resolve), known: Arc::default() }
    }

    /// An attempt had no answer: the address that was connected to last is tried after the others from now on.
    pub fn suspect_last(&self) {
        let mut known = self.known();
        if let Some(last) = known.last.take() {
            known.suspects.retain(|suspect| *suspect != last);
            known.suspects.push(last);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a suspect stands in the order of attempts; the others come before.
    fn rank(&self, address: &SocketAddr) -> usize {
        self.known().suspects.iter().position(|suspect| suspect == address).map_or(0, |position| position + 1)
    }

    async fn connect(self, to: Uri) -> io::Result<TokioIo<TcpStream>> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the URL names no host");
        let host = to.host().ok_or_else(missing)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = to.port_u16().unwrap_or(match to.scheme_str() {
            Some("http") => 80,
            Some("socks5" | "socks5h") => 1080,
            _ => 443,
        });
        let mut addresses = (self.resolve)(host, port).await?;
        addresses.sort_by_key(|address| self.rank(address));
        let (address, stream) = first_of(addresses).await?;
        // A request is a small write, and must not wait for the answer to the one before.
        stream.set_nodelay(true)?;
        self.known().last = Some(address);
        Ok(TokioIo::new(stream))
    }
}

/// Begins with one address after the other, and takes the first one that accepts.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<(SocketAddr, TcpStream)> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        let next = waiting.next();
        let all_begun = next.is_none();
        attempts.extend(next.map(|address| async move { (address, TcpStream::connect(address).await) }));
        let mut head_start = pin!(sleep(HEAD_START));
        // Until it is the turn of another one.
        loop {
            select! {
                ended = attempts.next() => match ended {
                    Some((address, Ok(stream))) => return Ok((address, stream)),
                    Some((_, Err(error))) => {
                        failure.get_or_insert(error);
                        if !all_begun {
                            break;
                        }
                    }
                    None if all_begun => {
                        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                        return Err(failure.unwrap_or_else(none));
                    }
                    None => break,
                },
                () = &mut head_start, if !all_begun => break,
            }
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

#[cfg(test)]
mod tests;
