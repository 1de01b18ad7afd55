//! The servers under comparison.

mod embedded;
mod real;

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use crate::ground::{Ground, Users};
pub use embedded::Embedded;
pub use real::Real;

/// A server under comparison.
pub enum Server {
    Real(Box<Real>),
    Embedded(Box<Embedded>),
}

impl Server {
    /// See [`Scenario`](crate::scenario::Scenario) for what `forgetful` is.
    pub async fn ground(&self, users: &Users, forgetful: bool) -> Result<Ground> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Of one length, so that none is the beginning of another.
        let namespace = format!("exchange-{:06}", COUNT.fetch_add(1, Ordering::Relaxed));
        match self {
            // It always is.
            Self::Real(server) => server.ground(namespace, users).await,
            Self::Embedded(server) => server.ground(namespace, users, forgetful).await,
        }
    }
}
