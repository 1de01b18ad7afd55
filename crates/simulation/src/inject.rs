//! How each fault is done to the world, and how it ends. What is assumed for safety is in plan.rs; whatever would break an
//! assumption is not done.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use still_leading::internals::Moment;

use crate::fault::{Fault, Name, Named, Target, What};
use crate::intervention::Intervention;
use crate::plan::name;
use crate::queue::Occurrence;
use crate::random::{Purpose, Random};
use crate::server::{BEGIN, version};
use crate::time::{Ns, SECOND};
use crate::world::{Slot, World};

impl World {
    pub(crate) fn inject(&mut self, number: usize) {
        let fault = self.plan.faults[number];
        let slot = self.victim(&fault);
        self.plan.faults[number].target = Target::Replica(slot);
        self.record.note(self.now, || {
            format!("fault {}: {:?} on r{slot} until {:.3}", number + 1, fault.what, fault.end() as f64 / 1e9)
        });
        let now = self.now;
        let place = &mut self.slots[slot];
        match fault.what {
            What::Freeze => {
                place.frozen_until = place.frozen_until.max(fault.end());
                self.record.frozen(slot, (now, fault.end()));
            }
            What::Halt => place.halted_until = place.halted_until.max(fault.end()),
            What::Starve => place.starved_until = place.starved_until.max(fault.end()),
            What::Kill => self.intervene(Intervention::Kill(slot)),
            What::Stop => self.intervene(Intervention::Stop(slot)),
            What::Break => self.intervene(Intervention::BreakWatch(slot)),
            What::Delete(_) if self.plan.deletes_the_known && !self.all_know_the_holder() => {}
            What::Delete(by_hand) => {
                self.intervene(Intervention::Delete);
                if let Some(after) = by_hand {
                    self.push(now + after, Occurrence::Create);
                }
            }
            What::Restore(age, has_outage) => self.restore(age, has_outage),
            What::Thief(name, lasts) => self.steal(number, slot, name, lasts),
            What::HandOver(Named::It) => self.intervene(Intervention::Ask(name(slot))),
            What::HandOver(Named::Nobody) => self.intervene(Intervention::Ask("nobody".to_owned())),
            What::Wish => {
                let leader = self.slots.iter().position(|slot| leads(slot, now)).unwrap_or(0);
                self.intervene(Intervention::Wish(leader, name(slot)));
            }
            What::Yield => self.intervene(Intervention::Yield(slot)),
            What::Edit => self.intervene(Intervention::Annotate(number)),
            What::Clear => self.clear_by_hand(false),
            What::WallJump(by) => self.set_wall(slot, |wall| wall.jump(by)),
            What::WallStop => self.set_wall(slot, |wall| wall.stand(now, true)),
            _ => {
                self.intervene(Intervention::Network(fault, slot));
                if fault.what == What::Forbid {
                    self.intervene(Intervention::BreakWatch(slot));
                }
            }
        }
    }

