//! Writes log lines without blocking the threads that log: they fill a buffer, and another thread writes it.
//!
//! A write blocks when nobody reads the pipe, when the terminal is paused, or when the container runtime falls behind. The
//! thread that logs may be one that renews the lease, answers a probe or handles a signal.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

/// How many bytes may wait to be written: some thousand lines. As many may be in the write under way.
const WAITING_MAX: usize = 1 << 20;

/// Pause before the next write, if standard output is a file that returns "try again" instead of blocking.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Takes one line per call of `write` and never blocks. Lines without room are dropped and counted.
#[derive(Clone)]
pub(super) struct Output {
    shared: Arc<Shared>,
    dropped: Counter,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// How many bytes the thread has taken so far.
    taken: u64,
    /// How many of those it has written or given up.
    done: u64,
}

impl Output {
    /// Starts the thread that writes to `file`. `dropped` counts the lines that are lost.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(file: impl Write + Send + 'static, dropped: Counter) -> io::Result<Self> {
        let output = Self { shared: Arc::default(), dropped };
        let of_thread = output.clone();
        thread::Builder::new().name("logs".to_owned()).spawn(move || of_thread.write_for_ever(file))?;
        Ok(output)
    }

    /// Waits until everything logged so far is written, for at most `bound`. Returns whether it is written.
    pub(super) fn flush(&self, bound: Duration) -> bool {
        let state = self.shared.lock();
        // Not until nothing is left: other threads may go on logging.
        let logged = state.taken + state.waiting.len() as u64;
        let waited = self.shared.changed.wait_timeout_while(state, bound, |state| state.done < logged);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn write_for_ever(self, mut file: impl Write) {
        let mut lines = Vec::new();
        loop {
            self.shared.take(&mut lines);
            self.dropped.inc_by(write_lines(&mut file, &lines));
            lines.clear();
        }
    }
}

impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.lock();
        if state.waiting.len() + line.len() > WAITING_MAX {
            self.dropped.inc();
        } else {
            state.waiting.extend_from_slice(line);
            self.shared.changed.notify_all();
        }
        Ok(line.len())
    }

    /// Does nothing, since this method has no bound. [`Output::flush`] has one.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and swaps them for the empty `lines`. The lines taken before count as done.
    fn take(&self, lines: &mut Vec<u8>) {
        let mut state = self.lock();
        state.done = state.taken;
        self.changed.notify_all();
        let waited = self.changed.wait_while(state, |state| state.waiting.is_empty());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, lines);
        state.taken += lines.len() as u64;
    }
}

/// Returns how many lines could not be written, or not completely.
fn write_lines(file: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match file.write(lines) {
            Ok(written @ 1..) => lines = lines.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            // The reader is gone, or the disk is full. Only the counter can show it.
            Ok(0) | Err(_) => break,
        }
    }
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
