//! What replaces the replica.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::setting::Setting;

/// What is done to the pod or its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `kubectl rollout restart`.
    Rollout,
    /// `kubectl delete pod`.
    Delete,
    /// `kubectl drain` of its node, which evicts it.
    Drain,
    /// Its node loses the API server for two minutes.
    Lost,
}

impl Action {
    /// In the order of the table.
    pub const ALL: [Self; 4] = [Self::Rollout, Self::Delete, Self::Drain, Self::Lost];

    /// Of the Deployments one stands for all where a node is lost: their ReplicaSet replaces the pod, whatever the strategy.
    pub(super) fn is_for(self, setting: Setting) -> bool {
        self != Self::Lost || matches!(setting, Setting::Recreate | Setting::StatefulSet)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rollout => "rollout",
            Self::Delete => "delete",
            Self::Drain => "drain",
            Self::Lost => "node lost",
        })
    }
}
