//! Distinguishes the promises of a variant from errors of the harness.
//!
//! A variant that does not do something within a bound breaks a promise, and that may be expected of it. A case that could not
//! be run shows nothing about a variant, so it is always an error.

use std::fmt;

use anyhow::Result;

/// A promise that was not kept. Its first line names it, and the history may follow.
#[derive(Debug)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Fails the case with a [`Violation`] unless the promise is kept.
macro_rules! promise {
    ($kept:expr, $($broken:tt)+) => {
        let kept: bool = $kept;
        if !kept {
            return Err(anyhow::Error::new($crate::promise::Violation(format!($($broken)+))));
        }
    };
}
pub(crate) use promise;

/// Wraps a wait that fails only if the variant did not act within its bound, which is a broken promise. The wait's own error
/// follows the first line, with the history.
pub async fn promise_within<T>(wait: impl Future<Output = Result<T>>, broken: impl fmt::Display) -> Result<T> {
    wait.await.map_err(|error| anyhow::Error::new(Violation(format!("{broken}\n{error:#}"))))
}
