//! SIGTERM and SIGINT: the first one asks for an orderly shutdown, a second one ends the process at once.

use std::{process, thread};

use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Completes at the first SIGTERM or SIGINT. A second one ends the process with code 143 or 130: whoever sends it has
/// lost patience with the orderly way. So does the first one if nobody waits for this any more.
///
/// It listens on a thread of its own, so that it works also while the work blocks every thread of the application.
pub async fn shutdown_signal() {
    let (ask, asked) = oneshot::channel();
    let listening = thread::Builder::new().name("signals".to_owned()).spawn(move || listen(ask));
    if listening.is_err() || asked.await.is_err() {
        // Without handlers the first signal ends the process by itself, without an orderly shutdown.
        std::future::pending().await
    }
}

/// Listens until the process ends: once there is a handler, the default action of a signal never comes back.
fn listen(ask: oneshot::Sender<()>) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else { return };
        let first = received(&mut terminate, &mut interrupt).await;
        if ask.send(()).is_err() {
            process::exit(128 + first);
        }
        process::exit(128 + received(&mut terminate, &mut interrupt).await);
    });
}

async fn received(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    select! {
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
    }
}
