//! Nothing outlives the harness, however it ends: by a panic, Ctrl-C or SIGKILL.
//!
//! A killed process runs no destructors, and asking the kernel to end its children (prctl) takes `unsafe` and exists on Linux
//! only. So each harness has one watchdog, a POSIX shell, which reads from a pipe what to clean up. The kernel closes that pipe
//! when the harness ends. Then the watchdog kills the processes and removes the folders that are still on its list. One moment
//! is not covered: between the start of a process and its registration.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

/// Removing a folder is tried several times, since a process that has just been killed may still write into it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids= dirs=
while read -r verb what; do
  case $verb in
    kill) pids="$pids $what" ;;
    forget) kept=; for pid in $pids; do [ "$pid" = "$what" ] || kept="$kept $pid"; done; pids=$kept ;;
    remove) dirs="$dirs$what
" ;;
  esac
done
for pid in $pids; do kill -KILL "$pid"; done
printf %s "$dirs" | while read -r dir; do
  for attempt in 1 2 3 4 5; do rm -rf -- "$dir" && break; sleep 1; done
done
"#;

static WATCHDOG: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// A new temporary folder that only this user can read. It is removed when dropped, or else by the watchdog.
#[derive(Debug)]
pub struct TempDir(tempfile::TempDir);

impl TempDir {
    /// Makes a folder whose name begins with `prefix`.
    ///
    /// # Errors
    /// Fails when the folder cannot be made, or no watchdog can be started.
    pub fn new(prefix: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir().context("making a temporary folder")?;
        let path = dir.path().as_os_str().as_bytes();
        ensure!(!path.contains(&b'\n'), "the watchdog cannot take a path with a line break: {}", dir.path().display());
        tell("remove", dir.path().as_os_str())?;
        Ok(Self(dir))
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Copies a file, or a folder with all that is in it, to `to` inside this folder.
    ///
    /// # Errors
    /// Fails when it cannot be read or written.
    pub fn copy_in(&self, from: &Path, to: &Path) -> Result<()> {
        copy(from, &self.path().join(to))
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop).with_context(|| format!("copying {}", from.display()));
    }
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Puts a process on the watchdog's list.
pub(crate) fn kill_at_end(pid: Pid) -> Result<()> {
    tell("kill", pid.to_string().as_ref())
}

/// Takes a process off the list. Call this before it is reaped: afterwards its id may belong to another process.
pub(crate) fn forget(pid: Pid) -> Result<()> {
    tell("forget", pid.to_string().as_ref())
}

fn tell(verb: &str, what: &OsStr) -> Result<()> {
    // A panic elsewhere must not keep later processes off the list.
    let mut watchdog = WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner);
    if watchdog.is_none() {
        *watchdog = Some(start()?);
    }
    let pipe = watchdog.as_mut().context("the watchdog has no pipe")?;
    let line = [verb.as_bytes(), b" ", what.as_bytes(), b"\n"].concat();
    pipe.write_all(&line).context("telling the watchdog what to clean up")
}

fn start() -> Result<ChildStdin> {
    let mut watchdog = Command::new("sh")
        .args(["-c", SCRIPT])
        .current_dir("/")
        .stdin(Stdio::piped())
        // The watchdog ends after the harness. A reader of the harness's output must not wait for it.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A signal to the harness's process group must not reach the watchdog.
        .process_group(0)
        .spawn()
        .context("starting the watchdog (sh)")?;
    watchdog.stdin.take().context("the watchdog has no pipe")
}

/// Writes a file that holds a secret. Only this user can read it from the moment it exists.
pub(crate) fn write_private(path: &Path, contents: &str) -> Result<()> {
    let create = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    create
        .and_then(|mut file| file.write_all(contents.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    const BOUND: Duration = Duration::from_secs(20);

    /// Set in the process that plays the harness and gets killed: the same test, run alone.
    const HARNESS: &str = "STILL_LEADING_TESTBED_HARNESS";

    fn be_the_harness() {
        let dir = TempDir::new("still-leading-guard-").unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        let mut command = Command::new("sleep");
        command.arg("600").stdout(Stdio::inherit());
        let _process = Process::spawn(command, |_| ()).unwrap();
        println!("\nready {}", dir.path().display());
        thread::sleep(BOUND * 2);
    }

    #[test]
    fn a_killed_harness_leaves_nothing() {
        if std::env::var_os(HARNESS).is_some() {
            return be_the_harness();
        }
        let mut harness = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "guard::tests::a_killed_harness_leaves_nothing"])
            .env(HARNESS, "")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(harness.stdout.take().unwrap());
        let ready = output.by_ref().lines().map(|line| line.unwrap()).find(|line| line.starts_with("ready ")).unwrap();
        let dir = PathBuf::from(ready.split(' ').nth(1).unwrap());
        assert!(dir.join("file").exists());

        harness.kill().unwrap();
        harness.wait().unwrap();

        // The sleep holds the other end of this pipe, so the pipe ends with the sleep.
        let (ended, end) = mpsc::channel();
        thread::spawn(move || ended.send(output.read_to_end(&mut Vec::new())));
        end.recv_timeout(BOUND).expect("what the killed harness had started is still running").unwrap();
        let start = Instant::now();
        while dir.exists() {
            assert!(start.elapsed() < BOUND, "{} is still there", dir.display());
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn what_was_forgotten_is_left_alone() {
        let mut sleeps = [(); 2].map(|()| Command::new("sleep").arg("600").spawn().unwrap());
        let [forgotten, listed] = &mut sleeps;
        let mut watchdog = start().unwrap();
        let (first, second) = (forgotten.id(), listed.id());
        write!(watchdog, "kill {first}\nkill {second}\nforget {first}\n").unwrap();
        drop(watchdog);
        let signal = |process: &mut std::process::Child| process.wait().unwrap().signal();
        assert_eq!(signal(listed), Some(9));
        // As the first in the list it would have been killed by now, so its signal shows that it was not.
        rustix::process::kill_process(Pid::from_child(forgotten), rustix::process::Signal::TERM).unwrap();
        assert_eq!(signal(forgotten), Some(15));
    }

    #[test]
    fn a_private_file_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new("still-leading-guard-").unwrap();
        let path = dir.path().join("secret");
        write_private(&path, "x").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
