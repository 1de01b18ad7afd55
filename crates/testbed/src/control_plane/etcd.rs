//! What a test can do to etcd: stop and start it, compact it, and restore a backup.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::daemon::Daemon;
use super::files;

/// The bound of one request to etcd.
const ANSWER_BOUND: Duration = Duration::from_secs(10);

/// An etcd that can be stopped and started again.
pub(super) struct Etcd {
    program: PathBuf,
    dir: PathBuf,
    pub(super) address: SocketAddr,
    peer: SocketAddr,
    daemon: Mutex<Option<Daemon>>,
}

impl Etcd {
    pub(super) fn start(program: &Path, dir: &Path, address: SocketAddr, peer: SocketAddr) -> Result<Self> {
        let (program, dir) = (program.to_owned(), dir.to_owned());
        let etcd = Self { program, dir, address, peer, daemon: Mutex::new(None) };
        etcd.start_again()?;
        Ok(etcd)
    }

    /// Starts etcd, and does not wait until it serves.
    pub(super) fn start_again(&self) -> Result<()> {
        let mut daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(daemon.is_none(), "etcd runs already");
        let mut command = Command::new(&self.program);
        command.args(files::etcd_flags(&self.dir, self.address, self.peer));
        *daemon = Some(Daemon::start("etcd", command, &self.dir)?);
        Ok(())
    }

    /// Ends etcd (SIGKILL) and keeps what it stored.
    pub(super) async fn stop(&self) -> Result<()> {
        let daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner).take();
        let daemon = daemon.context("etcd does not run")?;
        daemon.process.signal(Signal::KILL)?;
        daemon.process.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// # Errors
    /// Fails when it has ended by itself, with the last lines of its log.
    pub(super) fn still_running(&self) -> Result<()> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(Ok(()), Daemon::still_running)
    }

    /// Returns the last lines of its log, for an error.
    pub(super) fn log(&self) -> String {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// Copies what etcd has stored to a folder beside it. etcd must not run meanwhile.
    pub(super) fn back_up(&self) -> Result<()> {
        copy(&self.data(), &self.backup())
    }

    /// Replaces what etcd has stored by the copy. etcd must not run meanwhile.
    pub(super) fn restore(&self) -> Result<()> {
        ensure!(self.backup().is_dir(), "there is no backup of etcd");
        fs::remove_dir_all(self.data()).context("removing what etcd stored")?;
        copy(&self.backup(), &self.data())
    }

    /// Removes every revision but the present one.
    pub(super) async fn compact(&self) -> Result<()> {
        let any = self.ask("/v3/kv/range", &json!({"key": "Lw=="})).await?;
        let revision = any["header"]["revision"].as_str().context("etcd does not show its revision")?;
        let compacted = self.ask("/v3/kv/compaction", &json!({"revision": revision, "physical": true})).await?;
        ensure!(compacted["header"].is_object(), "etcd does not compact: {compacted}");
        Ok(())
    }

    async fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        let asking = async {
            let stream = TcpStream::connect(self.address).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let request = Request::post(path).header("host", self.address.to_string());
            let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_string())))?).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if !status.is_success() {
                bail!("etcd answers {path} with {status}: {}", String::from_utf8_lossy(&body));
            }
            Ok(serde_json::from_slice(&body)?)
        };
        timeout(ANSWER_BOUND, asking).await.context("etcd does not answer")?
    }

    fn data(&self) -> PathBuf {
        files::etcd_data(&self.dir)
    }

    fn backup(&self) -> PathBuf {
        self.dir.join("etcd-backup")
    }
}

/// Copies a folder of folders and files, such as etcd's.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copying to {}", target.display()))?;
        }
    }
    Ok(())
}
