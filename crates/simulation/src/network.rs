//! The way of requests, answers and watch events between each replica and the server, and what is wrong with it now.
//!
//! The real driver is run over the same one.

use crate::fault::{Fault, What};
use crate::plan::Plan;
use crate::random::{Purpose, Random};
use crate::time::{MILLI, Ns};

/// What becomes of a request on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It arrives at this time.
    Arrives(Ns),
    /// It fails at once: the caller learns of it at this time.
    Fails(Ns),
    /// Nobody hears of it.
    Vanishes,
}

/// What the server does with a request that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It executes the request and answers.
    Normal,
    /// It refuses to write.
    Forbidden,
    /// It answers with an error, after it executed the request or not.
    Error {
        /// Whether it did.
        executed: bool,
    },
    /// It is not there.
    Gone,
}

/// Whose request, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The replica.
    pub slot: usize,
    /// Its process.
    pub incarnation: u64,
    /// The request.
    pub number: u64,
}

/// Until when what is wrong for one replica.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    cut: Ns,
    late: Ns,
    slow: Ns,
    mute: Ns,
    errors: Ns,
    denied: Ns,
    forbidden: Ns,
    stalled: Ns,
    lagging: Ns,
    lag: Ns,
}

/// See the file.
#[derive(Clone, Debug)]
pub struct Network {
    seed: u64,
    scale: u64,
    late: (Ns, Ns),
    /// What an attempt may take.
    slow: Ns,
    /// The ordinary noise ends with the faults.
    noisy_until: Ns,
    conditions: Vec<Conditions>,
    outage: Ns,
}

impl Network {
    /// The network of `plan`, with nothing wrong yet.
    pub fn of(plan: &Plan) -> Self {
        Self {
            seed: plan.seed,
            scale: plan.scale,
            late: plan.late(),
            slow: plan.shortest_attempt(),
            noisy_until: if plan.is_quiet { 0 } else { plan.last_end() },
            conditions: vec![Conditions::default(); plan.replicas.len()],
            outage: 0,
        }
    }

    /// Takes note of a fault of the network, if it is one.
    pub fn inject(&mut self, fault: &Fault, slot: usize) {
        let Some(conditions) = self.conditions.get_mut(slot) else { return };
        let until = match fault.what {
            What::Cut => &mut conditions.cut,
            What::Late => &mut conditions.late,
            What::Slow => &mut conditions.slow,
            What::Mute => &mut conditions.mute,
            What::Errors => &mut conditions.errors,
            What::Deny => &mut conditions.denied,
            What::Forbid => &mut conditions.forbidden,
            What::Stall => &mut conditions.stalled,
            What::Lag(lag) => {
                conditions.lag = lag;
                &mut conditions.lagging
            }
            What::Outage => &mut self.outage,
            _ => return,
        };
        *until = fault.end().max(*until);
    }

    /// The API is down for everybody.
    pub fn outage(&mut self, until: Ns) {
        self.outage = self.outage.max(until);
    }

    /// The way of a request that is sent at `now`.
    pub fn request(&self, key: Key, now: Ns, is_write: bool) -> Way {
        let mut random = self.random(Purpose::Request, key);
        let there = random.delay(self.is_noisy(now)) * self.scale;
        if self.is_cut(key.slot, now) {
            // A refused connection is noticed, a lost packet is not.
            return if random.one_in(2) { Way::Fails(now + there) } else { Way::Vanishes };
        }
        if is_write && now < self.conditions[key.slot].late {
            return Way::Arrives(now + random.between(self.late.0, self.late.1));
        }
        Way::Arrives(now + there)
    }

    /// What the server does with a request that arrives at `now`.
    pub fn treat(&self, key: Key, now: Ns, is_write: bool) -> Treatment {
        let conditions = &self.conditions[key.slot];
        if now < self.outage {
            return Treatment::Gone;
        }
        if is_write && now < conditions.denied {
            return Treatment::Forbidden;
        }
        if now < conditions.errors {
            return Treatment::Error { executed: self.random(Purpose::Delivery, key).one_in(2) };
        }
        Treatment::Normal
    }

