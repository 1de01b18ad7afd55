//! The fault matrix: every subject under every fault, many times, on an API server that somebody else's code runs on too.
//!
//! The way through it is one: [`subject`] says what is tried and [`faults`] what happens to it; [`trial`] tries one of these
//! on a [`scene`] and leaves a [`record`]; [`judge`] reads records and nothing else, so that a record can be judged again;
//! [`run`] does all that is asked for, side by side; [`store`] is the folder; [`report`] makes pages of it.

pub mod calibrate;
pub mod fault;
pub mod faults;
pub mod judge;
pub mod needs;
pub mod picture;
pub mod record;
pub mod report;
pub mod run;
pub mod scene;
pub mod store;
pub mod subject;
pub mod summary;
pub mod trial;

/// Milliseconds from one moment to another, both in nanoseconds, to a tenth; negative if the second is earlier.
#[must_use]
pub fn millis(from: u64, to: u64) -> f64 {
    ((to as f64 - from as f64) / 1e5).round() / 10.0
}
