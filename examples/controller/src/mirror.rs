//! Computes what the child of a ConfigMap should be. Pure functions: no request, no clock.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};

/// ConfigMaps with this label, set to `true`, are copied.
pub const MIRROR: &str = "still-leading.dev/mirror";
/// Copies have this label, set to `true`. The policy of deploy/components/fencing guards objects with it.
pub const GUARDED: &str = "still-leading.dev/guarded";
/// The epoch of the leader that wrote the copy last.
pub const EPOCH: &str = "still-leading.dev/epoch";

/// The name of the copy.
pub fn child_name(source: &ConfigMap) -> String {
    format!("{}-mirror", source.name_any())
}

/// An object has the copy's name, but this controller has not made it. It is left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} exists, and this controller has not made it: it is left alone")]
pub struct Foreign(String);

/// Whether `child` is a copy of `source`, or of a former source of that name, or a copy that has lost its owner.
fn is_copy(source: &ConfigMap, child: &ConfigMap) -> bool {
    match child.owner_references().iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) => owner.kind == ConfigMap::kind(&()) && owner.name == source.name_any(),
        None => child.labels().get(GUARDED).is_some_and(|guarded| guarded == "true"),
    }
}

/// Returns what to write so that the copy is up to date; `None` if it is. What others added to its metadata stays.
///
/// A source that is being deleted needs no copy any more: the garbage collector removes the present copy.
///
/// With `stamp`, a copy from an older epoch is written anew. From then on the API server refuses that older epoch.
///
/// # Errors
/// `child` is not a copy.
pub fn next(
    source: &ConfigMap,
    child: Option<&ConfigMap>,
    epoch: Option<u64>,
    stamp: bool,
) -> Result<Option<ConfigMap>, Foreign> {
    if source.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    if child.is_some_and(|child| !is_copy(source, child)) {
        return Err(Foreign(child_name(source)));
    }
    let mut next = child.cloned().unwrap_or_default();
    next.metadata.name = Some(child_name(source));
    next.metadata.namespace = source.namespace();
    if let Some(owner) = source.controller_owner_ref(&()) {
        // An object has one controller, and may have other owners.
        let owners = next.owner_references_mut();
        owners.retain(|other| other.controller != Some(true) && other.uid != owner.uid);
        owners.insert(0, owner);
    }
    next.labels_mut().insert(GUARDED.to_owned(), "true".to_owned());
    (next.data, next.binary_data) = (source.data.clone(), source.binary_data.clone());
    let is_stamped = epoch.is_none_or(|epoch| child.and_then(epoch_of).is_some_and(|written| written >= epoch));
    if child == Some(&next) && (is_stamped || !stamp) {
        return Ok(None);
    }
    if let Some(epoch) = epoch {
        next.metadata.annotations.get_or_insert_with(BTreeMap::new).insert(EPOCH.to_owned(), epoch.to_string());
    }
    Ok(Some(next))
}

