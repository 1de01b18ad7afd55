//! Chance that depends on nothing but who asks: the seed, the process, and the number of its request. So what happens to
//! one request stays the same when a fault elsewhere is removed, and when the real driver sends it.

use crate::time::{MILLI, Ns, SECOND};

/// A small generator of numbers, made for one purpose.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

/// What is decided by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The way of a read or write to the server and back.
    Request,
    /// The way of a watch to the server.
    Watch,
    /// How long one change takes to a watch.
    Delivery,
    /// How long an elector that starves is kept from running.
    Starvation,
    /// The distance between two resourceVersions, since other objects share the counter.
    Version,
}

impl Random {
    /// The generator for `number`, in the process `incarnation` of the replica `slot`.
    pub fn of(seed: u64, purpose: Purpose, slot: usize, incarnation: u64, number: u64) -> Self {
        let parts = [purpose as u64, slot as u64, incarnation, number];
        Self(fastrand::Rng::with_seed(parts.into_iter().fold(mix(seed), |hash, part| mix(hash ^ mix(part)))))
    }

    /// Whether one of `n` cases has happened.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.0.u32(0..n) == 0
    }

    /// Any number from `from` to below `until`.
    pub fn between(&mut self, from: u64, until: u64) -> u64 {
        self.0.u64(from..until.max(from + 1))
    }

    /// A delay of the network: mostly short, sometimes longer than an attempt may take.
    pub fn delay(&mut self, is_noisy: bool) -> Ns {
        if is_noisy && self.one_in(50) { self.between(0, 6 * SECOND) } else { self.between(MILLI / 2, 20 * MILLI) }
    }
}

/// The finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_meets_the_same_fate_and_another_one_another() {
        let draw = |seed, slot, number| Random::of(seed, Purpose::Request, slot, 0, number).between(0, u64::MAX);
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        let draws = [draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(1, 3, 2)];
        assert!((1..draws.len()).all(|at| !draws[..at].contains(&draws[at])), "{draws:?}");
    }
}
