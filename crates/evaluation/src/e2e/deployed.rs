//! What skaffold deploys: a variant, or the example that is deployed in the same way.

use std::fmt;
use std::str::FromStr;

use still_leading_testbed::Variant;

/// One of them, called by the name of its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// In `apps/`.
    Variant(Variant),
    /// In `examples/controller`. It acts when something changes, and not at every tick.
    Controller,
}

const CONTROLLER: &str = "controller";

impl Deployed {
    /// All variants. The example has no column in any table, so it is tried only when it is asked for.
    #[must_use]
    pub fn by_default() -> Vec<Self> {
        Variant::ALL.iter().map(|variant| Self::Variant(*variant)).collect()
    }

    /// The name of its profile and its overlay.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Variant(variant) => variant.name(),
            Self::Controller => CONTROLLER,
        }
    }

    /// The name of its objects in a cluster, and of their namespace.
    #[must_use]
    pub fn full_name(self) -> String {
        format!("still-leading-{self}")
    }
}

impl fmt::Display for Deployed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Deployed {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == CONTROLLER {
            return Ok(Self::Controller);
        }
        match name.parse() {
            Ok(variant) => Ok(Self::Variant(variant)),
            Err(unknown) => Err(format!("{unknown}, and there is {CONTROLLER}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name_and_a_wrong_name_learns_the_right_ones() {
        for deployed in Deployed::by_default().into_iter().chain([Deployed::Controller]) {
            assert_eq!(deployed.name().parse(), Ok(deployed));
        }
        let error = "nativ".parse::<Deployed>().unwrap_err();
        assert!(
            error.starts_with("the variants are native, ") && error.ends_with("and there is controller"),
            "{error}"
        );
    }
}
