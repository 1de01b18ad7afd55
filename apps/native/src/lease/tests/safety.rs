//! Random histories: three electors, a server that compares and swaps, requests and answers that are late or lost,
//! watches that lag or fall silent, and somebody who deletes the Lease. Whatever happens, no two terms are valid at once.

use proptest::prelude::*;

use super::*;

/// One thing that happens; the number picks the elector.
#[derive(Clone, Debug)]
enum Turn {
    Advance {
        millis: u64,
    },
    /// The request reaches the server.
    Arrive(usize),
    /// The answer reaches the elector.
    Answer(usize),
    /// The elector gives up waiting; the request may still arrive.
    TimeOut(usize),
    /// The watch shows the present state.
    Watch(usize),
    WatchEnds(usize),
    /// The process ends and another one begins under a new identity.
    Restart(usize),
    DeleteLease,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let who = || 0..3usize;
    let turn = prop_oneof![
        8 => (1..4000u64).prop_map(|millis| Turn::Advance { millis }),
        8 => who().prop_map(Turn::Arrive),
        8 => who().prop_map(Turn::Answer),
        2 => who().prop_map(Turn::TimeOut),
        4 => who().prop_map(Turn::Watch),
        1 => who().prop_map(Turn::WatchEnds),
        1 => who().prop_map(Turn::Restart),
        1 => Just(Turn::DeleteLease),
    ];
    prop::collection::vec(turn, 1..400)
}

/// What is under way between an elector and the server.
#[derive(Clone, Debug)]
enum Pending {
    Get,
    Put(Lease),
    Done(Event),
}

struct Replica {
    elector: Elector,
    pending: Option<Pending>,
    /// A put that the elector has given up, and that is still on its way.
    late: Option<Lease>,
}

#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
    uid: u64,
}

impl Server {
    fn put(&mut self, mut lease: Lease) -> Event {
        let expected = (lease.metadata.uid.clone(), lease.metadata.resource_version.clone());
        let found = self.lease.as_ref().map(|l| (l.metadata.uid.clone(), l.metadata.resource_version.clone()));
        if expected != found.unwrap_or_default() {
            return Event::Refused;
        }
        if expected.0.is_none() {
            self.uid += 1;
            lease.metadata.uid = Some(format!("uid-{}", self.uid));
        }
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        Event::Wrote(lease)
    }
}

struct World {
    server: Server,
    replicas: Vec<Replica>,
    deleted: Option<Lease>,
    now: Duration,
    incarnations: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            server: Server { lease: Some(lease(1, None)), version: 1, uid: 1 },
            replicas: Vec::new(),
            deleted: None,
            now: Duration::ZERO,
            incarnations: 0,
        };
        for _ in 0..3 {
            let replica = world.start();
            world.replicas.push(replica);
        }
        world
    }

    fn start(&mut self) -> Replica {
        self.incarnations += 1;
        let timing = timing(&format!("replica_{}", self.incarnations));
        Replica { elector: Elector { timing, state: State::default() }, pending: None, late: None }
    }

    fn tell(&mut self, who: usize, event: Event) {
        let replica = &mut self.replicas[who];
        let mut event = event;
        loop {
            let Elector { timing, state } = &mut replica.elector;
            let action = step(timing, state, event, self.now);
            let pending = match action {
                Action::Wait(until) => {
                    assert!(until > self.now, "waits for the past");
                    return;
                }
                Action::Read => Pending::Get,
                Action::Write => Pending::Put(state.claim(timing, micro_time(self.now.as_millis() as i64))),
            };
            assert!(replica.pending.is_none(), "two requests in flight");
            replica.pending = Some(pending);
            event = Event::Tick;
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Advance { millis } => {
                self.now += Duration::from_millis(millis);
                (0..3).for_each(|who| self.tell(who, Event::Tick));
            }
            Turn::Arrive(who) => self.arrive(who),
            Turn::Answer(who) => {
                if let Some(Pending::Done(event)) = self.replicas[who].pending.clone() {
                    self.replicas[who].pending = None;
                    self.tell(who, event);
                }
            }
            Turn::TimeOut(who) => {
                let event = match self.replicas[who].pending.take() {
                    None => return,
                    Some(Pending::Get | Pending::Done(Event::Read(_))) => Event::ReadFailed,
                    Some(Pending::Put(lease)) => {
                        self.replicas[who].late = Some(lease);
                        Event::WriteFailed
                    }
                    Some(Pending::Done(_)) => Event::WriteFailed,
                };
                self.tell(who, event);
            }
            Turn::Watch(who) => match (self.server.lease.clone(), self.deleted.clone()) {
                (Some(lease), _) => self.tell(who, Event::Watched(lease)),
                (None, Some(last)) => self.tell(who, Event::Deleted(last)),
                (None, None) => {}
            },
            Turn::WatchEnds(who) => self.tell(who, Event::WatchEnded),
            Turn::Restart(who) => self.replicas[who] = self.start(),
            Turn::DeleteLease => {
                if let Some(mut lease) = self.server.lease.take() {
                    self.server.version += 1;
                    lease.metadata.resource_version = Some(self.server.version.to_string());
                    self.deleted = Some(lease);
                }
            }
        }
    }

    fn arrive(&mut self, who: usize) {
        if let Some(late) = self.replicas[who].late.take() {
            self.server.put(late);
            return;
        }
        let done = match self.replicas[who].pending.take() {
            Some(Pending::Get) => Event::Read(self.server.lease.clone()),
            Some(Pending::Put(lease)) => self.server.put(lease),
            other => {
                self.replicas[who].pending = other;
                return;
            }
        };
        self.replicas[who].pending = Some(Pending::Done(done));
    }

    fn leaders(&self) -> Vec<&str> {
        let leading = self
            .replicas
            .iter()
            .filter(|replica| replica.elector.state.term().is_some_and(|term| term.valid_until > self.now));
        leading.map(|replica| replica.elector.timing.identity.as_str()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_two_terms_are_valid_at_once(turns in turns()) {
        let mut world = World::new();
        (0..3).for_each(|who| world.tell(who, Event::Tick));
        for turn in turns {
            world.turn(turn);
            prop_assert!(world.leaders().len() <= 1, "{:?} lead at {:?}", world.leaders(), world.now);
        }
    }

    #[test]
    fn somebody_leads_soon_after_the_faults_have_ended(turns in turns()) {
        let mut world = World::new();
        (0..3).for_each(|who| world.tell(who, Event::Tick));
        turns.into_iter().for_each(|turn| world.turn(turn));
        // Everything is delivered from here on. Two lease durations: one to wait out a claim, one for a put that was
        // under way and renews a claim nobody stands behind.
        let healed = world.now;
        while world.leaders().is_empty() {
            prop_assert!(world.now < healed + s(32.0), "nobody leads");
            for who in 0..3 {
                world.turn(Turn::Arrive(who));
                world.turn(Turn::Answer(who));
                world.turn(Turn::Watch(who));
            }
            world.turn(Turn::Advance { millis: 250 });
        }
    }
}
