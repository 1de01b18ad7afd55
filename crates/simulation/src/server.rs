//! The API server, as far as one Lease needs it: compare-and-swap by uid and resourceVersion, creation by a PUT, deletion,
//! a restore from a backup, and the history that watches are served from.
//!
//! It knows no virtual time of its own, and the real driver is run against the same one.

use std::collections::HashSet;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::random::{Purpose, Random};
use crate::time::{Ns, SECOND};

/// When the history begins, in seconds of the server's clock.
pub const BEGIN: i64 = 1_800_000_000;

/// One change of the Lease, as watches show it.
#[derive(Clone, Debug)]
pub struct Change {
    /// When it was committed.
    pub at: Ns,
    /// What was committed.
    pub what: Seen,
}

/// What a watch shows.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The Lease in this state.
    Present(Lease),
    /// Its deletion, with its last state.
    Deleted(Lease),
}

/// Why a write did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The Lease has another version, or is another object.
    Conflict,
    /// The write would create the Lease, and there is one.
    Exists,
    /// The write would replace the Lease, and there is none.
    NotFound,
}

/// See the file.
#[derive(Clone, Debug)]
pub struct Server {
    seed: u64,
    lease: Option<Lease>,
    version: u64,
    commits: u64,
    uids: u64,
    /// Every version that was ever given to a state of this Lease. None is given again, not even after a restore.
    given: HashSet<u64>,
    changes: Vec<Change>,
    /// When the holder changed last.
    held_since: Ns,
    /// Negative control: a write needs not know what it replaces.
    pub accepts_any_version: bool,
    /// Negative control: a deletion empties the Lease and leaves the same object, created long ago.
    pub hides_deletions: bool,
}

impl Server {
    /// A server without a Lease.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            lease: None,
            version: 1000,
            commits: 0,
            uids: 0,
            given: HashSet::new(),
            changes: Vec::new(),
            held_since: 0,
            accepts_any_version: false,
            hides_deletions: false,
        }
    }

    /// The Lease as it is now.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Everything that watches may show, in the order of its commits.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The holder, if there is one.
    pub fn holder(&self) -> Option<&str> {
        holder(self.lease.as_ref()?)
    }

    /// When the holder changed last.
    pub fn held_since(&self) -> Ns {
        self.held_since
    }

    /// The server's clock in whole seconds, as in the header Date.
    pub fn date(now: Ns) -> i64 {
        BEGIN + (now / SECOND) as i64
    }

    /// Replaces exactly the Lease of this uid and resourceVersion; without a resourceVersion it creates the Lease.
    ///
    /// # Errors
    /// The Lease is not what the write expects.
    pub fn put(&mut self, mut lease: Lease, now: Ns) -> Result<Lease, Refusal> {
        match (&self.lease, &lease.metadata.resource_version) {
            (None, Some(_)) => return Err(Refusal::NotFound),
            (Some(_), None) => return Err(Refusal::Exists),
            (None, None) => self.create(lease, now),
            (Some(stored), Some(version)) => {
                let is_it = stored.metadata.resource_version.as_ref() == Some(version)
                    && stored.metadata.uid == lease.metadata.uid;
                if !is_it && !self.accepts_any_version {
                    return Err(Refusal::Conflict);
                }
                let spec = lease.spec.take();
                let annotations = lease.metadata.annotations.take();
                // What changes nothing makes no new version.
                if (&stored.spec, &stored.metadata.annotations) != (&spec, &annotations) {
                    self.edit(now, |stored| (stored.spec, stored.metadata.annotations) = (spec, annotations));
                }
            }
        }
        Ok(self.lease.clone().unwrap_or_default())
    }

    /// Creates the Lease. Does nothing if there is one.
    pub fn create(&mut self, mut lease: Lease, now: Ns) {
        if self.lease.is_some() {
            return;
        }
        self.uids += 1;
        lease.metadata.uid = Some(format!("uid-{}", self.uids));
        lease.metadata.creation_timestamp = Timestamp::from_second(Self::date(now)).ok().map(Time);
        self.commit(lease, now);
    }

    /// As [`Server::create`], an hour before the history begins.
    pub fn create_long_ago(&mut self, spec: LeaseSpec) {
        self.create(Lease { spec: Some(spec), ..Lease::default() }, 0);
        let created = Timestamp::from_second(BEGIN - 3600).ok().map(Time);
        self.lease.iter_mut().for_each(|lease| lease.metadata.creation_timestamp.clone_from(&created));
        self.changes.clear();
        let now = self.lease.iter().map(|lease| Change { at: 0, what: Seen::Present(lease.clone()) });
        self.changes.extend(now);
    }

    /// Changes the Lease as somebody may who does not care what it was. Does nothing without a Lease.
    pub fn edit(&mut self, now: Ns, change: impl FnOnce(&mut Lease)) {
        let Some(mut lease) = self.lease.clone() else { return };
        change(&mut lease);
        self.commit(lease, now);
    }

    /// Deletes the Lease.
    pub fn delete(&mut self, now: Ns) {
        if self.hides_deletions {
            let created = Timestamp::from_second(BEGIN - 3600).ok().map(Time);
            return self.edit(now, |lease| {
                (lease.spec, lease.metadata.creation_timestamp) = (Some(LeaseSpec::default()), created);
            });
        }
        let Some(mut lease) = self.lease.take() else { return };
        self.held_since = now;
        lease.metadata.resource_version = Some(self.next_version().to_string());
        self.changes.push(Change { at: now, what: Seen::Deleted(lease) });
    }

    /// What the Lease was at `past`, as a backup has it.
    pub fn backup(&self, past: Ns) -> Option<&Lease> {
        match &self.changes.iter().rev().find(|change| change.at <= past)?.what {
            Seen::Present(lease) => Some(lease),
            Seen::Deleted(_) => None,
        }
    }

    /// Goes back to `lease`, uid and resourceVersion included.
    pub fn restore(&mut self, lease: Lease, now: Ns) {
        let version = lease.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        self.version = version.unwrap_or(self.version);
        self.held_since = now;
        self.lease = Some(lease.clone());
        self.changes.push(Change { at: now, what: Seen::Present(lease) });
    }

    fn commit(&mut self, mut lease: Lease, now: Ns) {
        if holder(&lease) != self.holder() {
            self.held_since = now;
        }
        lease.metadata.resource_version = Some(self.next_version().to_string());
        self.lease = Some(lease.clone());
        self.changes.push(Change { at: now, what: Seen::Present(lease) });
    }

    fn next_version(&mut self) -> u64 {
        self.commits += 1;
        self.version += Random::of(self.seed, Purpose::Version, 0, 0, self.commits).between(1, 20);
        while !self.given.insert(self.version) {
            self.version += 1;
        }
        self.version
    }
}

