//! Single keys from the terminal.
//!
//! The terminal is in a mode in which keys arrive at once and are not shown. Its output is as before: lines begin on the left,
//! and Ctrl-C is still a signal. crossterm's raw mode would change both.

use std::io::{self, IsTerminal, Read};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Signal, getpgrp};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;

/// What the keys do while there is nothing to heal.
pub const KEYS: &str =
    "keys act on the leader: t terminate, k kill, f freeze, c cut off; r undoes freeze and cut off, q quits";

/// Whether somebody can read the output and press keys. Not in the background, where reading a key would stop this process.
pub fn on_terminal() -> bool {
    // If the foreground group is unknown, the terminal is not our controlling one, and reading it does not stop us.
    let is_in_front = || tcgetpgrp(io::stdin()).map_or(true, |front| front == getpgrp());
    io::stdin().is_terminal() && io::stdout().is_terminal() && is_in_front()
}

/// The keys as they are pressed. Dropping this restores the terminal, also when a panic unwinds.
pub struct Keys {
    pressed: UnboundedReceiver<u8>,
    before: Termios,
    resuming: AbortHandle,
}

impl Keys {
    /// Begins to read keys from the terminal.
    ///
    /// # Errors
    /// Standard input is not a terminal.
    pub fn take() -> Result<Self> {
        let before = tcgetattr(io::stdin()).context("reading the modes of the terminal")?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        set(&modes).context("setting the modes of the terminal")?;
        // From here on the modes are restored, whatever fails.
        let (sender, pressed) = unbounded_channel();
        let resuming = tokio::spawn(set_again_when_resumed(modes)).abort_handle();
        // This thread ends with the process, since a read of the terminal cannot be cancelled.
        thread::spawn(move || {
            let mut key = [0];
            while io::stdin().read_exact(&mut key).is_ok() && sender.send(key[0]).is_ok() {}
        });
        Ok(Self { pressed, before, resuming })
    }

    /// Returns the next key, or `None` if there are no more.
    pub async fn next(&mut self) -> Option<u8> {
        self.pressed.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.resuming.abort();
        // If the terminal is gone, there is nothing to restore.
        set(&self.before).ok();
    }
}

fn set(modes: &Termios) -> rustix::io::Result<()> {
    tcsetattr(io::stdin(), OptionalActions::Now, modes)
}

/// Sets our modes again after `fg`, since the shell sets its own after Ctrl-Z.
async fn set_again_when_resumed(modes: Termios) {
    let Ok(mut resumed) = signal(SignalKind::from_raw(Signal::CONT.as_raw())) else { return };
    while resumed.recv().await.is_some() {
        set(&modes).ok();
    }
}
