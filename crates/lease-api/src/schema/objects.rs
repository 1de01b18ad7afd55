//! The objects that are served, as in the Go types of Kubernetes 1.37.

use super::types::Type::{Bool, Bytes, Fields, Int32, Int64, List, Map, MicroTime, String as Text, Time};
use super::types::{Field, Merge, Struct, Type, Zero};

const fn dropped(number: u64, name: &'static str, of: Type) -> Field {
    Field { number, name, of, zero: Zero::Dropped }
}

const fn kept(number: u64, name: &'static str, of: Type) -> Field {
    Field { number, name, of, zero: Zero::Kept }
}

const fn shown(number: u64, name: &'static str, of: Type) -> Field {
    Field { number, name, of, zero: Zero::Shown }
}

const fn object(go: &'static str, fields: &'static [Field]) -> Struct {
    Struct { go, atomic: false, fields }
}

const fn atomic(go: &'static str, fields: &'static [Field]) -> Struct {
    Struct { go, atomic: true, fields }
}

/// A Lease of `coordination.k8s.io/v1`.
pub static LEASE: Struct = object("Lease", &[METADATA, shown(2, "spec", Type::Struct(&LEASE_SPEC))]);

static LEASE_SPEC: Struct = object(
    "LeaseSpec",
    &[
        kept(1, "holderIdentity", Text),
        kept(2, "leaseDurationSeconds", Int32),
        kept(3, "acquireTime", MicroTime),
        kept(4, "renewTime", MicroTime),
        kept(5, "leaseTransitions", Int32),
        kept(6, "strategy", Text),
        kept(7, "preferredHolder", Text),
    ],
);

/// A ConfigMap of `v1`.
pub static CONFIG_MAP: Struct = object(
    "ConfigMap",
    &[METADATA, kept(4, "immutable", Bool), dropped(2, "data", Map(&Text)), dropped(3, "binaryData", Map(&Bytes))],
);

/// An Event of `v1`.
pub static EVENT: Struct = object(
    "Event",
    &[
        METADATA,
        shown(2, "involvedObject", Type::Struct(&OBJECT_REFERENCE)),
        dropped(3, "reason", Text),
        dropped(4, "message", Text),
        shown(5, "source", Type::Struct(&EVENT_SOURCE)),
        shown(6, "firstTimestamp", Time),
        shown(7, "lastTimestamp", Time),
        dropped(8, "count", Int32),
        dropped(9, "type", Text),
        shown(10, "eventTime", MicroTime),
        kept(11, "series", Type::Struct(&EVENT_SERIES)),
        dropped(12, "action", Text),
        kept(13, "related", Type::Struct(&OBJECT_REFERENCE)),
        shown(14, "reportingComponent", Text),
        shown(15, "reportingInstance", Text),
    ],
);

/// An Event of `events.k8s.io/v1`.
pub static K8S_EVENT: Struct = object(
    "Event",
    &[
        METADATA,
        shown(2, "eventTime", MicroTime),
        kept(3, "series", Type::Struct(&EVENT_SERIES_OF_K8S)),
        dropped(4, "reportingController", Text),
        dropped(5, "reportingInstance", Text),
        dropped(6, "action", Text),
        dropped(7, "reason", Text),
        shown(8, "regarding", Type::Struct(&OBJECT_REFERENCE)),
        kept(9, "related", Type::Struct(&OBJECT_REFERENCE)),
        dropped(10, "note", Text),
        dropped(11, "type", Text),
        shown(12, "deprecatedSource", Type::Struct(&EVENT_SOURCE)),
        shown(13, "deprecatedFirstTimestamp", Time),
        shown(14, "deprecatedLastTimestamp", Time),
        dropped(15, "deprecatedCount", Int32),
    ],
);

static OBJECT_REFERENCE: Struct = atomic(
    "ObjectReference",
    &[
        dropped(1, "kind", Text),
        dropped(2, "namespace", Text),
        dropped(3, "name", Text),
        dropped(4, "uid", Text),
        dropped(5, "apiVersion", Text),
        dropped(6, "resourceVersion", Text),
        dropped(7, "fieldPath", Text),
    ],
);

