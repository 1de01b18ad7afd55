//! SIGTERM and SIGINT: the first one asks for an orderly shutdown, a second one ends the process at once.

use std::{process, thread};

use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Completes at the first SIGTERM or SIGINT. A second one ends the process with code 143 or 130: whoever sends it has
/// lost patience with the orderly way.
///
/// Handed to `Elector::lead` it runs on a thread of its own, so that it works also while the work blocks every thread of the
/// application.
pub async fn shutdown_signal() {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        // Without a handler the first signal ends the process by itself, without an orderly shutdown.
        return std::future::pending().await;
    };
    received(&mut terminate, &mut interrupt).await;
    // On a thread of its own, since the default action of a signal never comes back, however long the process lives.
    drop(thread::Builder::new().name("second-signal".to_owned()).spawn(exit_at_next));
}

fn exit_at_next() {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        if let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            process::exit(128 + received(&mut terminate, &mut interrupt).await);
        }
    });
}

async fn received(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    select! {
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
    }
}
