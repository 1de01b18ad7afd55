//! What is tried, in this order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident = $name:literal,)+) => {
        /// One thing that is tried on one variant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Step {
            $($(#[$doc])* $step,)+
        }

        impl Step {
            const ALL: &[Self] = &[$(Self::$step),+];

            /// As it is written on the command line and in the record.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$step => $name),+ }
            }
        }
    };
}

steps! {
    /// `skaffold run`.
    Deploy = "deploy",
    /// Three replicas are Ready.
    Ready = "ready",
    /// One of them leads, by its log and by the Lease.
    Leader = "leader",
    /// The leader's pod is deleted.
    Delete = "delete",
    /// The leader's pod is deleted by force.
    ForceDelete = "force-delete",
    /// A rolling restart.
    Rollout = "rollout",
    /// The leader's node is frozen past the lease, and thawed.
    Freeze = "freeze",
    /// The leader's node loses the API server.
    Cut = "cut",
    /// The leader's node is drained.
    Drain = "drain",
    /// One replica, then five, then three.
    Scale = "scale",
    /// In all this no replica acted in a term that was over.
    OneLeader = "one-leader",
    /// `skaffold delete`.
    Remove = "remove",
}

impl Step {
    /// Those that can be chosen; the others follow from the choice.
    #[must_use]
    pub fn choice() -> &'static [Self] {
        let from = Self::ALL.iter().position(|step| *step == Self::Ready).unwrap_or_default();
        let to = Self::ALL.iter().position(|step| *step == Self::OneLeader).unwrap_or(Self::ALL.len());
        &Self::ALL[from..to]
    }

    /// Whether it does something to a node by way of its container.
    #[must_use]
    pub fn needs_docker(self) -> bool {
        matches!(self, Self::Freeze | Self::Cut)
    }

    /// Whether it says for itself what acts there were in a term that was over; else [`Step::OneLeader`] does.
    #[must_use]
    pub fn counts_stale_acts(self) -> bool {
        self.needs_docker()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(name: &str) -> Result<Self, UnknownStep> {
        Self::choice().iter().copied().find(|step| step.name() == name).ok_or(UnknownStep)
    }
}

/// There is no step of that name to choose. Displays the names there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownStep;

impl fmt::Display for UnknownStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Step::choice().iter().map(|step| step.name()).collect();
        write!(f, "the steps are {}", names.join(", "))
    }
}

impl std::error::Error for UnknownStep {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_called_the_same_in_the_record_and_on_the_command_line() {
        for step in Step::ALL {
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        }
        for step in Step::choice() {
            assert_eq!(step.name().parse(), Ok(*step));
        }
    }

    #[test]
    fn what_follows_from_the_choice_cannot_be_chosen() {
        assert_eq!(Step::choice().len(), 9);
        for name in ["deploy", "one-leader", "remove", "frezze"] {
            let error = name.parse::<Step>().unwrap_err().to_string();
            assert!(error.starts_with("the steps are ready, leader, delete, ") && error.ends_with("scale"), "{error}");
        }
    }
}
