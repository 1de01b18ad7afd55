//! The library as its users see it, in real time, against the embedded API server. Most of this waits, so it runs side by side.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod attacks;
mod common;
mod lead;
mod process;
mod readme;