/// The holder; an empty one is none.
pub fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// The resourceVersion, for comparing and for showing.
pub fn version(lease: &Lease) -> &str {
    lease.metadata.resource_version.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_lease() -> Server {
        let mut server = Server::new(1);
        server.create(Lease::default(), 0);
        server
    }

    fn held(lease: &Lease) -> Lease {
        let spec = LeaseSpec { holder_identity: Some("a".to_owned()), ..LeaseSpec::default() };
        Lease { spec: Some(spec), ..lease.clone() }
    }

    #[test]
    fn a_write_succeeds_only_on_the_version_that_it_replaces() {
        let mut server = with_lease();
        let first = server.lease().unwrap().clone();
        let second = server.put(held(&first), 1).unwrap();
        assert!(version(&second).parse::<u64>().unwrap() > version(&first).parse().unwrap());
        assert_eq!(server.put(first.clone(), 2), Err(Refusal::Conflict));
        server.accepts_any_version = true;
        assert!(server.put(first, 3).is_ok());
    }

    #[test]
    fn a_write_that_changes_nothing_makes_no_new_version() {
        let mut server = with_lease();
        let first = server.lease().unwrap().clone();
        assert_eq!(server.put(first.clone(), 1), Ok(first));
        assert_eq!(server.changes().len(), 1);
    }

    #[test]
    fn another_object_in_the_same_name_is_a_conflict_also_with_the_same_version() {
        let mut server = with_lease();
        let mut other = server.lease().unwrap().clone();
        other.metadata.uid = Some("another".into());
        assert_eq!(server.put(other, 1), Err(Refusal::Conflict));
    }

    #[test]
    fn a_write_without_a_version_creates_and_replaces_nothing() {
        let mut server = with_lease();
        assert_eq!(server.put(Lease::default(), 1), Err(Refusal::Exists));
        let old = server.lease().unwrap().clone();
        server.delete(2 * SECOND);
        assert_eq!(server.put(old.clone(), 3), Err(Refusal::NotFound));
        let new = server.put(Lease::default(), 3 * SECOND).unwrap();
        assert_ne!(new.metadata.uid, old.metadata.uid);
        assert_eq!(new.metadata.creation_timestamp.unwrap().0.as_second(), BEGIN + 3);
    }

    #[test]
    fn a_restore_brings_back_the_version_and_gives_none_twice() {
        let mut server = with_lease();
        let backup = server.lease().unwrap().clone();
        let lost = server.put(held(&backup), SECOND).unwrap();
        assert_eq!(server.backup(0), Some(&backup));
        server.restore(backup.clone(), 2 * SECOND);
        assert_eq!(server.lease(), Some(&backup));
        server.commits -= 1;
        assert_ne!(
            version(&server.put(held(&backup), 3).unwrap()),
            version(&lost),
            "the next number was given already"
        );
    }

    #[test]
    fn watches_are_shown_the_deletion_with_a_version_of_its_own() {
        let mut server = with_lease();
        server.delete(1);
        let [Change { what: Seen::Present(before), .. }, Change { what: Seen::Deleted(gone), .. }] = server.changes()
        else {
            panic!("{:?}", server.changes());
        };
        assert_ne!(version(before), version(gone));
        assert_eq!(server.lease(), None);
    }
}
