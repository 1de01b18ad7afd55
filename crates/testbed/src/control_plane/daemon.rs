//! One process of the control plane, with its log in a file.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::Process;

/// How many lines of a log an error shows.
const LOG_LINES_MAX: usize = 20;

pub(super) struct Daemon {
    name: &'static str,
    log: PathBuf,
    pub(super) process: Process,
}

impl Daemon {
    /// Starts `command` with its output appended to `<name>.log` in `dir`.
    pub(super) fn start(name: &'static str, mut command: Command, dir: &Path) -> Result<Self> {
        let log = dir.join(name).with_extension("log");
        let file = OpenOptions::new().create(true).append(true).open(&log).context("opening a log file")?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self { name, log, process: Process::spawn(command, |_| ())? })
    }

    /// # Errors
    /// Fails when it has ended, with the last lines of its log.
    pub(super) fn still_running(&self) -> Result<()> {
        match self.process.exit_status() {
            Some(status) => bail!("{} ended ({status}); {}", self.name, self.log()),
            None => Ok(()),
        }
    }

    /// Returns the last lines of its log, for an error.
    pub(super) fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
        format!("the last lines of {}'s log:\n{}", self.name, last.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn an_early_end_is_an_error_with_the_end_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "seq 1 30; echo address already in use >&2; exit 3"]);
        let daemon = Daemon::start("etcd", command, dir.path()).unwrap();
        daemon.process.wait(Duration::from_secs(10)).await.unwrap();
        let error = daemon.still_running().unwrap_err().to_string();
        assert!(error.starts_with("etcd ended (exit status: 3)"), "{error}");
        assert!(error.ends_with("29\n30\naddress already in use") && !error.contains("\n11\n"), "{error}");
    }
}
