//! One process of a variant: starts it, sends it signals, and reads its output.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Map, Value};

use crate::history::{EXITED, Event, FROZEN, HARNESS, History, LOG_LOST, THAWED, now};
use crate::process::Process;

/// How many lines of standard error are kept to report a failure.
const STDERR_LINES_MAX: usize = 50;

/// How long a replica's output is read after its end.
const READ_BOUND: Duration = Duration::from_secs(2);

/// The variables that a replica inherits. POD_NAME, KUBERNETES_SERVICE_HOST and the like are not among them: a test must not
/// depend on where it runs.
const ENVIRONMENT: [&str; 3] = ["PATH", "HOME", "RUST_BACKTRACE"];

/// How a replica is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The executable.
    pub program: PathBuf,
    /// Its name in the testbed and in the history.
    pub name: String,
    /// Its `KUBECONFIG`.
    pub kubeconfig: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment in addition to `PATH`, `HOME`, `KUBECONFIG` and `RUST_BACKTRACE`. It sees no other variables.
    pub env: Vec<(String, String)>,
}

/// A started replica. Dropping it kills it.
pub struct Replica {
    name: String,
    history: History,
    stderr: Arc<Mutex<VecDeque<String>>>,
    held: Arc<Held>,
    pipe: OwnedFd,
    process: Process,
}

/// Whether its standard output is not read at the moment.
#[derive(Default)]
struct Held(Mutex<bool>, Condvar);

/// The smallest pipe that Linux makes.
const PIPE_MIN: usize = 4096;

impl Replica {
    /// Starts it. The lines of its standard output go to `history` from then on.
    ///
    /// # Errors
    /// Fails when the program cannot be started.
    pub fn start(launch: Launch, history: &History) -> Result<Self> {
        let Launch { program, name, kubeconfig, args, env } = launch;
        let mut command = Command::new(program);
        command.args(args).env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.env("KUBECONFIG", kubeconfig).envs(env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());

        // Each reader holds a sender until its pipe ends. Once the last sender is gone, everything has been read.
        let (reading, read) = mpsc::channel();
        let at_exit = note_exit(name.clone(), history.clone(), read);
        let mut process = Process::spawn(command, at_exit).with_context(|| format!("starting replica {name}"))?;
        let stdout = process.stdout.take().context("a replica has no standard output")?;
        let errors = process.stderr.take().context("a replica has no standard error")?;
        let stderr = Arc::default();
        let held = Arc::new(Held::default());
        let pipe = stdout.as_fd().try_clone_to_owned().context("keeping a pipe")?;
        let (into, of, gate) = (history.clone(), name.clone(), Arc::clone(&held));
        read_lines(stdout, reading.clone(), move |line| {
            into.record_line(&of, line);
            gate.wait();
        });
        let kept = Arc::clone(&stderr);
        read_lines(errors, reading, move |line| keep(&kept, line));
        Ok(Self { name, history: history.clone(), stderr, held, pipe, process })
    }

    /// Stops reading its standard output until [`Replica::read_output`]. The pipe fills up, and then the replica waits or drops
    /// what it writes. The history shows nothing of it meanwhile.
    pub fn hold_output(&self) {
        self.held.set(true);
        // A small pipe is full soon. The kernel refuses if it has more data than that, and then it is full anyway.
        #[cfg(target_os = "linux")]
        rustix::pipe::fcntl_setpipe_size(&self.pipe, PIPE_MIN).ok();
    }

    /// Reads its standard output again.
    pub fn read_output(&self) {
        self.held.set(false);
    }