static EVENT_SOURCE: Struct = object("EventSource", &[dropped(1, "component", Text), dropped(2, "host", Text)]);

static EVENT_SERIES: Struct =
    object("EventSeries", &[dropped(1, "count", Int32), shown(2, "lastObservedTime", MicroTime)]);

/// In the core group a count of 0 is not shown.
static EVENT_SERIES_OF_K8S: Struct =
    object("EventSeries", &[shown(1, "count", Int32), shown(2, "lastObservedTime", MicroTime)]);

/// A Namespace of `v1`.
pub static NAMESPACE: Struct = object(
    "Namespace",
    &[METADATA, shown(2, "spec", Type::Struct(&NAMESPACE_SPEC)), shown(3, "status", Type::Struct(&NAMESPACE_STATUS))],
);

static NAMESPACE_SPEC: Struct = object("NamespaceSpec", &[dropped(1, "finalizers", List(&Text, Merge::Atomic))]);

static NAMESPACE_STATUS: Struct = object(
    "NamespaceStatus",
    &[
        dropped(1, "phase", Text),
        dropped(2, "conditions", List(&Type::Struct(&NAMESPACE_CONDITION), Merge::By("type"))),
    ],
);

static NAMESPACE_CONDITION: Struct = object(
    "NamespaceCondition",
    &[
        shown(1, "type", Text),
        shown(2, "status", Text),
        shown(4, "lastTransitionTime", Time),
        dropped(5, "reason", Text),
        dropped(6, "message", Text),
    ],
);

const METADATA: Field = shown(1, "metadata", Type::Struct(&OBJECT_META));

static OBJECT_META: Struct = object(
    "ObjectMeta",
    &[
        dropped(1, "name", Text),
        dropped(2, "generateName", Text),
        dropped(3, "namespace", Text),
        dropped(4, "selfLink", Text),
        dropped(5, "uid", Text),
        dropped(6, "resourceVersion", Text),
        dropped(7, "generation", Int64),
        dropped(8, "creationTimestamp", Time),
        kept(9, "deletionTimestamp", Time),
        kept(10, "deletionGracePeriodSeconds", Int64),
        dropped(11, "labels", Map(&Text)),
        dropped(12, "annotations", Map(&Text)),
        dropped(13, "ownerReferences", List(&Type::Struct(&OWNER_REFERENCE), Merge::By("uid"))),
        dropped(14, "finalizers", List(&Text, Merge::Set)),
        // An empty list is kept: it asks the server to drop the record of owners.
        kept(17, "managedFields", List(&Type::Struct(&MANAGED_FIELDS), Merge::Atomic)),
    ],
);

static OWNER_REFERENCE: Struct = atomic(
    "OwnerReference",
    &[
        shown(5, "apiVersion", Text),
        shown(1, "kind", Text),
        shown(3, "name", Text),
        shown(4, "uid", Text),
        kept(6, "controller", Bool),
        kept(7, "blockOwnerDeletion", Bool),
    ],
);

static MANAGED_FIELDS: Struct = object(
    "ManagedFieldsEntry",
    &[
        dropped(1, "manager", Text),
        dropped(2, "operation", Text),
        dropped(3, "apiVersion", Text),
        kept(4, "time", Time),
        dropped(6, "fieldsType", Text),
        kept(7, "fieldsV1", Fields),
        dropped(8, "subresource", Text),
    ],
);

/// The body of a deletion.
pub static DELETE_OPTIONS: Struct = object(
    "DeleteOptions",
    &[
        kept(1, "gracePeriodSeconds", Int64),
        kept(2, "preconditions", Type::Struct(&PRECONDITIONS)),
        kept(3, "orphanDependents", Bool),
        kept(4, "propagationPolicy", Text),
        dropped(5, "dryRun", List(&Text, Merge::Atomic)),
    ],
);

static PRECONDITIONS: Struct = object("Preconditions", &[kept(1, "uid", Text), kept(2, "resourceVersion", Text)]);
