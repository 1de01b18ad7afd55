//! The testbed for variants: one API server, embedded or real, a proxy per replica, replicas as OS processes, and a history of
//! everything that they logged, on one monotonic clock.
//!
//! A variant under test is the shipped binary. The testbed uses only its flags, environment, signals, standard output and HTTP,
//! and the binary knows nothing of the testbed. A test starts an [`ApiServer`] and, for each case, a [`Fleet`].
//!
//! What is started here ends with the process that started it, in whatever way that ends: see [`guard`]. Times called `at` are
//! nanoseconds of `CLOCK_MONOTONIC`, the clock in the replicas' log lines.

pub mod api_server;
pub mod assets;
pub mod build;
mod client;
pub mod control_plane;
pub mod fencing;
pub mod fleet;
pub mod guard;
pub mod history;
mod kubeconfig;
pub mod machine;
pub mod manifests;
mod process;
pub mod proxy;
pub mod replica;
pub mod tls;
pub mod variant;
mod verb;

pub use api_server::{ApiServer, ServerKind};
pub use assets::{Assets, workspace};
pub use build::{Profile, cargo, target_dir};
pub use control_plane::ControlPlane;
pub use fleet::{Extra, Fleet, FleetOptions, Program, Timings};
pub use history::{Event, History};
pub use process::Process;
pub use proxy::{Mode, Proxy};
pub use replica::Replica;
pub use variant::{Form, Variant};
pub use verb::Verb;
