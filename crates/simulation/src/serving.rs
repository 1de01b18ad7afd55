//! The server's half of the watches: what each one is shown, and when.

use still_leading::internals::Event;

use crate::network::Key;
use crate::queue::Occurrence;
use crate::served::Served;
use crate::server::Seen;
use crate::world::World;

impl World {
    pub(crate) fn serve(&mut self, key: Key) {
        let is_opening = self.slots[key.slot].replica.as_mut().is_some_and(|replica| replica.watch_opened(key.number));
        if self.slots[key.slot].incarnation != key.incarnation || !is_opening {
            return;
        }
        let shown = self.now.saturating_sub(self.network.lag(key.slot, self.now));
        // The state of that time first, then every change after it.
        let next = self.server.changes().partition_point(|change| change.at <= shown).saturating_sub(1);
        self.served[key.slot] = Some(Served { key, next, has_begun: false });
        self.push(self.now + 1, Occurrence::Deliver(key));
    }

    /// Shows to a watch all that it may see by now.
    pub(crate) fn deliver(&mut self, key: Key) {
        let Some(served) = self.served[key.slot].as_mut().filter(|served| served.key == key) else { return };
        if !self.network.delivers(key.slot, self.now) {
            return;
        }
        let until = self.now.saturating_sub(self.network.lag(key.slot, self.now));
        let is_first = served.next;
        let mut shown = Vec::new();
        while let Some(change) = self.server.changes().get(served.next).filter(|change| change.at <= until) {
            served.next += 1;
            shown.push(match &change.what {
                Seen::Present(lease) => Event::Watched(lease.clone()),
                // A watch does not begin with a deletion, but with nothing.
                Seen::Deleted(_) if is_first + 1 == served.next && !served.has_begun => continue,
                Seen::Deleted(lease) => Event::Deleted(lease.clone()),
            });
        }
        served.has_begun = true;
        self.with(key, |replica| shown.into_iter().for_each(|event| replica.watched(key.number, event)));
    }

    /// The present watch of the place `slot`.
    pub(crate) fn watch_of(&self, slot: usize) -> Option<Key> {
        self.served[slot].map(|served| served.key)
    }

    /// The server ends a watch.
    pub(crate) fn break_watch(&mut self, slot: usize) {
        if let Some(served) = self.served[slot].take() {
            self.with(served.key, |replica| replica.watch_ended(served.key.number));
        }
    }

    /// Sends each new change on its way to every open watch.
    pub(crate) fn announce(&mut self) {
        for number in self.announced..self.server.changes().len() {
            self.record.committed(self.now, &self.server.changes()[number]);
            for slot in 0..self.slots.len() {
                if let Some(key) = self.watch_of(slot) {
                    self.push(self.network.delivery(slot, number, self.now), Occurrence::Deliver(key));
                }
            }
        }
        self.announced = self.server.changes().len();
    }
}
