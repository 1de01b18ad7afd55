//! Writes: each is one transaction under the lock of the store.
//!
//! The order is kube-apiserver's, since it decides which of two errors is reported: decode, merge, record the owners, check the
//! preconditions, validate, commit. A write that changes nothing is not committed.

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
