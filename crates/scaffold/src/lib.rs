//! What a reader replaces by their own application: flags, logs, signals, HTTP, and the work that only the leader does.
//!
//! The scaffold knows nothing of Kubernetes. A variant's `main.rs` hands it an [`Election`]: a channel with what the
//! elector believes, the elector's task, and a token that asks it to release the lease. Everything else is the same in
//! every variant and stands here:
//!
//! | module | what it shows |
//! |---|---|
//! | [`Args`] | flags with environment names, checked before the first request |
//! | [`logs`] | one event per line, text or flat JSON, with a clock that orders several processes; never blocks |
//! | [`signals`] | the first signal asks, the second one ends, whatever blocks |
//! | [`Status`], [`Term`] | leadership as a deadline, not a boolean |
//! | [`work`] | asking before each act, stopping when the term ends |
//! | [`App`] | the order of a shutdown |
//! | [`Lockout`] | noticing that the API server does not let this replica in |
//! | [`http`] | what health, readiness and "who leads" mean for a replica that stands by |
//! | [`Metrics`] | the numbers, under client-go's names |

mod app;
mod args;
mod connect;
pub mod http;
pub mod logs;
mod metrics;
pub mod signals;
mod status;
pub mod work;

pub use app::{App, Election, exit};
pub use args::{Args, LogFormat};
pub use metrics::Metrics;
pub use status::{Status, Term};
pub use still_leading::{Lockout, environment_proxy};
pub use work::Work;
