//! Single keys from the terminal.
//!
//! The terminal is put into a mode in which keys come at once and are not shown. Its output goes on as before, so lines
//! begin on the left, and Ctrl-C is still a signal. (crossterm's raw mode would end both.)

use std::io::{self, IsTerminal, Read};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Signal, getpgrp};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;

/// What the keys do, as it is shown while nothing is to be undone.
pub const KEYS: &str =
    "keys act on the leader: t terminate, k kill, f freeze, c cut off; r undoes freeze and cut off, q quits";

/// Whether somebody can read what is printed and answer with keys: not in the background, where that would stop us.
pub fn on_terminal() -> bool {
    // A terminal that is not ours to control has nobody in front of us.
    let is_in_front = || tcgetpgrp(io::stdin()).map_or(true, |front| front == getpgrp());
    io::stdin().is_terminal() && io::stdout().is_terminal() && is_in_front()
}

/// The keys as they are pressed. Dropping it puts the terminal back as it was, also when a panic unwinds.
pub struct Keys {
    pressed: UnboundedReceiver<u8>,
    before: Termios,
    resuming: AbortHandle,
}

impl Keys {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard input is none.
    pub fn take() -> Result<Self> {
        let before = tcgetattr(io::stdin()).context("reading the modes of the terminal")?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        set(&modes).context("setting the modes of the terminal")?;
        // From here on it is put back whatever fails.
        let (sender, pressed) = unbounded_channel();
        let resuming = tokio::spawn(set_again_when_resumed(modes)).abort_handle();
        // It ends with the process: a read of the terminal cannot be called off.
        thread::spawn(move || {
            let mut key = [0];
            while io::stdin().read_exact(&mut key).is_ok() && sender.send(key[0]).is_ok() {}
        });
        Ok(Self { pressed, before, resuming })
    }

    /// The next key; none when there will be no more.
    pub async fn next(&mut self) -> Option<u8> {
        self.pressed.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.resuming.abort();
        // A terminal that is gone needs no modes.
        set(&self.before).ok();
    }
}

fn set(modes: &Termios) -> rustix::io::Result<()> {
    tcsetattr(io::stdin(), OptionalActions::Now, modes)
}

/// After Ctrl-Z the shell sets its own modes, and after `fg` ours are wanted again.
async fn set_again_when_resumed(modes: Termios) {
    let Ok(mut resumed) = signal(SignalKind::from_raw(Signal::CONT.as_raw())) else { return };
    while resumed.recv().await.is_some() {
        set(&modes).ok();
    }
}
