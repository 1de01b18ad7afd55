//! The discrete-event loop: one queue of what happens when, one server, one network, a few replicas.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use still_leading::internals::{Event, Timing};

use crate::check::{Checks, Leader, Violation};
use crate::control::Control;
use crate::intervention::Intervention;
use crate::network::{Key, Network, Treatment, Way};
use crate::plan::{Initially, Plan, identity};
use crate::queue::{Occurrence, Queue};
use crate::random::{Purpose, Random};
use crate::record::Record;
use crate::replica::{Effect, Published, Replica};
use crate::served::Served;
use crate::server::Server;
use crate::time::{Clock, NEVER, Ns, SECOND};
use crate::wall::Wall;

/// An elector that starves runs this much late.
const STARVATION_MAX: Ns = 2 * SECOND;

/// One replica's place, through all of its processes.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) replica: Option<Replica>,
    pub(crate) incarnation: u64,
    /// Nothing of the process runs until then.
    pub(crate) frozen_until: Ns,
    /// The elector does not run until then.
    pub(crate) halted_until: Ns,
    /// The elector runs late until then.
    pub(crate) starved_until: Ns,
    pub(crate) restarts: bool,
    pub(crate) wall: Wall,
    deferred: Ns,
    deferrals: u64,
    scheduled: Ns,
}

/// See the file.
#[derive(Debug)]
pub struct World {
    /// What this is a history of.
    pub plan: Plan,
    pub(crate) now: Ns,
    queue: Queue,
    pub(crate) server: Server,
    pub(crate) network: Network,
    pub(crate) slots: Vec<Slot>,
    pub(crate) served: Vec<Option<Served>>,
    /// The changes that are on their way to the watches.
    pub(crate) announced: usize,
    control: Option<Control>,
    /// What was found.
    pub checks: Checks,
    /// What has happened, if it was asked for.
    pub record: Record,
}

impl World {
    /// The world of `plan` before anything has happened.
    pub fn new(plan: &Plan, control: Option<Control>, is_recorded: bool) -> Self {
        let mut server = initial_server(plan);
        server.accepts_any_version = control == Some(Control::NoCompareAndSwap);
        server.hides_deletions = control == Some(Control::NoWaitAfterRecreation);
        let slot = |_| Slot {
            replica: None,
            incarnation: 0,
            frozen_until: 0,
            halted_until: 0,
            starved_until: 0,
            restarts: false,
            wall: Wall::default(),
            deferred: 0,
            deferrals: 0,
            scheduled: 0,
        };
        let replicas = plan.replicas.len();
        let mut world = Self {
            plan: plan.clone(),
            now: 0,
            queue: Queue::new(plan.quantum),
            network: Network::of(plan),
            slots: (0..replicas).map(slot).collect(),
            served: vec![None; replicas],
            announced: server.changes().len(),
            server,
            control,
            checks: Checks::of(plan),
            record: Record::new(replicas, is_recorded),
        };
        for (slot, spec) in plan.replicas.iter().enumerate() {
            world.push(spec.starts, Occurrence::Start(slot));
        }
        for (number, fault) in plan.faults.iter().enumerate() {
            world.push(fault.at, Occurrence::Inject(number));
            world.push(fault.end(), Occurrence::Heal(number));
        }
        world.push(plan.cleared(), Occurrence::Clear);
        world.push(plan.healed + plan.bound, Occurrence::MustLead);
        world
    }

    /// Lets everything happen, until the end or the first violation.
    pub fn run(&mut self) -> Option<Violation> {
        while let Some((at, what)) = self.queue.pop() {
            if at > self.plan.ends {
                break;
            }
            self.now = at.max(self.now);
            self.happen(what);
            self.announce();
            if self.check().is_some() {
                break;
            }
        }
        self.record.close(self.now.min(self.plan.ends));
        self.checks.violation().cloned()
    }

    pub(crate) fn push(&mut self, at: Ns, what: Occurrence) {
        self.queue.push(at, what);
    }

