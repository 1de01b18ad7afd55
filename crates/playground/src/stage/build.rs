//! A build that Ctrl-C can interrupt.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use still_leading_testbed::{Profile, Variant};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::print::progress;

/// Go prints nothing while it builds, so we print at this interval.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Builds a variant on its own thread, so that Ctrl-C is handled meanwhile.
pub async fn build(variant: Variant, has_gate: bool) -> Result<PathBuf> {
    let what = if has_gate { variant.to_string() } else { format!("{variant} without its gate") };
    progress(&format!("building {what}, which takes some minutes the first time"));
    let (done, built) = oneshot::channel();
    // Nobody receives it if the demo has ended.
    let run = move || match has_gate {
        true => variant.build(Profile::Debug),
        false => variant.build_without_gate(Profile::Debug),
    };
    let thread = thread::spawn(move || drop(done.send(run())));
    let _building = Building(Some(thread));
    tokio::pin!(built);
    let start = Instant::now();
    loop {
        tokio::select! {
            program = &mut built => return Ok(program.context("the build was lost")??),
            // cargo shows its progress, Go does not.
            () = sleep(SILENCE_MAX), if variant == Variant::ClientGo => {
                progress(&format!("still building, {} s", start.elapsed().as_secs()));
            }
        }
    }
}

/// Waits for the build when dropped, so that no compiler outlives the demo. Ctrl-C at a terminal ends cargo too.
struct Building(Option<JoinHandle<()>>);

impl Drop for Building {
    fn drop(&mut self) {
        // A panic of the build has been printed.
        self.0.take().map(JoinHandle::join).transpose().ok();
    }
}
