//! One process of a variant: started, signalled, and listened to.

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

/// How much of standard error is kept for the report of a failure.
const STDERR_LINES_MAX: usize = 50;

/// How long after a replica's end its output is still read.
const READ_BOUND: Duration = Duration::from_secs(2);

/// What a replica sees of the machine besides what the launch says. POD_NAME, KUBERNETES_SERVICE_HOST and the like stay
/// out: with them a test would depend on where it runs.
const ENVIRONMENT: [&str; 3] = ["PATH", "HOME", "RUST_BACKTRACE"];

/// How a replica is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The executable.
    pub program: PathBuf,
    /// What the testbed and the history call it.
    pub name: String,
    /// What it gets as `KUBECONFIG`.
    pub kubeconfig: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment on top of `PATH`, `HOME`, `KUBECONFIG` and `RUST_BACKTRACE`; it sees nothing else.
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

/// Whether its standard output is left unread.
#[derive(Default)]
struct Held(Mutex<bool>, Condvar);

/// The smallest pipe that Linux makes.
const PIPE_MIN: usize = 4096;

impl Replica {
    /// Starts it; the lines of its standard output go to `history` from then on.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(launch: Launch, history: &History) -> Result<Self> {
        let Launch { program, name, kubeconfig, args, env } = launch;
        let mut command = Command::new(program);
        command.args(args).env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.env("KUBECONFIG", kubeconfig).envs(env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());

        // Each reader holds a sender until its pipe ends: with the last one gone, everything has been read.
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

    /// Leaves its standard output unread until [`Replica::read_output`]: the pipe fills up, and what the replica writes then
    /// waits or is dropped, as it sees fit. The history shows nothing of it meanwhile.
    pub fn hold_output(&self) {
        self.held.set(true);
        // So that it is full soon. Refused while more than that is in it, and then it is full anyway.
        #[cfg(target_os = "linux")]
        rustix::pipe::fcntl_setpipe_size(&self.pipe, PIPE_MIN).ok();
    }

    /// Reads its standard output again.
    pub fn read_output(&self) {
        self.held.set(false);
    }

    /// How much processor time it has used, where the system tells (Linux) and while it runs.
    pub fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        cpu_time(&stat, rustix::param::clock_ticks_per_second())
    }

    /// What the testbed calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw_pid()
    }

    /// Asks it to end (SIGTERM). Returns the monotonic nanoseconds right before.
    ///
    /// # Errors
    /// When it has ended already; so for every signal.
    pub fn terminate(&self) -> Result<u64> {
        self.signal(Signal::TERM, "SIGTERM")
    }

    /// Ends it (SIGKILL). Returns the monotonic nanoseconds right before.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn kill(&self) -> Result<u64> {
        self.signal(Signal::KILL, "SIGKILL")
    }

    /// Freezes it (SIGSTOP). Returns the monotonic nanoseconds right before.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn stop(&self) -> Result<u64> {
        self.signal(Signal::STOP, FROZEN)
    }

    /// Lets it go on (SIGCONT). Returns the monotonic nanoseconds right before.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn cont(&self) -> Result<u64> {
        self.signal(Signal::CONT, THAWED)
    }

    /// Waits until it has ended; everything that it printed is in the history then.
    ///
    /// # Errors
    /// When it still runs after `bound`.
    pub async fn wait(&self, bound: Duration) -> Result<ExitStatus> {
        let ended = self.process.wait(bound).await;
        ended.with_context(|| {
            format!("{} did not end within {bound:?}; its standard error:\n{}", self.name, self.stderr())
        })
    }

    /// How it ended, once it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Where it serves HTTP, as soon as it has said so in its log.
    ///
    /// # Errors
    /// When it has not said so within `bound`.
    pub async fn http_address(&self, bound: Duration) -> Result<SocketAddr> {
        let serving = |event: &Event| event.replica == self.name && event.message == "serving http";
        let address = |event: &Event| event.fields.get("address")?.as_str()?.parse().ok();
        self.history.wait_for(bound, |events| events.iter().rev().find(|it| serving(it)).and_then(address)).await
    }

    /// Resident memory in bytes, where the system tells (Linux) and while it runs.
    pub fn rss_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        resident_bytes(&status)
    }

    /// The last lines of its standard error.
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

/// A reader that waits must not outlive the handle.
impl Drop for Replica {
    fn drop(&mut self) {
        self.read_output();
    }
}

/// Notes the end in the history, after all that the replica had printed before.
fn note_exit(name: String, history: History, read: Receiver<()>) -> impl FnOnce(ExitStatus) + Send + 'static {
    move |status| {
        let at = now();
        // Ends with the last sender; the bound is for a process that left a child behind which holds the pipe.
        if read.recv_timeout(READ_BOUND) == Err(RecvTimeoutError::Timeout) {
            history.record_at(at, &name, LOG_LOST, Map::new());
        }
        let fields = Map::from_iter([("status".to_owned(), Value::from(status.to_string()))]);
        history.record_at(at, &name, EXITED, fields);
    }
}

/// Calls `take` with each line until the pipe ends; bytes that are no text are replaced, not lost with their line.
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

/// Of the second field in parentheses, which may itself contain any character; the times are the 14th and the 15th field.
fn cpu_time(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap_or(0)).sum();
    Some(Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)))
}

#[cfg(test)]
mod tests;