    fn happen(&mut self, what: Occurrence) {
        match what {
            Occurrence::Start(slot) => self.intervene(Intervention::Start(slot)),
            Occurrence::Due(slot, incarnation) => {
                if self.slots[slot].incarnation == incarnation {
                    self.poll(slot);
                }
            }
            Occurrence::Arrives(key, lease) => self.arrive(key, lease),
            Occurrence::Answered(key, event) => self.with(key, |replica| replica.answered(key.number, *event)),
            Occurrence::WatchArrives(key) => self.serve(key),
            Occurrence::WatchFails(key) => self.with(key, |replica| replica.watch_ended(key.number)),
            Occurrence::Deliver(key) => self.deliver(key),
            Occurrence::Inject(number) => self.inject(number),
            Occurrence::Heal(number) => self.heal(number),
            Occurrence::Create => self.intervene(Intervention::Create),
            Occurrence::Clear => self.clear_by_hand(true),
            Occurrence::MustLead => self.checks.must_lead(),
        }
    }

    /// Starts a process in the place `slot`, if none runs there.
    pub(crate) fn start(&mut self, slot: usize) {
        if self.slots[slot].replica.is_some() {
            return;
        }
        let spec = &self.plan.replicas[slot];
        let clock = Clock { started: self.now, rate: spec.rate };
        let place = &mut self.slots[slot];
        let timing = Timing { identity: identity(slot, place.incarnation), ..spec.timing.clone() };
        self.record.say(self.now, slot, || format!("starts as {}", timing.identity));
        self.record.alive(slot, self.now);
        place.replica = Some(Replica::start(timing, clock, place.wall, self.control, self.record.is_on()));
        (place.scheduled, place.restarts) = (0, false);
        (place.frozen_until, place.halted_until, place.deferred) = (0, 0, 0);
        self.poll(slot);
    }

    /// Ends the process in the place `slot`. What it has sent goes on.
    pub(crate) fn end(&mut self, slot: usize) {
        if self.slots[slot].replica.take().is_some() {
            self.record.ended(slot, self.now);
            self.slots[slot].incarnation += 1;
            self.served[slot] = None;
        }
    }

    /// Does something with the process that `key` belongs to, if it still runs, and lets it act on that.
    pub(crate) fn with(&mut self, key: Key, act: impl FnOnce(&mut Replica)) {
        let slot = &mut self.slots[key.slot];
        if slot.incarnation != key.incarnation {
            return;
        }
        if let Some(replica) = &mut slot.replica {
            act(replica);
            self.poll(key.slot);
        }
    }

    /// Lets the elector do what is due, unless it cannot run now.
    pub(crate) fn poll(&mut self, slot: usize) {
        let (now, seed) = (self.now, self.plan.seed);
        let place = &mut self.slots[slot];
        if now < place.frozen_until.max(place.halted_until) {
            return;
        }
        let incarnation = place.incarnation;
        if now < place.starved_until && now != place.deferred {
            if place.deferred < now {
                place.deferrals += 1;
                let mut random = Random::of(seed, Purpose::Starvation, slot, incarnation, place.deferrals);
                place.deferred = now + random.between(1, STARVATION_MAX);
                let at = place.deferred;
                self.push(at, Occurrence::Due(slot, incarnation));
            }
            return;
        }
        let Some(replica) = &mut place.replica else { return };
        let effects = replica.poll(now);
        let due = replica.due();
        if due < NEVER && due != place.scheduled {
            place.scheduled = due;
            self.push(due.max(now + 1), Occurrence::Due(slot, incarnation));
        }
        for effect in effects {
            self.take_effect(Key { slot, incarnation, number: 0 }, effect);
        }
    }

