//! SIGTERM and SIGINT: the first one asks for an orderly shutdown, a second one ends the process at once.

use std::process;

use anyhow::{Context, Result};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Installs the handlers and returns the token that the first signal cancels.
///
/// # Errors
/// The handlers cannot be installed.
pub fn shutdown_token() -> Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("installing the SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("installing the SIGINT handler")?;
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            let (name, number) = select! {
                _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
                _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
            };
            if first {
                info!(signal = name, "shutting down");
                shutdown.cancel();
            } else {
                // Whoever sends a second signal has lost patience with the orderly way, so nothing may delay it.
                warn!(signal = name, "exiting at once");
                process::exit(128 + number);
            }
        }
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    const CHILD: &str = "STILL_LEADING_SIGNALS_CHILD";

    /// The process that is signalled: this test once more, with a variable that makes it another program.
    #[tokio::test]
    async fn child() {
        if std::env::var_os(CHILD).is_some() {
            let token = shutdown_token().unwrap();
            eprintln!("ready");
            token.cancelled().await;
            eprintln!("asked");
            pending::<()>().await;
        }
    }

    fn start() -> (Child, impl Iterator<Item = String>) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "signals::tests::child", "--nocapture"]).env(CHILD, "1");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        (child, lines)
    }

    #[test]
    fn the_first_signal_asks_and_a_second_one_ends_at_once() {
        for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let (mut child, mut lines) = start();
            let pid = Pid::from_child(&child);
            assert!(lines.any(|line| line == "ready"));
            kill_process(pid, Signal::TERM).unwrap();
            assert!(lines.any(|line| line == "asked"), "the first signal must not end it");
            kill_process(pid, second).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(code));
        }
    }
}
