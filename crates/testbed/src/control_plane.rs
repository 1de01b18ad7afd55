//! A real control plane on loopback: etcd and kube-apiserver with RBAC, and nothing else. No controllers run, so a Deployment
//! makes no pods, and a deleted namespace stays in `Terminating`.

mod daemon;
mod etcd;
mod files;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Request;
use kube::Client;
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::assets::Assets;
use crate::client::{client_of, random_hex};
use crate::guard::TempDir;
use crate::tls::Authority;
use daemon::Daemon;
use etcd::Etcd;

/// From the start of a process until it serves. On two cores it took four seconds.
const READY_BOUND: Duration = Duration::from_secs(60);
/// How often readiness is polled, since there is no event for it.
const READY_PERIOD: Duration = Duration::from_millis(100);
/// How long to wait until the former port is free.
const PORT_BOUND: Duration = Duration::from_secs(30);
/// How often to start with new ports, since a port that was free may be taken by the time it is used.
const ATTEMPTS_MAX: usize = 3;

/// A running control plane. Dropping it ends it and removes what it stored.
///
/// It does not depend on an async runtime, so tests with a runtime each may share it.
pub struct ControlPlane {
    // In the order in which they have to end: the API server, etcd, their folder.
    api_server: Mutex<Option<Daemon>>,
    etcd: Etcd,
    dir: TempDir,
    assets: Assets,
    authority: Authority,
    token: String,
    address: SocketAddr,
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver on free ports of loopback and waits until they are ready.
    ///
    /// # Errors
    /// Fails when one of them does not start within a minute, with the last lines of its log.
    pub async fn start(assets: &Assets) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_once(assets).await {
                Err(error) if attempt < ATTEMPTS_MAX && is_of_the_port(&error) => {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Makes a client with an administrator's rights. It belongs to the async runtime that first uses it, so each test makes
    /// its own.
    ///
    /// # Errors
    /// Fails when TLS cannot be set up.
    pub fn client(&self) -> Result<Client> {
        self.client_with_token(&self.token)
    }

    /// Ends the API server (SIGKILL) and leaves etcd as it is.
    ///
    /// # Errors
    /// Fails when it does not run.
    pub async fn stop_api_server(&self) -> Result<()> {
        let api_server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner).take();
        let api_server = api_server.context("the API server does not run")?;
        api_server.process.signal(Signal::KILL)?;
        api_server.process.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// Starts the API server again, with the same port and data, and waits until it is ready.
    ///
    /// # Errors
    /// Fails when it runs already, or does not get ready within a minute.
    pub async fn start_api_server(&self) -> Result<()> {
        let deadline = Instant::now() + PORT_BOUND;
        loop {
            match self.start_api_server_once().await {
                // The kernel may have given the port to a connection of another process, which will end.
                Err(error) if is_of_the_port(&error) && Instant::now() < deadline => sleep(READY_PERIOD).await,
                done => return done,
            }
        }
    }

    async fn start_api_server_once(&self) -> Result<()> {
        if self.api_server.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            bail!("the API server runs already");
        }
        let api_server = self.spawn_api_server()?;
        self.wait_ready(&api_server).await?;
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = Some(api_server);
        Ok(())
    }

    /// Ends etcd (SIGKILL) and leaves the API server without it.
    ///
    /// # Errors
    /// Fails when it does not run.
    pub async fn stop_etcd(&self) -> Result<()> {
        self.etcd.stop().await
    }

    /// Starts etcd again, with the same port and data, and waits until the API server is ready.
    ///
    /// # Errors
    /// Fails when it runs already, or the API server does not get ready within a minute.
    pub async fn start_etcd(&self) -> Result<()> {
        self.etcd.start_again()?;
        // Taken out during the wait, since the lock must not be held meanwhile.
        let api_server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner).take();
        let api_server = api_server.context("the API server does not run")?;
        let ready = self.wait_ready(&api_server).await;
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = Some(api_server);
        ready
    }

    /// Compacts etcd: it forgets every revision but the present one.
    ///
    /// # Errors
    /// Fails when etcd does not answer, or refuses.
    pub async fn compact_etcd(&self) -> Result<()> {
        self.etcd.compact().await
    }

    /// Keeps a copy of what etcd stores now. etcd is stopped for a moment.
    ///
    /// # Errors
    /// Fails when etcd cannot be stopped, copied or started.
    pub async fn back_up(&self) -> Result<()> {
        self.etcd.stop().await?;
        let copied = self.etcd.back_up();
        self.start_etcd().await?;
        copied
    }

    /// Ends the API server and etcd, and starts both with the data of [`ControlPlane::back_up`].
    ///
    /// # Errors
    /// Fails when there is no backup, or they do not get ready within a minute.
    pub async fn restore(&self) -> Result<()> {
        self.stop_api_server().await?;
        self.etcd.stop().await?;
        self.etcd.restore()?;
        self.etcd.start_again()?;
        self.start_api_server().await
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.token
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client_with_token(&self, token: &str) -> Result<Client> {
        client_of(self.address, &self.authority, token)
    }

    async fn start_once(assets: &Assets) -> Result<Self> {
        let dir = TempDir::new("still-leading-control-plane-")?;
        let authority = Authority::new()?;
        let token = random_hex(32)?;
        files::write(dir.path(), &authority, &token)?;
        let [etcd_address, peer_address, address] = free_addresses()?;
        let etcd = Etcd::start(&assets.etcd, dir.path(), etcd_address, peer_address)?;
        let (assets, api_server) = (assets.clone(), Mutex::new(None));
        let control_plane = Self { api_server, etcd, dir, assets, authority, token, address };
        control_plane.start_api_server_once().await?;
        Ok(control_plane)
    }

    fn spawn_api_server(&self) -> Result<Daemon> {
        let mut command = Command::new(&self.assets.kube_apiserver);
        command.args(files::api_server_flags(self.dir.path(), self.etcd.address, self.address));
        Daemon::start("kube-apiserver", command, self.dir.path())
    }

    async fn wait_ready(&self, api_server: &Daemon) -> Result<()> {
        let client = self.client()?;
        let deadline = Instant::now() + READY_BOUND;
        loop {
            let request = Request::get("/readyz").body(Vec::new())?;
            // An API server that has just begun to listen may leave a request without an answer.
            if let Ok(Ok(answer)) = timeout(Duration::from_secs(1), client.request_text(request)).await
                && answer == "ok"
            {
                return Ok(());
            }
            self.etcd.still_running()?;
            api_server.still_running()?;
            if Instant::now() > deadline {
                bail!("the API server is not ready after {READY_BOUND:?}\n{}\n{}", api_server.log(), self.etcd.log());
            }
            sleep(READY_PERIOD).await;
        }
    }
}

/// Shows only its address, since it holds a token and a private key.
impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Whether another process has the port.
fn is_of_the_port(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

/// Returns free addresses of loopback. They are released when this returns, so another process may take one. A child that is
/// being started at this moment holds them until it has become another program.
fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    // All are held until all are known, so that they differ.
    let held = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)));
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (address, listener) in addresses.iter_mut().zip(held) {
        *address = listener.and_then(|listener| listener.local_addr()).context("looking for a free port")?;
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_addresses_differ() {
        let [a, b, c] = free_addresses().unwrap();
        assert!(a != b && b != c && a != c);
    }
}