    fn take_effect(&mut self, key: Key, effect: Effect) {
        let (now, slot) = (self.now, key.slot);
        match effect {
            Effect::Request(number, lease) => {
                let key = Key { number, ..key };
                self.record.request(now, slot, number, lease.as_deref());
                self.checks.requested(slot, now);
                match self.network.request(key, now, lease.is_some()) {
                    Way::Arrives(at) => self.push(at, Occurrence::Arrives(key, lease)),
                    Way::Fails(at) => self.push(at, Occurrence::Answered(key, Box::new(failed(lease.is_some())))),
                    Way::Vanishes => {}
                }
            }
            Effect::Watch(number) => {
                let key = Key { number, ..key };
                self.served[slot] = None;
                self.record.watch(now, slot, number);
                match self.network.watch(key, now) {
                    Way::Arrives(at) => self.push(at, Occurrence::WatchArrives(key)),
                    Way::Fails(at) => self.push(at, Occurrence::WatchFails(key)),
                    Way::Vanishes => {}
                }
            }
            Effect::Began(epoch) => {
                self.record.began(now, slot, epoch);
                self.checks.began(slot, epoch, now);
            }
            Effect::Ended(lost) => self.record.term_ended(now, slot, &lost),
            Effect::Saw(lease) => self.checks.saw(slot, &lease, &self.server, now),
            Effect::Said(text) => self.record.say(now, slot, || text),
            Effect::Exited => {
                self.record.say(now, slot, || "has exited".to_owned());
                let restarts = self.slots[slot].restarts;
                self.end(slot);
                if restarts {
                    self.push(now + 1, Occurrence::Start(slot));
                }
            }
        }
    }

    fn arrive(&mut self, key: Key, lease: Option<Box<Lease>>) {
        let (now, is_write) = (self.now, lease.is_some());
        let event = match self.network.treat(key, now, is_write) {
            Treatment::Gone => return,
            Treatment::Forbidden => Event::Denied,
            Treatment::Error { executed } => {
                if let Some(lease) = lease.filter(|_| executed) {
                    // That it may have happened is all that its sender learns.
                    self.server.put(*lease, now).ok();
                }
                failed(is_write)
            }
            Treatment::Normal => execute(&mut self.server, lease, now),
        };
        self.record.served(now, key, &event);
        if let Some(at) = self.network.answer(key, now) {
            self.push(at, Occurrence::Answered(key, Box::new(event)));
        }
    }

    fn check(&mut self) -> Option<&Violation> {
        let now = self.now;
        let leader = |(slot, place): (usize, &Slot)| {
            let replica = place.replica.as_ref().filter(|_| now >= place.frozen_until)?;
            let Published { epoch, valid_until, .. } = replica.term(now)?;
            let at_most = replica.clock.local(now) + replica.timing.renew_deadline;
            Some(Leader { slot, epoch, valid_until, at_most })
        };
        self.checks.leaders(now, self.slots.iter().enumerate().filter_map(leader));
        self.checks.violation()
    }
}

fn failed(is_write: bool) -> Event {
    if is_write { Event::WriteFailed } else { Event::ReadFailed }
}

/// Does what a request asks for, and returns the answer as the library's requests.rs understands it.
pub fn execute(server: &mut Server, lease: Option<Box<Lease>>, now: Ns) -> Event {
    match lease {
        Some(lease) => server.put(*lease, now).map_or(Event::Refused, Event::Wrote),
        None => {
            let lease = server.lease().cloned();
            let created = lease.as_ref().and_then(|lease| lease.metadata.creation_timestamp.as_ref());
            let age = created.and_then(|created| u64::try_from(Server::date(now) - created.0.as_second()).ok());
            Event::Read { lease, age: age.map(std::time::Duration::from_secs) }
        }
    }
}

/// The server as the history finds it.
pub fn initial_server(plan: &Plan) -> Server {
    let mut server = Server::new(plan.seed);
    match plan.initially {
        Initially::Absent => {}
        Initially::Empty => server.create_long_ago(LeaseSpec::default()),
        Initially::Held => server.create_long_ago(LeaseSpec {
            holder_identity: Some("gone".to_owned()),
            lease_duration_seconds: Some((plan.longest_lease() / SECOND) as i32),
            ..LeaseSpec::default()
        }),
    }
    server
}
