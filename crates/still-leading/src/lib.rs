#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[cfg(feature = "kube")]
mod access;
mod bounded;
#[cfg(feature = "kube")]
mod clock;
#[cfg(feature = "kube")]
mod config;
#[cfg(feature = "controller")]
pub mod controller;
#[cfg(feature = "kube")]
mod elector;
mod gate;
mod identity;
mod lead;
#[cfg(feature = "kube")]
mod lease;
mod lockout;
mod proxy;
#[cfg(feature = "kube")]
mod report;
#[cfg(feature = "kube")]
mod requests;
#[cfg(unix)]
mod signal;
#[cfg(feature = "kube")]
mod status;
#[cfg(feature = "kube")]
mod term;

#[cfg(feature = "kube")]
pub use access::{Access, AccessError};
#[cfg(feature = "kube")]
pub use config::{Attempt, Config, InvalidConfig, OnOverstay, Violation};
#[cfg(feature = "kube")]
pub use elector::{Elector, Error, HandOver, ReleaseError, Running};
pub use gate::{Gate, NotLeading};
pub use identity::Identity;
pub use lead::{End, LeadError, Limits, Phase, Terms, lead};
#[cfg(feature = "kube")]
pub use lease::Lost;
pub use lockout::Lockout;
pub use proxy::environment_proxy;
#[cfg(unix)]
pub use signal::shutdown_signal;
#[cfg(feature = "kube")]
pub use status::Status;
#[cfg(feature = "kube")]
pub use term::{Term, TermOver};

/// The parts of the elector, for this repository's simulation. No promise is made about them.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::clock::Clock;
    pub use crate::elector::driver::Driver;
    pub use crate::lease::{Action, Event, Moment, Release, Settling, State, Term, Timing, note, step};
    pub use crate::report::Reporter;
    pub use crate::requests::Requests;
}
