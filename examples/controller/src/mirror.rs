//! What the child of a ConfigMap should be. Pure functions: no request, no clock.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};

/// ConfigMaps with this label, set to `true`, are copied.
pub const MIRROR: &str = "still-leading.dev/mirror";
/// Copies carry this label, set to `true`. The policy of deploy/components/fencing guards what has it.
pub const GUARDED: &str = "still-leading.dev/guarded";
/// The epoch of the leader that wrote the copy last.
pub const EPOCH: &str = "still-leading.dev/epoch";

/// The name of the copy.
pub fn child_name(source: &ConfigMap) -> String {
    format!("{}-mirror", source.name_any())
}

/// What to write so that the copy is as it should be; `None` if it is. What others added to its metadata stays.
///
/// With `stamp`, a copy that an older epoch wrote is written anew: from then on the API server refuses that older epoch.
pub fn next(source: &ConfigMap, child: Option<&ConfigMap>, epoch: Option<u64>, stamp: bool) -> Option<ConfigMap> {
    let mut next = child.cloned().unwrap_or_default();
    next.metadata.name = Some(child_name(source));
    next.metadata.namespace = source.namespace();
    next.metadata.owner_references = source.controller_owner_ref(&()).map(|owner| vec![owner]);
    next.labels_mut().insert(GUARDED.to_owned(), "true".to_owned());
    (next.data, next.binary_data) = (source.data.clone(), source.binary_data.clone());
    let is_stamped = epoch.is_none_or(|epoch| child.and_then(epoch_of).is_some_and(|written| written >= epoch));
    if child == Some(&next) && (is_stamped || !stamp) {
        return None;
    }
    if let Some(epoch) = epoch {
        next.metadata.annotations.get_or_insert_with(BTreeMap::new).insert(EPOCH.to_owned(), epoch.to_string());
    }
    Some(next)
}

/// The epoch that wrote `child` last.
fn epoch_of(child: &ConfigMap) -> Option<u64> {
    child.annotations().get(EPOCH)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
