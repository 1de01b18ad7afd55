//! A child process that ends with its handle, and with the harness.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;

use crate::guard;

/// How long a destructor waits for a killed process. It is gone at once unless the kernel holds it.
const REAP_BOUND: Duration = Duration::from_secs(10);

/// A running child. It does not depend on an async runtime, so tests with a runtime each may share it.
pub struct Process {
    program: String,
    pid: Pid,
    /// False while the id is certainly the child's. Signals are sent under this lock, so that none hits another process.
    reaped: Arc<Mutex<bool>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    reaper_done: Mutex<mpsc::Receiver<()>>,
    /// Present where the caller asked for a pipe.
    pub(crate) stdout: Option<ChildStdout>,
    /// Present where the caller asked for a pipe.
    pub(crate) stderr: Option<ChildStderr>,
}

impl Process {
    /// Starts `command`. Calls `on_exit` once when it has ended, before anyone who waits for it learns of that.
    ///
    /// # Errors
    /// Fails when it does not start, or when it cannot be put on the watchdog's list.
    pub fn spawn(mut command: Command, on_exit: impl FnOnce(ExitStatus) + Send + 'static) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        // Ctrl-C on a terminal reaches the harness only, which decides what happens to its children.
        let mut child = command.process_group(0).spawn().with_context(|| format!("starting {program}"))?;
        let pid = Pid::from_child(&child);
        if let Err(error) = guard::kill_at_end(pid) {
            // Rather no process than one that may be left behind.
            child.kill().and_then(|()| child.wait()).with_context(|| format!("ending {program}"))?;
            return Err(error);
        }
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reaped = Arc::new(Mutex::new(false));
        let (exited, exit) = watch::channel(None);
        let (done, reaper_done) = mpsc::channel();
        thread::spawn({
            let reaped = Arc::clone(&reaped);
            move || {
                let status = reap(&mut child, pid, &reaped);
                if let Ok(status) = status {
                    on_exit(status);
                    exited.send_replace(Some(status));
                }
                // Nobody receives it if the handle has given up waiting.
                done.send(()).ok();
            }
        });
        Ok(Self { program, pid, reaped, exit, reaper_done: Mutex::new(reaper_done), stdout, stderr })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns how it ended, once it has.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Fails when it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let reaped = lock(&self.reaped);
        if *reaped {
            bail!("{} (pid {}) has already ended", self.program, self.pid);
        }
        kill_process(self.pid, signal).with_context(|| format!("sending a signal to {}", self.program))
    }

    /// Waits until it has ended, for at most `bound`.
    ///
    /// # Errors
    /// Fails when it still runs then.
    pub async fn wait(&self, bound: Duration) -> Result<ExitStatus> {
        let mut exit = self.exit.clone();
        let ended = tokio::time::timeout(bound, exit.wait_for(Option::is_some)).await;
        let ended = ended.with_context(|| format!("{} (pid {}) still runs after {bound:?}", self.program, self.pid))?;
        ended.ok().and_then(|status| *status).with_context(|| format!("the end of {} was missed", self.program))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended.
        self.signal(Signal::KILL).ok();
        let done = self.reaper_done.get_mut().unwrap_or_else(PoisonError::into_inner);
        done.recv_timeout(REAP_BOUND).ok();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.program, self.pid)
    }
}

/// Waits in two steps: until the child has ended, which keeps its id in use, and then, under the lock, for its status.
fn reap(child: &mut Child, pid: Pid, reaped: &Mutex<bool>) -> Result<ExitStatus> {
    while let Err(error) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != Errno::INTR {
            return Err(error).context("waiting for a child");
        }
    }
    let mut reaped = lock(reaped);
    // Without a watchdog there is no list, and the child has to be reaped anyway.
    guard::forget(pid).ok();
    let status = child.wait().context("reaping a child")?;
    *reaped = true;
    Ok(status)
}

fn lock(reaped: &Mutex<bool>) -> MutexGuard<'_, bool> {
    reaped.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const BOUND: Duration = Duration::from_secs(20);

    fn sleep() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[tokio::test]
    async fn a_signal_ends_it_and_wait_returns_which() {
        let process = Process::spawn(sleep(), |_| ()).unwrap();
        process.signal(Signal::TERM).unwrap();
        assert_eq!(process.wait(BOUND).await.unwrap().signal(), Some(Signal::TERM.as_raw()));
    }

    #[tokio::test]
    async fn an_ended_process_takes_no_signal() {
        let process = Process::spawn(Command::new("true"), |_| ()).unwrap();
        process.wait(BOUND).await.unwrap();
        let error = process.signal(Signal::KILL).unwrap_err();
        assert!(error.to_string().contains("already ended"), "{error}");
    }

    #[tokio::test]
    async fn waiting_is_bounded() {
        let process = Process::spawn(sleep(), |_| ()).unwrap();
        let error = process.wait(Duration::from_millis(1)).await.unwrap_err();
        assert!(error.to_string().contains("still runs"), "{error}");
    }

    #[test]
    fn dropping_the_handle_ends_even_a_stopped_process() {
        let (ended, end) = mpsc::channel();
        let process = Process::spawn(sleep(), move |status| ended.send(status).unwrap()).unwrap();
        process.signal(Signal::STOP).unwrap();
        drop(process);
        // Dropping waits for the end, so it is known by now.
        assert_eq!(end.try_recv().unwrap().signal(), Some(Signal::KILL.as_raw()));
    }
}
