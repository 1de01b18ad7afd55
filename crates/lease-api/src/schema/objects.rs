//! The objects that are served, as in the Go types of Kubernetes 1.37.

use super::types::Type::{Bool, Bytes, Fields, Int32, Int64, List, Map, MicroTime, String as Text, Time};
use super::types::{Field, Merge, Struct, Type, Zero};

const fn dropped(name: &'static str, of: Type) -> Field {
    Field { name, of, zero: Zero::Dropped }
}

const fn kept(name: &'static str, of: Type) -> Field {
    Field { name, of, zero: Zero::Kept }
}

const fn shown(name: &'static str, of: Type) -> Field {
    Field { name, of, zero: Zero::Shown }
}

const fn object(go: &'static str, fields: &'static [Field]) -> Struct {
    Struct { go, atomic: false, fields }
}

const fn atomic(go: &'static str, fields: &'static [Field]) -> Struct {
    Struct { go, atomic: true, fields }
}

/// A Lease of `coordination.k8s.io/v1`.
pub static LEASE: Struct = object("Lease", &[METADATA, shown("spec", Type::Struct(&LEASE_SPEC))]);

static LEASE_SPEC: Struct = object(
    "LeaseSpec",
    &[
        kept("holderIdentity", Text),
        kept("leaseDurationSeconds", Int32),
        kept("acquireTime", MicroTime),
        kept("renewTime", MicroTime),
        kept("leaseTransitions", Int32),
        kept("strategy", Text),
        kept("preferredHolder", Text),
    ],
);

/// A ConfigMap of `v1`.
pub static CONFIG_MAP: Struct = object(
    "ConfigMap",
    &[METADATA, kept("immutable", Bool), dropped("data", Map(&Text)), dropped("binaryData", Map(&Bytes))],
);

/// An Event of `v1`.
pub static EVENT: Struct = object(
    "Event",
    &[
        METADATA,
        shown("involvedObject", Type::Struct(&OBJECT_REFERENCE)),
        dropped("reason", Text),
        dropped("message", Text),
        shown("source", Type::Struct(&EVENT_SOURCE)),
        shown("firstTimestamp", Time),
        shown("lastTimestamp", Time),
        dropped("count", Int32),
        dropped("type", Text),
        shown("eventTime", MicroTime),
        kept("series", Type::Struct(&EVENT_SERIES)),
        dropped("action", Text),
        kept("related", Type::Struct(&OBJECT_REFERENCE)),
        shown("reportingComponent", Text),
        shown("reportingInstance", Text),
    ],
);

/// An Event of `events.k8s.io/v1`.
pub static K8S_EVENT: Struct = object(
    "Event",
    &[
        METADATA,
        shown("eventTime", MicroTime),
        kept("series", Type::Struct(&EVENT_SERIES_OF_K8S)),
        dropped("reportingController", Text),
        dropped("reportingInstance", Text),
        dropped("action", Text),
        dropped("reason", Text),
        shown("regarding", Type::Struct(&OBJECT_REFERENCE)),
        kept("related", Type::Struct(&OBJECT_REFERENCE)),
        dropped("note", Text),
        dropped("type", Text),
        shown("deprecatedSource", Type::Struct(&EVENT_SOURCE)),
        shown("deprecatedFirstTimestamp", Time),
        shown("deprecatedLastTimestamp", Time),
        dropped("deprecatedCount", Int32),
    ],
);

static OBJECT_REFERENCE: Struct = atomic(
    "ObjectReference",
    &[
        dropped("kind", Text),
        dropped("namespace", Text),
        dropped("name", Text),
        dropped("uid", Text),
        dropped("apiVersion", Text),
        dropped("resourceVersion", Text),
        dropped("fieldPath", Text),
    ],
);

static EVENT_SOURCE: Struct = object("EventSource", &[dropped("component", Text), dropped("host", Text)]);

static EVENT_SERIES: Struct = object("EventSeries", &[dropped("count", Int32), shown("lastObservedTime", MicroTime)]);

/// Of the core group it shows no count that is 0.
static EVENT_SERIES_OF_K8S: Struct =
    object("EventSeries", &[shown("count", Int32), shown("lastObservedTime", MicroTime)]);

/// A Namespace of `v1`.
pub static NAMESPACE: Struct = object(
    "Namespace",
    &[METADATA, shown("spec", Type::Struct(&NAMESPACE_SPEC)), shown("status", Type::Struct(&NAMESPACE_STATUS))],
);

static NAMESPACE_SPEC: Struct = object("NamespaceSpec", &[dropped("finalizers", List(&Text, Merge::Atomic))]);

static NAMESPACE_STATUS: Struct = object(
    "NamespaceStatus",
    &[dropped("phase", Text), dropped("conditions", List(&Type::Struct(&NAMESPACE_CONDITION), Merge::By("type")))],
);

static NAMESPACE_CONDITION: Struct = object(
    "NamespaceCondition",
    &[
        shown("type", Text),
        shown("status", Text),
        shown("lastTransitionTime", Time),
        dropped("reason", Text),
        dropped("message", Text),
    ],
);

const METADATA: Field = shown("metadata", Type::Struct(&OBJECT_META));

static OBJECT_META: Struct = object(
    "ObjectMeta",
    &[
        dropped("name", Text),
        dropped("generateName", Text),
        dropped("namespace", Text),
        dropped("selfLink", Text),
        dropped("uid", Text),
        dropped("resourceVersion", Text),
        dropped("generation", Int64),
        dropped("creationTimestamp", Time),
        kept("deletionTimestamp", Time),
        kept("deletionGracePeriodSeconds", Int64),
        dropped("labels", Map(&Text)),
        dropped("annotations", Map(&Text)),
        dropped("ownerReferences", List(&Type::Struct(&OWNER_REFERENCE), Merge::By("uid"))),
        dropped("finalizers", List(&Text, Merge::Set)),
        // To send an empty list is to ask that the record of owners be dropped.
        kept("managedFields", List(&Type::Struct(&MANAGED_FIELDS), Merge::Atomic)),
    ],
);

static OWNER_REFERENCE: Struct = atomic(
    "OwnerReference",
    &[
        shown("apiVersion", Text),
        shown("kind", Text),
        shown("name", Text),
        shown("uid", Text),
        kept("controller", Bool),
        kept("blockOwnerDeletion", Bool),
    ],
);

static MANAGED_FIELDS: Struct = object(
    "ManagedFieldsEntry",
    &[
        dropped("manager", Text),
        dropped("operation", Text),
        dropped("apiVersion", Text),
        kept("time", Time),
        dropped("fieldsType", Text),
        kept("fieldsV1", Fields),
        dropped("subresource", Text),
    ],
);