    /// When an answer that leaves the server at `now` arrives; never, if it is lost.
    pub fn answer(&self, key: Key, now: Ns) -> Option<Ns> {
        // Not the same numbers as on the way there.
        let mut random = self.random(Purpose::Request, Key { number: key.number + (1 << 32), ..key });
        let is_lost = self.is_noisy(now) && random.one_in(60);
        if is_lost || self.is_cut(key.slot, now) || now < self.conditions[key.slot].mute {
            return None;
        }
        let delay = random.delay(self.is_noisy(now)) * self.scale;
        let is_slow = now < self.conditions[key.slot].slow;
        Some(now + if is_slow { random.between(self.slow / 4, self.slow) } else { delay })
    }

    /// The way of a watch that is opened at `now`.
    pub fn watch(&self, key: Key, now: Ns) -> Way {
        let mut random = self.random(Purpose::Watch, key);
        let there = random.delay(self.is_noisy(now)) * self.scale;
        if self.is_cut(key.slot, now) {
            return if random.one_in(2) { Way::Fails(now + there) } else { Way::Vanishes };
        }
        if now < self.conditions[key.slot].forbidden { Way::Fails(now + there) } else { Way::Arrives(now + there) }
    }

    /// When the change of this number, committed at `now`, is to be shown to a watch.
    pub fn delivery(&self, slot: usize, change: usize, now: Ns) -> Ns {
        let mut random = self.random(Purpose::Delivery, Key { slot, incarnation: 0, number: change as u64 });
        now + self.lag(slot, now) + random.between(MILLI / 2, 20 * MILLI) * self.scale
    }

    /// By how much the watch cache behind the replica lags at `now`.
    pub fn lag(&self, slot: usize, now: Ns) -> Ns {
        let conditions = &self.conditions[slot];
        if now < conditions.lagging { conditions.lag } else { 0 }
    }

    /// Whether an open watch delivers at `now`. What it does not deliver waits.
    pub fn delivers(&self, slot: usize, now: Ns) -> bool {
        now >= self.conditions[slot].stalled && !self.is_cut(slot, now)
    }

    fn is_cut(&self, slot: usize, now: Ns) -> bool {
        now < self.conditions[slot].cut || now < self.outage
    }

    fn is_noisy(&self, now: Ns) -> bool {
        now < self.noisy_until
    }

    fn random(&self, purpose: Purpose, key: Key) -> Random {
        Random::of(self.seed, purpose, key.slot, key.incarnation, key.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Target;
    use crate::time::SECOND;

    const KEY: Key = Key { slot: 0, incarnation: 0, number: 7 };

    fn with(what: What) -> Network {
        let mut network = Network::of(&Plan::of(1));
        network.noisy_until = 0;
        let fault = Fault { at: SECOND, lasts: SECOND, target: Target::Replica(0), what };
        network.inject(&fault, 0);
        network
    }

    #[test]
    fn a_cut_loses_requests_answers_and_events_until_it_is_healed_and_only_there() {
        for (what, other_too) in [(What::Cut, false), (What::Outage, true)] {
            let network = with(what);
            let other = Key { slot: 1, ..KEY };
            let arrives = |key, now| matches!(network.request(key, now, false), Way::Arrives(_));
            assert!(!arrives(KEY, SECOND) && arrives(KEY, 2 * SECOND));
            assert_eq!(arrives(other, SECOND), !other_too);
            assert_eq!(network.answer(KEY, SECOND), None);
            assert!(network.answer(KEY, 2 * SECOND).is_some());
            assert!(!network.delivers(0, SECOND) && network.delivers(0, 2 * SECOND));
        }
    }

    #[test]
    fn a_late_write_arrives_after_its_attempt_was_given_up_and_a_read_does_not() {
        let network = with(What::Late);
        let Way::Arrives(write) = network.request(KEY, SECOND, true) else { panic!("it is lost") };
        assert!(write > SECOND + network.late.0 - 1);
        let Way::Arrives(read) = network.request(KEY, SECOND, false) else { panic!("it is lost") };
        assert!(read < SECOND + 20 * MILLI);
    }

    #[test]
    fn only_writes_are_denied() {
        let network = with(What::Deny);
        assert_eq!(network.treat(KEY, SECOND, true), Treatment::Forbidden);
        assert_eq!(network.treat(KEY, SECOND, false), Treatment::Normal);
    }
}
