//! A replica of what a page leads to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use still_leading_testbed::Process;
use tokio::time::{Instant, sleep};

/// Many times what anything here takes, once it is built. A leader of a new Lease waits for a lease duration, 15 s.
pub const BOUND: Duration = Duration::from_secs(120);

/// A started replica. Dropping it kills it.
pub struct Replica {
    process: Process,
    log: PathBuf,
}

impl Replica {
    /// Starts `program` as the pod `pod` of `application`: its namespace and its Lease have that name. It logs into `dir`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, application: &str, pod: &str, kubeconfig: &Path, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{pod}.log"));
        let mut command = Command::new(program);
        command.envs([("POD_NAME", pod), ("POD_NAMESPACE", application), ("LEASE_NAME", application), ("PORT", "0")]);
        command.env("KUBECONFIG", kubeconfig).env("NO_COLOR", "1").stdout(File::create(&log)?);
        let process = Process::spawn(command, |_| ()).context("starting what the page leads to")?;
        Ok(Self { process, log })
    }

    /// Waits until it has logged `what`.
    ///
    /// # Errors
    /// It has not within [`BOUND`], with all that it has logged.
    pub async fn wait_for(&self, what: &str) -> Result<()> {
        let deadline = Instant::now() + BOUND;
        loop {
            let said = fs::read_to_string(&self.log)?;
            if said.lines().any(|line| line.contains(what)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("`{what}` was not logged:\n{said}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks it to end, and waits until it has, with code 0.
    ///
    /// # Errors
    /// It has not ended, or not well.
    pub async fn terminate(&self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let ended = self.process.wait(BOUND).await?;
        ensure!(ended.success(), "a replica ended with {ended}:\n{}", fs::read_to_string(&self.log)?);
        Ok(())
    }
}