/// The epoch that wrote `child` last.
fn epoch_of(child: &ConfigMap) -> Option<u64> {
    child.annotations().get(EPOCH)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn next(source: &ConfigMap, child: Option<&ConfigMap>, epoch: Option<u64>, stamp: bool) -> Option<ConfigMap> {
        super::next(source, child, epoch, stamp).unwrap()
    }

    fn source(value: &str) -> ConfigMap {
        let mut source = ConfigMap::default();
        source.metadata.name = Some("settings".to_owned());
        source.metadata.namespace = Some("default".to_owned());
        source.metadata.uid = Some("uid-1".to_owned());
        source.data = Some(BTreeMap::from([("key".to_owned(), value.to_owned())]));
        source
    }

    #[test]
    fn a_missing_copy_is_made_with_owner_label_and_epoch() {
        let made = next(&source("a"), None, Some(7), false).unwrap();
        assert_eq!(made.name_any(), "settings-mirror");
        assert_eq!(made.data, source("a").data);
        assert_eq!(made.labels()[GUARDED], "true");
        assert_eq!(made.annotations()[EPOCH], "7");
        let owner = &made.owner_references()[0];
        assert_eq!((owner.uid.as_str(), owner.controller), ("uid-1", Some(true)));
        assert_eq!(made.metadata.resource_version, None, "so that it is refused if there is one");
    }

    #[test]
    fn a_copy_that_is_as_it_should_be_is_not_written() {
        let child = next(&source("a"), None, Some(7), false).unwrap();
        assert_eq!(next(&source("a"), Some(&child), Some(7), true), None);
        assert_eq!(next(&source("a"), Some(&child), Some(9), false), None, "nor because of a new leader");
        assert_eq!(next(&source("a"), Some(&child), None, true), None);
    }

    #[test]
    fn with_fencing_a_new_leader_writes_each_copy_once() {
        let child = next(&source("a"), None, Some(7), true).unwrap();
        let stamped = next(&source("a"), Some(&child), Some(9), true).unwrap();
        assert_eq!(stamped.annotations()[EPOCH], "9");
        assert_eq!(next(&source("a"), Some(&stamped), Some(9), true), None);
    }

    #[test]
    fn a_change_of_the_source_or_by_hand_is_written_on_what_was_read() {
        let mut child = next(&source("a"), None, Some(7), false).unwrap();
        child.metadata.resource_version = Some("12".to_owned());
        child.annotations_mut().insert("of-somebody-else".to_owned(), "stays".to_owned());
        let changed = next(&source("b"), Some(&child), Some(9), false).unwrap();
        assert_eq!(changed.data, source("b").data);
        assert_eq!(changed.metadata.resource_version.as_deref(), Some("12"), "a compare-and-swap");
        assert_eq!(changed.annotations()["of-somebody-else"], "stays");

        let mut edited = child.clone();
        edited.data = Some(BTreeMap::new());
        assert_eq!(next(&source("a"), Some(&edited), Some(7), false).unwrap().data, source("a").data);
        edited = child;
        edited.metadata.labels = None;
        assert_eq!(next(&source("a"), Some(&edited), Some(7), false).unwrap().labels()[GUARDED], "true");
    }

    #[test]
    fn what_somebody_else_has_made_is_left_alone() {
        let mut foreign = ConfigMap { data: source("theirs").data, ..ConfigMap::default() };
        let refused = Err(Foreign("settings-mirror".to_owned()));
        assert_eq!(super::next(&source("a"), Some(&foreign), Some(7), false), refused, "it has no owner");
        let mut other = source("a");
        other.metadata.name = Some("other".to_owned());
        foreign.owner_references_mut().push(other.controller_owner_ref(&()).unwrap());
        foreign.labels_mut().insert(GUARDED.to_owned(), "true".to_owned());
        assert_eq!(super::next(&source("a"), Some(&foreign), Some(7), false), refused, "it has another owner");
    }

    #[test]
    fn a_copy_without_its_owner_is_taken_back_also_for_a_source_that_was_made_anew() {
        let copy = next(&source("a"), None, Some(7), false).unwrap();
        let mut orphan = copy.clone();
        orphan.metadata.owner_references = None;
        assert_eq!(next(&source("a"), Some(&orphan), Some(7), false).unwrap().metadata, copy.metadata);
        let mut anew = source("a");
        anew.metadata.uid = Some("uid-2".to_owned());
        let taken = next(&anew, Some(&copy), Some(7), false).unwrap();
        assert_eq!(taken.owner_references().iter().map(|owner| owner.uid.as_str()).collect::<Vec<_>>(), ["uid-2"]);
    }

    #[test]
    fn other_owners_stay() {
        let mut copy = next(&source("a"), None, Some(7), false).unwrap();
        let owner = OwnerReference { uid: "of-somebody-else".to_owned(), ..OwnerReference::default() };
        copy.owner_references_mut().push(owner.clone());
        assert_eq!(next(&source("a"), Some(&copy), Some(7), false), None);
        assert_eq!(next(&source("b"), Some(&copy), Some(7), false).unwrap().owner_references()[1], owner);
    }

    /// Otherwise the garbage collector removes the copy, and it is made again.
    #[test]
    fn a_source_that_is_being_deleted_gets_no_copy() {
        let mut source = source("a");
        source.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert_eq!(next(&source, None, Some(7), true), None);
    }
}