    /// Returns how much processor time it has used. On Linux only, and while it runs.
    pub fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        cpu_time(&stat, rustix::param::clock_ticks_per_second())
    }

    /// Returns its name in the testbed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw_pid()
    }

    /// Asks it to end (SIGTERM). Returns the time right before, in monotonic nanoseconds.
    ///
    /// # Errors
    /// Fails when it has ended already, as with every signal.
    pub fn terminate(&self) -> Result<u64> {
        self.signal(Signal::TERM, "SIGTERM")
    }

    /// Ends it (SIGKILL). Returns the time right before, in monotonic nanoseconds.
    ///
    /// # Errors
    /// Fails when it has ended already.
    pub fn kill(&self) -> Result<u64> {
        self.signal(Signal::KILL, "SIGKILL")
    }

    /// Freezes it (SIGSTOP). Returns the time right before, in monotonic nanoseconds.
    ///
    /// # Errors
    /// Fails when it has ended already.
    pub fn stop(&self) -> Result<u64> {
        self.signal(Signal::STOP, FROZEN)
    }

    /// Resumes it (SIGCONT). Returns the time right before, in monotonic nanoseconds.
    ///
    /// # Errors
    /// Fails when it has ended already.
    pub fn cont(&self) -> Result<u64> {
        self.signal(Signal::CONT, THAWED)
    }

    /// Waits until it has ended. Then everything that it printed is in the history.
    ///
    /// # Errors
    /// Fails when it still runs after `bound`.
    pub async fn wait(&self, bound: Duration) -> Result<ExitStatus> {
        let ended = self.process.wait(bound).await;
        ended.with_context(|| {
            format!("{} did not end within {bound:?}; its standard error:\n{}", self.name, self.stderr())
        })
    }

    /// Returns how it ended, once it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Waits until its log has the address at which it serves HTTP, and returns it.
    ///
    /// # Errors
    /// Fails when the log does not have it within `bound`.
    pub async fn http_address(&self, bound: Duration) -> Result<SocketAddr> {
        let serving = |event: &Event| event.replica == self.name && event.message == "serving http";
        let address = |event: &Event| event.fields.get("address")?.as_str()?.parse().ok();
        self.history.wait_for(bound, |events| events.iter().rev().find(|it| serving(it)).and_then(address)).await
    }

    /// Returns its resident memory in bytes. On Linux only, and while it runs.
    pub fn rss_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        resident_bytes(&status)
    }

    /// Returns the last lines of its standard error.
    pub fn stderr(&self) -> String {
        let lines = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn signal(&self, signal: Signal, name: &str) -> Result<u64> {
        let at = now();
        self.process.signal(signal).with_context(|| format!("{name} to {}", self.name))?;
        let to = Map::from_iter([("to".to_owned(), Value::from(self.name.as_str()))]);
        Ok(self.history.record_at(at, HARNESS, name, to))
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid())
    }
}

impl Held {
    fn set(&self, held: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.1.notify_all();
    }

    fn wait(&self) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.1.wait_while(held, |held| *held).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends a reader that waits, since it must not outlive the handle.
impl Drop for Replica {
    fn drop(&mut self) {
        self.read_output();
    }
}

/// Records the end in the history, after everything that the replica printed before.
fn note_exit(name: String, history: History, read: Receiver<()>) -> impl FnOnce(ExitStatus) + Send + 'static {
    move |status| {
        let at = now();
        // The wait ends with the last sender. The bound is for a process whose child still holds the pipe.
        if read.recv_timeout(READ_BOUND) == Err(RecvTimeoutError::Timeout) {
            history.record_at(at, &name, LOG_LOST, Map::new());
        }
        let fields = Map::from_iter([("status".to_owned(), Value::from(status.to_string()))]);
        history.record_at(at, &name, EXITED, fields);
    }
}

/// Calls `take` with each line until the pipe ends. Bytes that are not text are replaced, so the line is kept.
fn read_lines(pipe: impl Read + Send + 'static, reading: Sender<()>, mut take: impl FnMut(&str) + Send + 'static) {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            take(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).as_ref());
            line.clear();
        }
        drop(reading);
    });
}

fn keep(lines: &Mutex<VecDeque<String>>, line: &str) {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() == STDERR_LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(line.to_owned());
}

fn resident_bytes(status: &str) -> Option<u64> {
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Reads `/proc/<pid>/stat`. The second field is in parentheses and may contain any character; the times are fields 14 and 15.
fn cpu_time(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap_or(0)).sum();
    Some(Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)))
}

#[cfg(test)]
mod tests;
