//! What is tried, in this order, and what a variant may break.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use still_leading_testbed::Variant;

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
    /// What the example writes for others, while its leader is deleted and frozen.
    Mirror = "mirror",
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

    /// Whether there is something in it to try.
    pub(super) fn is_for(self, variant: Variant) -> bool {
        self != Self::Mirror || variant == Variant::Controller
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

/// What a variant may break on a cluster, with the reason. The black-box suite has the same facts with a verdict each
/// (`crates/testbed/tests/black_box/expected`); here no row is certain, since nobody chooses in which moment of its loop a
/// replica is frozen or cut off.
const MAY_BREAK: &[(Variant, Step, &str)] = &[
    (
        Variant::ClientGo,
        Step::Freeze,
        "leaderelection.go:279-312: on resume it begins another renew deadline, and leads on until that ends although it \
         reads another holder",
    ),
    (
        Variant::ClientGo,
        Step::Cut,
        "leaderelection.go:309-310 and 219: with ReleaseOnCancel, which the template sets, the work is cancelled only after \
         an attempt to release, which may take until the lease is over",
    ),
];

/// Why `variant` may break `step`, if it may.
pub(super) fn reason(variant: Variant, step: Step) -> Option<&'static str> {
    MAY_BREAK.iter().find(|(of, at, _)| (*of, *at) == (variant, step)).map(|(_, _, reason)| *reason)
}

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
        assert_eq!(Step::choice().len(), 10);
        for name in ["deploy", "one-leader", "remove", "frezze"] {
            let error = name.parse::<Step>().unwrap_err().to_string();
            assert!(error.starts_with("the steps are ready, leader, delete, ") && error.ends_with("mirror"), "{error}");
        }
    }

    #[test]
    fn what_may_break_has_one_reason_and_everything_else_has_none() {
        assert!(reason(Variant::ClientGo, Step::Freeze).is_some_and(|it| it.starts_with("leaderelection.go:279")));
        assert_eq!(reason(Variant::ClientGo, Step::Delete), None);
        assert_eq!(reason(Variant::Native, Step::Freeze), None);
        for (place, (variant, step, _)) in MAY_BREAK.iter().enumerate() {
            assert!(
                !MAY_BREAK[..place].iter().any(|(of, at, _)| (of, at) == (variant, step)),
                "{variant} {step} twice"
            );
            assert!(Step::choice().contains(step), "{step} has no reason to break");
        }
    }
}
