//! The election's decisions under random histories: a discrete-event simulation of the library's real `step`.
//!
//! A seed stands for a [`plan::Plan`]: replicas with timings and clocks of their own, and faults. A [`world::World`] lets it
//! happen, and [`check`] looks at every event whether more than one replica can act. The order of the modules is the order
//! in which they are best read.

pub mod time;

pub mod fault;
pub mod plan;

pub mod network;
pub mod random;
pub mod server;

mod release;
mod releasing;
pub mod replica;
pub mod wall;
pub mod watch;

pub mod check;
mod inject;
pub mod intervention;
mod queue;
mod served;
mod serving;
pub mod world;

pub mod control;
pub mod picture;
pub mod record;
pub mod run;
pub mod shrink;
pub mod trace;
