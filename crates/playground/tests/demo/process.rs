//! The demo as a process whose output goes to files, so that it never waits for a reader.

use std::fs::File;
use std::io;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

/// The pause between two checks of a wait.
const PERIOD: Duration = Duration::from_millis(50);

/// A running demo without a terminal. Dropping it kills it, and with it what it started.
pub struct Demo {
    child: Child,
    out: NamedTempFile,
    errors: NamedTempFile,
}

/// The demo with these arguments, and no variable that asks for colours.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_still-leading-playground"));
    command.args(args).env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR").env("TERM", "xterm").env("LC_ALL", "C");
    command
}

impl Demo {
    pub fn start(args: &[&str]) -> io::Result<Self> {
        let out = NamedTempFile::new()?;
        let into = Stdio::from(out.reopen()?);
        Self::spawn(command(args).stdin(Stdio::null()).stdout(into), out)
    }

    pub fn start_into(args: &[&str], out: Stdio) -> io::Result<Self> {
        Self::spawn(command(args).stdin(Stdio::null()).stdout(out), NamedTempFile::new()?)
    }

    /// Starts it with a terminal for input and output.
    pub fn start_on(terminal: &File, args: &[&str], (variable, value): (&str, &str)) -> io::Result<Self> {
        let mut command = command(args);
        command.env(variable, value);
        command.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?);
        Self::spawn(&mut command, NamedTempFile::new()?)
    }

    fn spawn(command: &mut Command, out: NamedTempFile) -> io::Result<Self> {
        let errors = NamedTempFile::new()?;
        let child = command.stderr(errors.reopen()?).spawn()?;
        Ok(Self { child, out, errors })
    }

    /// Waits for its end, and returns the exit code.
    pub fn wait(&mut self, bound: Duration) -> Result<Option<i32>, Failed> {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            if Instant::now() > deadline {
                let (said, errors) = self.said()?;
                return Err(Failed::from(format!("it still runs after {bound:?}\n{said}\n{errors}")));
            }
            sleep(PERIOD);
        }
    }

    /// Waits until it has printed a text.
    pub fn wait_for(&mut self, text: &str, bound: Duration) -> Result<(), Failed> {
        let deadline = Instant::now() + bound;
        loop {
            let (said, errors) = self.said()?;
            if said.contains(text) {
                return Ok(());
            }
            if Instant::now() > deadline || self.child.try_wait()?.is_some() {
                return Err(Failed::from(format!("it never said {text:?}\n{said}\n{errors}")));
            }
            sleep(PERIOD);
        }
    }

    /// Returns what it has printed so far on standard output and standard error.
    pub fn said(&self) -> io::Result<(String, String)> {
        let [said, errors] = [std::fs::read(&self.out)?, std::fs::read(&self.errors)?];
        Ok((String::from_utf8_lossy(&said).into_owned(), String::from_utf8_lossy(&errors).into_owned()))
    }

    pub fn signal(&self, signal: Signal) -> Result<(), Failed> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Fails only if it has ended.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
