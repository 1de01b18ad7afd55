//! The work: that of the demo, but it goes on for a while after it was asked to end, as work does that has something in
//! hand.

use std::time::Duration;

use clap::ValueEnum;
use still_leading_scaffold::{Term, Work};
use tokio::select;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Defect {
    /// A write overwrites whatever the Lease says by then.
    NoCompareAndSwap,
    /// Leadership is a flag, which an error leaves as it was, and no clock ends it.
    Boolean,
    /// No request has a time-out, and a term goes on for as long as its renewal is not answered.
    NoTimeOuts,
    /// The Lease is released when the signal comes, not when the work has ended.
    ReleaseBeforeDrain,
}

/// The flags of the work, and what is broken.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Flags {
    /// How often the leader acts
    #[arg(long, env, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub tick: Duration,

    /// How long the work goes on after it was asked to end
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub drain: Duration,

    /// What is broken
    #[arg(long, value_name = "DEFECT")]
    pub defect: Option<Defect>,
}

/// Acts at each tick, and still does so for the time of the drain.
pub fn work(flags: Flags) -> Work {
    Work::new(move |term, cancelled| async move {
        act(term, flags, cancelled).await;
        Ok(())
    })
}

async fn act(term: Term, flags: Flags, cancelled: CancellationToken) {
    let mut ends: Option<Instant> = None;
    let mut n: u64 = 0;
    loop {
        select! {
            biased;
            () = cancelled.cancelled(), if ends.is_none() => {
                ends = Some(Instant::now() + flags.drain);
                continue;
            }
            () = sleep(flags.tick) => {}
        }
        if ends.is_some_and(|ends| Instant::now() >= ends) || !term.may_act() {
            break;
        }
        n += 1;
        info!(n, "still leading");
    }
    info!("leading cancelled");
}