    /// Does something from outside, and keeps a record of it.
    pub(crate) fn intervene(&mut self, what: Intervention) {
        self.record.intervention(self.now, &what);
        what.apply(&mut self.server, &mut self.network, self.now);
        match what {
            Intervention::Start(slot) => self.start(slot),
            Intervention::Kill(slot) => self.end(slot),
            Intervention::Stop(slot) => {
                if let Some(replica) = &mut self.slots[slot].replica {
                    replica.stop();
                    self.poll(slot);
                }
            }
            Intervention::Wish(slot, name) => {
                if let Some(replica) = &mut self.slots[slot].replica {
                    replica.wish(name);
                    self.poll(slot);
                }
            }
            Intervention::Yield(slot) => {
                let now = self.now;
                if let Some(replica) = &mut self.slots[slot].replica {
                    replica.give_up(now);
                    self.poll(slot);
                }
            }
            Intervention::BreakWatch(slot) => self.break_watch(slot),
            Intervention::Deliver(slot) => {
                if let Some(key) = self.watch_of(slot) {
                    self.deliver(key);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn heal(&mut self, number: usize) {
        let fault = self.plan.faults[number];
        let slot = self.victim(&fault);
        let now = self.now;
        match fault.what {
            What::Freeze | What::Halt | What::Starve => self.poll(slot),
            What::Kill => self.intervene(Intervention::Start(slot)),
            What::Stop => {
                // If it still releases, a new process starts when it has ended.
                self.slots[slot].restarts = true;
                if self.slots[slot].replica.is_none() {
                    self.intervene(Intervention::Start(slot));
                }
            }
            What::Cut | What::Stall | What::Lag(_) => self.reconnect(slot, number),
            What::Outage | What::Restore(..) => (0..self.slots.len()).for_each(|slot| self.reconnect(slot, number)),
            What::Thief(..) => {
                let is_stranger = self.server.holder() == Some(&stranger(number));
                if is_stranger && now >= self.server.held_since() + self.plan.longest_term() {
                    self.intervene(Intervention::Clear);
                }
            }
            What::WallJump(_) => self.set_wall(slot, |wall| wall.jump(0)),
            What::WallStop => self.set_wall(slot, |wall| wall.stand(now, false)),
            _ => {}
        }
    }

    fn victim(&self, fault: &Fault) -> usize {
        match fault.target {
            Target::Replica(slot) => slot,
            Target::Leader => self.slots.iter().position(|slot| leads(slot, self.now)).unwrap_or(0),
        }
    }

    /// Whether a process runs in each place and knows who holds the Lease.
    fn all_know_the_holder(&self) -> bool {
        let holder = self.server.holder();
        let knows = |slot: &Slot| slot.replica.as_ref().is_some_and(|replica| replica.state.holder() == holder);
        holder.is_some() && self.slots.iter().all(knows)
    }

    fn set_wall(&mut self, slot: usize, set: impl FnOnce(&mut crate::wall::Wall)) {
        let place = &mut self.slots[slot];
        set(&mut place.wall);
        if let Some(replica) = &mut place.replica {
            replica.wall = place.wall;
        }
    }

    /// What was held back arrives, or the connection is found to be broken.
    fn reconnect(&mut self, slot: usize, number: usize) {
        let is_broken = Random::of(self.plan.seed, Purpose::Watch, slot, u64::MAX, number as u64).one_in(2);
        self.intervene(if is_broken { Intervention::BreakWatch(slot) } else { Intervention::Deliver(slot) });
    }

    fn restore(&mut self, age: Ns, has_outage: bool) {
        let Some(backup) = self.server.backup(self.now.saturating_sub(age)).cloned() else { return };
        let number: u64 = version(&backup).parse().unwrap_or(0);
        let is_news =
            |slot: &Slot| slot.replica.as_ref().is_none_or(|replica| replica.shown == 0 || replica.shown > number);
        let is_held = crate::server::holder(&backup).is_some();
        if has_outage || !is_held || !self.slots.iter().all(is_news) {
            // The API servers are stopped first, as etcd's documentation asks for.
            self.intervene(Intervention::Outage(self.now + self.plan.longest_term()));
        }
        self.intervene(Intervention::Restore(self.now.saturating_sub(age)));
        (0..self.slots.len()).for_each(|slot| self.intervene(Intervention::BreakWatch(slot)));
    }

    fn steal(&mut self, number: usize, slot: usize, name: Name, lasts: Option<i32>) {
        let holder = self.server.holder().map(str::to_owned);
        let is_live =
            |name: &str| self.slots.iter().filter_map(|slot| slot.replica.as_ref()).any(|it| it.identity() == name);
        let standby = self.slots[slot].replica.as_ref().map(|it| it.identity().to_owned());
        let name = match name {
            Name::Standby => standby.filter(|name| Some(name) != holder.as_ref()),
            Name::Holder => holder.filter(|name| is_live(name)),
            Name::Stranger => None,
        };
        let time = Timestamp::from_microsecond(BEGIN * 1_000_000 + (self.now / 1000) as i64).ok().map(MicroTime);
        let mut random = Random::of(self.plan.seed, Purpose::Watch, slot, u64::MAX - 1, number as u64);
        let spec = LeaseSpec {
            holder_identity: Some(name.unwrap_or_else(|| stranger(number))),
            lease_duration_seconds: lasts,
            acquire_time: time.clone().filter(|_| random.one_in(2)),
            renew_time: if random.one_in(4) {
                Some(MicroTime(Timestamp::MAX))
            } else {
                time.filter(|_| !random.one_in(4))
            },
            lease_transitions: [None, Some(-7), Some(i32::MAX), Some(3)][random.between(0, 4) as usize],
            ..LeaseSpec::default()
        };
        self.intervene(Intervention::Overwrite(spec));
    }

    /// Clears a holder that is no live process. In the end, where the log asks for it because a claim lasts for very long,
    /// also one that was only written in the name of a live process.
    pub(crate) fn clear_by_hand(&mut self, is_last: bool) {
        let Some(holder) = self.server.holder() else { return };
        let owner = self.slots.iter().find(|slot| slot.replica.as_ref().is_some_and(|it| it.identity() == holder));
        let is_free = owner.is_none_or(|slot| is_last && !leads(slot, self.now));
        let lasts = self.server.lease().and_then(|lease| lease.spec.as_ref()?.lease_duration_seconds).unwrap_or(0);
        let is_long = u64::try_from(lasts).is_ok_and(|lasts| lasts * SECOND > self.plan.longest_lease());
        if is_free && (is_long || !is_last) && self.now >= self.server.held_since() + self.plan.longest_term() {
            self.intervene(Intervention::Clear);
        }
    }
}

fn leads(slot: &Slot, now: Ns) -> bool {
    slot.replica.as_ref().is_some_and(|replica| replica.term(now).is_some_and(|term| term.valid_until > Moment::ZERO))
}

fn stranger(number: usize) -> String {
    format!("stranger-{}", number + 1)
}
