//! SIGTERM and SIGINT: the first one asks for an orderly shutdown, a second one ends the process at once.
//!
//! They are handled on a thread of their own, so also while every thread of the application is busy or blocked.

use std::{process, thread};

use anyhow::{Context, Result};
use tokio::runtime;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::logs;

/// Installs the handlers and returns the token that the first signal cancels.
///
/// # Errors
/// The handlers or their thread cannot be set up.
pub fn shutdown_token() -> Result<CancellationToken> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("starting to handle signals")?;
    let signals = {
        // Here and not on the thread: a signal right after this function returns must be caught.
        let _runtime = runtime.enter();
        Signals {
            terminate: signal(SignalKind::terminate()).context("installing the SIGTERM handler")?,
            interrupt: signal(SignalKind::interrupt()).context("installing the SIGINT handler")?,
        }
    };
    let token = CancellationToken::new();
    let shutdown = token.clone();
    let handle = move || runtime.block_on(signals.handle(&shutdown));
    thread::Builder::new().name("signals".to_owned()).spawn(handle).context("starting to handle signals")?;
    Ok(token)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Acts on a signal before it logs it, so that a problem with the log cannot delay the shutdown.
    async fn handle(mut self, shutdown: &CancellationToken) {
        let (name, _) = self.next().await;
        shutdown.cancel();
        info!(signal = name, "shutting down");

        let (name, number) = self.next().await;
        // A second signal asks for an exit without delay. The flush may delay it, for a bounded time.
        warn!(signal = name, "exiting at once");
        logs::flush();
        process::exit(128 + number);
    }

    async fn next(&mut self) -> (&'static str, i32) {
        select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}

#[cfg(test)]
mod tests;
