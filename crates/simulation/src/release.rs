//! How a process gives the Lease up: as `give_up` of the library's driver.rs. Belief is off by then.

use std::time::Duration;

use still_leading::internals::{Event, Release, note};

use crate::releasing::Releasing;
use crate::replica::{Replica, micro_time};
use crate::time::{Ns, nanos};

/// The pause after the first failed attempt; it doubles each time, up to the retry period.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Releasing {
    /// Does what is due. Returns whether there may be more to do now.
    pub(crate) fn poll(&mut self, replica: &mut Replica, now: Ns) -> bool {
        let Some(gives_up) = self.gives_up else { return self.begin(replica, now) };
        if gives_up <= now && replica.pending.is_none() {
            return self.done(replica);
        }
        if let Some(is_write) = replica.pending.as_ref().map(|pending| pending.is_write) {
            let Some(event) = replica.due_answer(now) else {
                return gives_up <= now && self.done(replica);
            };
            replica.say(|| format!("event {} while releasing", crate::trace::event(&event)));
            return self.answered(replica, event, is_write, now);
        }
        if now < self.sleeps_until {
            return false;
        }
        self.sleeps_until = 0;
        let moment = replica.clock.local(now);
        let wall_clock = micro_time(replica.wall.micros(now));
        let what = replica.state.release(wall_clock, moment);
        match what {
            Release::Nothing | Release::Unsettled(_) => return self.done(replica),
            Release::Read => replica.send(None, now),
            Release::Put(lease) => replica.send(Some(lease), now),
        }
        true
    }

    /// The process ends, or contends again. Returns whether there may be more to do now.
    fn done(&mut self, replica: &mut Replica) -> bool {
        if !self.is_hand_over {
            replica.exit();
            return false;
        }
        replica.give_up_request();
        self.is_done = true;
        true
    }

    /// A write in flight is awaited first: it may be the one that acquires.
    fn begin(&mut self, replica: &mut Replica, now: Ns) -> bool {
        if replica.state.is_writing() && replica.pending.is_some() {
            let Some(event) = replica.due_answer(now) else { return false };
            replica.say(|| format!("event {} before the release", crate::trace::event(&event)));
            take_note(replica, event, now);
        } else if replica.pending.is_some() {
            take_note(replica, Event::ReadFailed, now);
        }
        replica.give_up_request();
        self.pause = FIRST_PAUSE.min(replica.timing.retry_period);
        self.gives_up = Some(now + nanos(replica.in_virtual(replica.timing.renew_deadline)));
        true
    }

    fn answered(&mut self, replica: &mut Replica, event: Event, is_write: bool, now: Ns) -> bool {
        match event {
            Event::Wrote(_) => {
                take_note(replica, event, now);
                return self.done(replica);
            }
            // The first time it asks at once what the Lease is.
            Event::Refused if !std::mem::replace(&mut self.was_refused, true) => replica.state.doubt(),
            Event::Read { .. } if !is_write => take_note(replica, event, now),
            _ => {
                if matches!(event, Event::Refused) {
                    replica.state.doubt();
                }
                self.sleeps_until = now + nanos(replica.in_virtual(self.pause));
                self.pause = (self.pause * 2).min(replica.timing.retry_period);
            }
        }
        true
    }
}

fn take_note(replica: &mut Replica, event: Event, now: Ns) {
    let moment = replica.clock.local(now);
    note(&replica.timing, &mut replica.state, event, moment);
}
