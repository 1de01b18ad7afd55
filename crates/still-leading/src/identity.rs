//! In whose name a replica contends.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// The identity of one process: the name of the replica and a random part.
///
/// A restarted container keeps its pod's name, and must not take the claim of its predecessor for its own. So each
/// identity that is made is another one, also of the same name. It cannot be cloned: two electors must not share one.
///
/// ```
/// use still_leading::Identity;
///
/// let identity = Identity::from("my-pod");
/// assert_eq!(identity.name(), "my-pod");
/// assert!(identity.as_str().starts_with("my-pod_"));
/// assert_ne!(identity, Identity::from("my-pod"));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    text: String,
    name_length: usize,
}

impl Identity {
    /// An identity that has a part of its own for this process already, such as one that the logs have named before.
    ///
    /// Two processes that share one do not lead at once, since a claim that a process did not write is not its own. But
    /// each of them takes the other for an impostor, and says so.
    #[must_use]
    pub fn assume_unique(identity: impl Into<String>) -> Self {
        let text = identity.into();
        Self { name_length: text.len(), text }
    }

    /// The name that it was made of.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[..self.name_length]
    }

    /// As it stands in the Lease: `<name>_<eight hexadecimal digits>`, unless it was [assumed to be
    /// unique](Self::assume_unique).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<T: AsRef<str>> From<T> for Identity {
    fn from(name: T) -> Self {
        let name = name.as_ref();
        // The keys of each `RandomState` differ, and come from the operating system.
        let random = RandomState::new().hash_one(std::process::id());
        Self { text: format!("{name}_{:08x}", random & 0xffff_ffff), name_length: name.len() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_an_identity_of_its_own_under_the_same_name() {
        let mut made: Vec<String> = (0..100).map(|_| Identity::from("pod-0").to_string()).collect();
        assert!(made.iter().all(|it| it.starts_with("pod-0_") && it.len() == "pod-0_".len() + 8), "{made:?}");
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 100);
    }

    #[test]
    fn an_identity_that_is_assumed_to_be_unique_stays_as_it_is() {
        let identity = Identity::assume_unique("pod-0_1");
        assert_eq!((identity.as_str(), identity.name()), ("pod-0_1", "pod-0_1"));
    }

    #[test]
    fn a_name_may_be_anything() {
        for name in ["", "ä_b", "pod-0_1"] {
            assert_eq!(Identity::from(name).name(), name);
        }
    }
}
