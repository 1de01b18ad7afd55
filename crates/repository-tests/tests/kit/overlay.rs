//! What has an overlay in `deploy/overlays`: each variant, and the example that is deployed in the same way.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};
use still_leading_testbed::{Variant, workspace};

use crate::permissions::{Permissions, permission};

/// Each component of `deploy/components`, and the kinds that it adds. The StatefulSet comes in place of the Deployment.
pub type Components = &'static [(&'static str, &'static [&'static str])];

/// With every overlay.
macro_rules! with_those_of_all {
    ($($more:expr),*) => {
        &[
            ("monitoring", &["PodMonitor", "PrometheusRule"]),
            ("network-policy", &["NetworkPolicy"]),
            (SINGLE, &[]),
            ("statefulset", &["Service", "StatefulSet"]),
            $($more),*
        ]
    };
}

/// One replica instead of three.
pub const SINGLE: &str = "single";
/// Lets the replicas create their Lease, by its name.
pub const CREATE_LEASE: &str = "create-lease";
/// The same without a name, for those that create by POST.
pub const CREATE_ANY_LEASE: &str = "create-lease/by-post";

/// Moves the leadership once in a rollout.
pub const ONE_CHANGE: &str = "one-change";

const OF_ALL: Components = with_those_of_all!();
const OF_THOSE_THAT_CREATE: Components = with_those_of_all!((CREATE_LEASE, &[]));
const OF_NATIVE: Components = with_those_of_all!((CREATE_LEASE, &[]), (ONE_CHANGE, &[]));
const OF_CLIENT_GO: Components = with_those_of_all!((CREATE_ANY_LEASE, &[]));
/// The last one checks what the example writes. The variants write nothing but their Lease.
const OF_THE_CONTROLLER: Components = with_those_of_all!(
    (CREATE_LEASE, &[]),
    ("fencing", &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"])
);

/// Rights of the example in its namespace that no name can bound, with their reasons in its `role.yaml`.
const CONTROLLER: [(&str, &str, &[&str]); 2] = [
    ("configmaps", "", &["get", "list", "watch", "create", "update"]),
    ("events", "events.k8s.io", &["create", "patch"]),
];

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overlay {
    /// In `apps/`.
    Variant(Variant),
    /// In `examples/controller`.
    Controller,
}

impl Overlay {
    /// All of them, the variants first.
    pub fn all() -> impl Iterator<Item = Self> {
        Variant::ALL.iter().map(|variant| Self::Variant(*variant)).chain([Self::Controller])
    }

    /// The name of its folder, and of everything else that is its own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Variant(variant) => variant.name(),
            Self::Controller => "controller",
        }
    }

    /// The flat manifest that installs it.
    pub fn install_yaml(self) -> PathBuf {
        workspace().join("deploy").join(format!("install-{self}.yaml"))
    }

    /// The components that are tried with it.
    pub fn components(self) -> Components {
        match self {
            Self::Variant(Variant::Native) => OF_NATIVE,
            Self::Variant(Variant::KubeCoordinate) => OF_THOSE_THAT_CREATE,
            Self::Variant(Variant::ClientGo) => OF_CLIENT_GO,
            Self::Variant(_) => OF_ALL,
            Self::Controller => OF_THE_CONTROLLER,
        }
    }

    /// The choices that are tried, a bit for each component: none, each one, each two, and all together at the end.
    pub fn choices(self) -> Vec<usize> {
        let all = self.all_components();
        let few = (0..all).filter(|choice| choice.count_ones() <= 2);
        few.chain([all]).collect()
    }

    /// The choice of all of them, a bit each.
    pub fn all_components(self) -> usize {
        (1 << self.components().len()) - 1
    }

    /// What skaffold passes to the Dockerfile at the root, which builds everything that cargo builds.
    pub fn build_arguments(self) -> Value {
        match self {
            Self::Variant(variant) => json!({"VARIANT": variant.name()}),
            Self::Controller => json!({"PARENT": "examples", "VARIANT": self.name()}),
        }
    }

    /// The rights that its Role grants besides those on its Lease. None of them has a name.
    pub fn other_rights(self) -> Permissions {
        let lists: &[_] = if self == Self::Controller { &CONTROLLER } else { &[] };
        let each = |(resource, group, verbs): &(&str, &str, &[&str])| -> Vec<String> {
            verbs.iter().map(|verb| permission(verb, resource, group, "")).collect()
        };
        lists.iter().flat_map(each).collect()
    }

    /// The verbs on its Lease, where no other case holds them against what it asks for.
    pub fn verbs_on_its_lease(self) -> Option<&'static [&'static str]> {
        (self == Self::Controller).then_some(&["get", "update", "watch"])
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
