//! What is wrong with something. All findings are reported at once, since one mistake in a shared base shows in many places.

use std::fmt::Debug;

use anyhow::{Result, bail};

/// Nothing, one hopes.
#[derive(Debug, Default)]
pub struct Findings(Vec<String>);

impl Findings {
    /// Notes `otherwise` unless it holds.
    pub fn require(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.0.push(otherwise.into());
        }
    }

    /// Notes what `what` is unless it is as it is wanted.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: T, wanted: T) {
        self.require(found == wanted, format!("{what} is {found:?}, not {wanted:?}"));
    }

    /// Notes an error, which kept from looking any further.
    pub fn note(&mut self, error: &anyhow::Error) {
        self.0.push(format!("{error:#}"));
    }

    /// What was found, a line each.
    pub fn into_lines(self) -> Vec<String> {
        self.0
    }

    /// An error if anything was found.
    pub fn into_result(self) -> Result<()> {
        if !self.0.is_empty() {
            bail!("{}", self.0.join("\n"));
        }
        Ok(())
    }
}
