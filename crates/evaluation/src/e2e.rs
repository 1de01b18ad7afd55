//! Tries what was deployed, on a cluster: deploys a variant with skaffold, does to it what a reader of the docs would do
//! (kubectl, docker), and judges by the logs of its pods.
//!
//! All times here are nanoseconds of the wall clock since 1970, where the testbed has those of `CLOCK_MONOTONIC`: text
//! lines of pods carry no other time. On kind the nodes are containers of one machine, so there is one such clock, and
//! only for that reason times of pods on different nodes can be compared. On other clusters figures are off by what the
//! clocks of the nodes differ.

pub mod args;
pub mod cluster;
pub mod command;
pub mod faults;
mod fixture;
mod found;
mod line;
mod log;
mod pod;
mod pods;
pub mod record;
pub mod run;
pub mod single;
mod skaffold;
pub mod step;
mod steps;

use std::fmt;

use jiff::Timestamp;

/// Now, in nanoseconds since 1970.
fn now() -> u64 {
    nanoseconds(Timestamp::now())
}

/// Zero for a moment before 1970, which no log of a pod has.
fn nanoseconds(moment: Timestamp) -> u64 {
    u64::try_from(moment.as_nanosecond()).unwrap_or_default()
}

fn seconds(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e9
}

/// Why a step ended early, where it is no error of a tool.
#[derive(Debug)]
enum Stop {
    /// What was promised did not happen.
    Broken(String),
    /// This cluster has not what the step needs.
    NotTried(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(said) | Self::NotTried(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for Stop {}
