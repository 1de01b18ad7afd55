//! The resources that are served, and how they differ.

use serde_json::Value;

use crate::names::{self, Rule};
use crate::ownership::Rules;
use crate::schema::{self, Struct, Type};
use crate::status::Subject;

/// A resource that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Leases,
    ConfigMaps,
    Events,
    /// The same Events, in the group `events.k8s.io`.
    K8sEvents,
    Namespaces,
}

impl Resource {
    /// All resources, in the order of discovery.
    pub const ALL: [Self; 5] = [Self::ConfigMaps, Self::Events, Self::K8sEvents, Self::Leases, Self::Namespaces];

    /// The verbs of each resource.
    pub const VERBS: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];

    pub fn find(group: &str, version: &str, plural: &str) -> Option<Self> {
        let matches = |one: &Self| (one.group(), "v1", one.plural()) == (group, version, plural);
        Self::ALL.into_iter().find(matches)
    }

    pub fn group(self) -> &'static str {
        match self {
            Self::Leases => "coordination.k8s.io",
            Self::K8sEvents => "events.k8s.io",
            _ => "",
        }
    }

    /// `group/version`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Leases => "coordination.k8s.io/v1",
            Self::K8sEvents => "events.k8s.io/v1",
            _ => "v1",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::Leases => "leases",
            Self::ConfigMaps => "configmaps",
            Self::Events | Self::K8sEvents => "events",
            Self::Namespaces => "namespaces",
        }
    }

    pub fn singular(self) -> &'static str {
        match self {
            Self::Leases => "lease",
            Self::ConfigMaps => "configmap",
            Self::Events | Self::K8sEvents => "event",
            Self::Namespaces => "namespace",
        }
    }

    pub fn short_names(self) -> &'static [&'static str] {
        match self {
            Self::Leases => &[],
            Self::ConfigMaps => &["cm"],
            Self::Events | Self::K8sEvents => &["ev"],
            Self::Namespaces => &["ns"],
        }
    }

    pub fn kind(self) -> &'static str {
        self.object().go
    }

    /// The name of its type in kube-apiserver.
    pub fn go_type(self) -> String {
        let package = if self == Self::Leases { "coordination" } else { "core" };
        format!("{package}.{}", self.kind())
    }

    pub fn object(self) -> &'static Struct {
        match self {
            Self::Leases => &schema::LEASE,
            Self::ConfigMaps => &schema::CONFIG_MAP,
            Self::Events => &schema::EVENT,
            Self::K8sEvents => &schema::K8S_EVENT,
            Self::Namespaces => &schema::NAMESPACE,
        }
    }

    pub fn namespaced(self) -> bool {
        self != Self::Namespaces
    }

    /// A hash of group, version and kind of what kube-apiserver stores, so it never changes.
    pub fn storage_version_hash(self) -> &'static str {
        match self {
            Self::Leases => "gqkMMb/YqFM=",
            Self::ConfigMaps => "qFsyl6wFWjQ=",
            Self::Events | Self::K8sEvents => "r2yiGXH7wu8=",
            Self::Namespaces => "Q3oi5N2YM8M=",
        }
    }

    /// Whether a PUT may create an object.
    pub fn created_by_update(self) -> bool {
        matches!(self, Self::Leases | Self::Events | Self::K8sEvents)
    }

    /// Whether a PUT needs no `resourceVersion`. A Lease without it would not be a lock.
    pub fn updated_unconditionally(self) -> bool {
        self != Self::Leases
    }

    pub fn name_rule(self) -> Rule {
        match self {
            Self::Namespaces => names::dns_label,
            Self::Events | Self::K8sEvents => names::path_segment,
            _ => names::dns_subdomain,
        }
    }

    /// The rules for ownership of its fields.
    pub fn rules(self) -> Rules {
        let ignored = (self == Self::Namespaces).then_some("status");
        Rules { of: Type::Struct(self.object()), version: self.version(), ignored }
    }

    /// The resource as which its objects are stored. Events are stored once, and two groups show them.
    pub fn stored(self) -> Self {
        if self == Self::K8sEvents { Self::Events } else { self }
    }

    /// Its name in most messages.
    pub fn subject(self) -> Subject<'static> {
        Subject { group: self.group(), resource: self.plural() }
    }

    /// Its name in some messages: the kind.
    pub fn kind_subject(self) -> Subject<'static> {
        Subject { group: self.stored().group(), resource: self.kind() }
    }

    /// The key under which kube-apiserver stores an object. Some messages contain it.
    pub fn storage_key(self, namespace: &str, name: &str) -> String {
        match namespace {
            "" => format!("/registry/{}/{name}", self.plural()),
            _ => format!("/registry/{}/{namespace}/{name}", self.plural()),
        }
    }

    /// The fields that a selector may name, besides those of the metadata.
    pub fn selectable(self) -> &'static [&'static str] {
        match self {
            Self::Events => &[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source",
                "type",
            ],
            Self::K8sEvents => &[
                "regarding.kind",
                "regarding.namespace",
                "regarding.name",
                "regarding.uid",
                "regarding.apiVersion",
                "regarding.resourceVersion",
                "regarding.fieldPath",
                "reason",
                "reportingController",
                "type",
            ],
            Self::Namespaces => &["status.phase"],
            _ => &[],
        }
    }

    /// Sets what the API server sets before it validates a new object.
    pub fn prepare(self, object: &mut Value) {
        match self {
            // They are behind a feature gate that is off.
            Self::Leases => drop_gated(object),
            Self::Namespaces => {
                object["status"] = serde_json::json!({"phase": "Active"});
                let finalizers = object["spec"].get("finalizers").and_then(Value::as_array).cloned();
                let mut finalizers = finalizers.unwrap_or_default();
                if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
                    finalizers.push("kubernetes".into());
                }
                object["spec"]["finalizers"] = finalizers.into();
            }
            _ => {}
        }
    }

    /// Sets what the API server sets before it validates a changed object.
    pub fn prepare_update(self, object: &mut Value, live: &Value) {
        match self {
            Self::Leases => drop_gated(object),
            Self::Namespaces => {
                object["spec"] = live["spec"].clone();
                object["status"] = live["status"].clone();
            }
            _ => {}
        }
    }

    /// Sets the defaults of the kind. The writer owns them too.
    pub fn default(self, object: &mut Value) {
        let name = object["metadata"]["name"].clone();
        if self == Self::Namespaces && name.is_string() {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
    }
}

fn drop_gated(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("strategy");
        spec.remove("preferredHolder");
    }
}
