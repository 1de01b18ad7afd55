//! What a history of writes must and must not contain. Pure functions: a history in, what is wrong with it out.
//!
//! An epoch is the resourceVersion of the write that acquired the Lease. So epochs and the versions of all objects are
//! numbers on one line, that of the API server's storage.

use std::collections::{BTreeMap, BTreeSet};

/// The suffix of a copy's name.
pub const COPY: &str = "-mirror";

/// One state of a ConfigMap, as the API server reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When the watch delivered it, in monotonic nanoseconds.
    pub at: u64,
    /// `metadata.resourceVersion`, also of a deletion.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// Whether this is its deletion.
    pub deleted: bool,
    /// The data, as far as trials write it.
    pub value: Option<String>,
    /// Of a copy: the epoch that it carries.
    pub epoch: Option<u64>,
    /// Of a copy: the uid of the source that owns it.
    pub owner: Option<String>,
}

/// One spell of leadership, as the Lease shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The version of the acquiring write.
    pub epoch: u64,
    /// When the watch delivered that write, in monotonic nanoseconds.
    pub at: u64,
    /// Who holds it.
    pub holder: String,
    /// The version and time of the first write that says that somebody else or nobody holds it.
    pub ended: Option<(u64, u64)>,
}

/// Returns the terms that a history of the Lease shows: version, time and holder of each write.
pub fn terms(lease: impl IntoIterator<Item = (u64, u64, Option<String>)>) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let mut holds: Option<String> = None;
    for (version, at, holder) in lease {
        if holder == holds {
            continue;
        }
        if let Some(last) = terms.last_mut().filter(|last| last.ended.is_none()) {
            last.ended = Some((version, at));
        }
        if let Some(holder) = &holder {
            terms.push(Term { epoch: version, at, holder: holder.clone(), ended: None });
        }
        holds = holder;
    }
    terms
}

/// A history of the copies, without what persons wrote.
pub struct Copies<'a> {
    writes: Vec<&'a Seen>,
}

impl<'a> Copies<'a> {
    /// Of all that was seen, the writes of copies; `by_hand` has the versions that a person wrote.
    pub fn new(seen: &'a [Seen], by_hand: &BTreeSet<u64>) -> Self {
        let is_copy = |it: &&Seen| it.name.ends_with(COPY) && !it.deleted && !by_hand.contains(&it.version);
        let mut writes: Vec<&Seen> = seen.iter().filter(is_copy).collect();
        writes.sort_by_key(|write| write.version);
        Self { writes }
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes in their order.
    pub fn writes(&self) -> impl Iterator<Item = &'a Seen> {
        self.writes.iter().copied()
    }

    /// Writes with a smaller epoch than the same name had before, deletions in between or not.
    pub fn back(&self) -> Vec<&'a Seen> {
        let mut largest: BTreeMap<&str, u64> = BTreeMap::new();
        let mut back = Vec::new();
        for write in &self.writes {
            let epoch = write.epoch.unwrap_or_default();
            let before = largest.entry(&write.name).or_default();
            if epoch < *before {
                back.push(*write);
            }
            *before = epoch.max(*before);
        }
        back
    }

    /// Writes of an epoch although a later one had begun.
    pub fn late(&self, terms: &[Term]) -> Vec<&'a Seen> {
        let is_late = |write: &&&Seen| {
            let (epoch, version) = (write.epoch.unwrap_or_default(), write.version);
            terms.iter().any(|term| epoch < term.epoch && term.epoch < version)
        };
        self.writes.iter().filter(is_late).copied().collect()
    }

    /// Of each copy of `names`, when an epoch of `term` or later wrote it first; the names that none wrote.
    pub fn reached(&self, term: &Term, names: &BTreeSet<String>) -> (Vec<u64>, Vec<String>) {
        let mut first: BTreeMap<&str, u64> = BTreeMap::new();
        for write in self.writes.iter().filter(|write| write.epoch.is_some_and(|epoch| epoch >= term.epoch)) {
            first.entry(write.name.trim_end_matches(COPY)).or_insert(write.at);
        }
        let missing = names.iter().filter(|name| !first.contains_key(name.as_str())).cloned().collect();
        let mut times: Vec<u64> = names.iter().filter_map(|name| first.get(name.as_str()).copied()).collect();
        times.sort_unstable();
        (times, missing)
    }

    /// Writes of copies more than `grace` nanoseconds after their source was deleted for good.
    pub fn orphaned(&self, seen: &[Seen], grace: u64) -> Vec<&'a Seen> {
        let last = last_of_each(seen);
        let is_orphan = |write: &&&Seen| {
            let source = last.get(write.name.trim_end_matches(COPY));
            source.is_some_and(|source| source.deleted && write.at > source.at + grace)
        };
        self.writes.iter().filter(is_orphan).copied().collect()
    }
}

/// The sources that exist at `version` and still exist at the end.
pub fn sources_at(seen: &[Seen], version: u64) -> BTreeSet<String> {
    let last = last_of_each(seen);
    let existed = seen.iter().filter(|it| !it.name.ends_with(COPY) && !it.deleted && it.version < version);
    existed.filter(|it| !last[it.name.as_str()].deleted).map(|it| it.name.clone()).collect()
}

/// The sources that have no copy, or one that is not as it should be, and why. With `epoch`, a copy of an older one is not.
pub fn wrong(seen: &[Seen], epoch: Option<u64>) -> Vec<String> {
    let last = last_of_each(seen);
    let sources = last.values().filter(|it| !it.name.ends_with(COPY) && !it.deleted);
    let judge = |source: &&&Seen| {
        let Some(copy) = last.get(&*format!("{}{COPY}", source.name)).filter(|copy| !copy.deleted) else {
            return Some("has no copy");
        };
        let is_old = epoch.is_some_and(|epoch| copy.epoch.is_none_or(|it| it < epoch));
        let reasons = [
            (copy.value != source.value, "differs from its copy"),
            (copy.owner.as_ref() != Some(&source.uid), "does not own its copy"),
            (is_old, "has a copy of an older epoch"),
        ];
        reasons.into_iter().find_map(|(is_so, reason)| is_so.then_some(reason))
    };
    sources.filter_map(|source| Some(format!("{} {}", source.name, judge(&source)?))).collect()
}

fn last_of_each(seen: &[Seen]) -> BTreeMap<&str, &Seen> {
    let mut last: BTreeMap<&str, &Seen> = BTreeMap::new();
    for it in seen {
        let known = last.entry(&it.name).or_insert(it);
        if it.version >= known.version {
            *known = it;
        }
    }
    last
}

#[cfg(test)]
mod tests;
