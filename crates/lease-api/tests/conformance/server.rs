//! The servers under comparison.

mod embedded;
mod real;

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use crate::fixture::{Fixture, Users};
pub use embedded::Embedded;
pub use real::Real;

/// A server under comparison.
pub enum Server {
    Real(Box<Real>),
    Embedded(Box<Embedded>),
}

impl Server {
    /// Makes a fixture. [`Scenario`](crate::scenario::Scenario) explains `forgetful`.
    pub async fn fixture(&self, users: &Users, forgetful: bool) -> Result<Fixture> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // All names have one length, so that none is the beginning of another.
        let namespace = format!("exchange-{:06}", COUNT.fetch_add(1, Ordering::Relaxed));
        match self {
            // The real server always has forgotten its first versions.
            Self::Real(server) => server.fixture(namespace, users).await,
            Self::Embedded(server) => server.fixture(namespace, users, forgetful).await,
        }
    }

    /// Fences the writes of a user. The fence is in force when this returns.
    pub async fn fence(&self, fixture: &Fixture, user: &str) -> Result<()> {
        match self {
            Self::Real(server) => server.fence(fixture, user).await,
            Self::Embedded(server) => {
                server.fence(fixture, user);
                Ok(())
            }
        }
    }
}
