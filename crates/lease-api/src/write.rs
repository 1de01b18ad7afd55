//! Writes: each is one transaction under the lock of the store.
//!
//! The order is that of kube-apiserver, and so is which of two errors is told: decode, merge, note who owns what, look at
//! preconditions, validate, commit; and what changes nothing is not committed.

mod create;
mod delete;
mod json;
mod patch;
mod request;
mod strategic;
mod update;

pub use create::create;
pub use delete::{Deleted, delete};
pub use patch::patch;
pub use request::{Write, Written};
pub use update::update;
