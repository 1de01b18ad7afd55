//! The latest changes, in a ring.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::key::Key;

/// One change.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub key: Key,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

/// Some of the events that were asked for are not kept any more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TooOld {
    pub asked: u64,
    /// From this revision on all events are kept.
    pub oldest: u64,
}

pub struct Events {
    capacity: usize,
    kept: VecDeque<Event>,
    /// The revision of the last event that was dropped.
    dropped: u64,
}

impl Events {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, kept: VecDeque::new(), dropped: 0 }
    }

    pub fn push(&mut self, event: Event) {
        self.kept.push_back(event);
        while self.kept.len() > self.capacity {
            self.dropped = self.kept.pop_front().map_or(self.dropped, |event| event.revision);
        }
    }

    /// Returns the events after a revision.
    ///
    /// # Errors
    /// Fails when one of them is gone.
    pub fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, TooOld> {
        if revision < self.dropped {
            return Err(TooOld { asked: revision, oldest: self.dropped });
        }
        let first = self.kept.partition_point(|event| event.revision <= revision);
        Ok(self.kept.range(first..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;

    fn revisions(events: &Events, since: u64) -> Result<Vec<u64>, TooOld> {
        Ok(events.since(since)?.map(|event| event.revision).collect())
    }

    #[test]
    fn a_ring_keeps_the_latest_events_and_reports_lost_ones() {
        let mut events = Events::new(3);
        assert_eq!(revisions(&events, 0), Ok(vec![]));
        for revision in 1..=5 {
            events.push(Event { revision, key: Key::of_namespace("a"), before: None, after: None });
        }
        assert_eq!(revisions(&events, 2), Ok(vec![3, 4, 5]));
        assert_eq!(revisions(&events, 4), Ok(vec![5]));
        assert_eq!(revisions(&events, 99), Ok(vec![]));
        assert_eq!(revisions(&events, 1), Err(TooOld { asked: 1, oldest: 2 }));
        assert_eq!(events.kept[0].key.resource, Resource::Namespaces);
    }

    #[test]
    fn a_ring_of_none_keeps_none() {
        let mut events = Events::new(0);
        events.push(Event { revision: 7, key: Key::of_namespace("a"), before: None, after: None });
        assert_eq!(revisions(&events, 7), Ok(vec![]));
        assert_eq!(revisions(&events, 6), Err(TooOld { asked: 6, oldest: 7 }));
    }
}
