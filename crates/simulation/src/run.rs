//! Many seeds, on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::check::{Kind, Violation};
use crate::control::Control;
use crate::plan::Plan;
use crate::time::Ns;
use crate::world::World;

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// The seeds that failed, in order.
    pub failures: Vec<(u64, Violation)>,
    /// How many terms began.
    pub terms: u64,
    /// The longest time from the last fault to the last moment without a leader, its seed, and the bound there.
    pub slowest: (Ns, u64, Ns),
    /// The largest part of its bound that a seed has used, in percent, and that seed.
    pub tightest: (u64, u64),
}

impl Summary {
    /// In how many seeds two could act at once, or another rule of safety was broken.
    pub fn overlaps(&self) -> usize {
        self.failures.iter().filter(|(_, violation)| violation.kind != Kind::Stuck).count()
    }

    /// In how many seeds nobody led in the end.
    pub fn stuck(&self) -> usize {
        self.failures.len() - self.overlaps()
    }

    /// Takes in what came of one more seed.
    pub fn add(&mut self, seed: u64, violation: Option<Violation>, world: &World) {
        self.seeds += 1;
        self.terms += world.checks.terms;
        let (took, bound) = (world.checks.recovered_in(), world.plan.bound);
        self.slowest = self.slowest.max((took, seed, bound));
        self.tightest = self.tightest.max((took * 100 / bound.max(1), seed));
        self.failures.extend(violation.map(|violation| (seed, violation)));
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.terms += other.terms;
        self.slowest = self.slowest.max(other.slowest);
        self.tightest = self.tightest.max(other.tightest);
        self.failures.extend(other.failures);
    }
}

/// Runs one seed.
pub fn one(seed: u64, control: Option<Control>, summary: &mut Summary) {
    let mut world = World::new(&Plan::of(seed), control, false);
    let violation = world.run();
    summary.add(seed, violation, &world);
}

/// Runs the seeds from `from` to before `from + seeds` on all cores. `progress` learns of every one, on any thread.
pub fn many(from: u64, seeds: u64, control: Option<Control>, progress: impl Fn() + Sync) -> Summary {
    let next = AtomicU64::new(0);
    let all = Mutex::new(Summary::default());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                let mut summary = Summary::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds {
                        break;
                    }
                    one(from + number, control, &mut summary);
                    progress();
                }
                all.lock().unwrap_or_else(PoisonError::into_inner).join(summary);
            });
        }
    });
    let mut summary = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failures.sort_by_key(|(seed, _)| *seed);
    summary
}
