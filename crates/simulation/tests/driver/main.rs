//! The real driver through the histories of the simulation: its actions must be those of the simulation's own half.
//!
//! The simulation runs the library's real `step`, but mirrors what the library does around it: the request in flight, its
//! time-out, the watch, the release. Here the library's own driver, requests and terms run on tokio's paused clock, with
//! `kube` over a transport that is the same simulated server and network, and with the same interventions at the same times.
//!
//! Compared, for each replica, by time: every read, every write with its holder and the version that it replaces, every
//! watch that is opened, and every begin and end of a published term with its epoch.
//!
//! Not compared: frozen and halted processes (all replicas share one runtime here), clocks of other rates (tokio has one),
//! and wall clocks (the driver asks the system's). Everything lasts a thousand times longer than in the simulation, since
//! tokio's timers count milliseconds.

// Only a test has helpers that unwrap.
#![cfg(test)]

mod api;
mod replicas;

use std::thread;

use still_leading_simulation::fault::What;
use still_leading_simulation::plan::Plan;
use still_leading_simulation::record::Observed;
use still_leading_simulation::time::{MILLI, Ns, seconds};
use still_leading_simulation::world::World;

/// Unoptimized, one takes about 0.2 s. `STILL_LEADING_SEEDS` asks for more.
const SEEDS: u64 = 20;
/// A thousandth of that in the simulation: the same moment, as good as tokio's timers can tell.
const TOLERANCE: Ns = 3 * MILLI;

/// What can be done to the real driver in one process.
fn plan(seed: u64) -> Plan {
    let mut plan = Plan::of(seed);
    plan.replicas.iter_mut().for_each(|spec| spec.rate = 1.0);
    let cannot = |what| matches!(what, What::Freeze | What::Halt | What::Starve | What::WallJump(_) | What::WallStop);
    plan.faults.retain(|fault| !cannot(fault.what));
    plan.slowly()
}

type Did = (Ns, usize, Observed);

/// What one task of the replica `slot` did: the watch is a task of its own, so which is first at the same moment is open.
fn of(slot: usize, is_watch: bool, observed: &[Did]) -> Vec<&Did> {
    observed.iter().filter(|one| one.1 == slot && (one.2 == Observed::Watch) == is_watch).collect()
}

/// The first difference, in words.
fn difference(expected: &[&Did], real: &[&Did]) -> Option<String> {
    let is_same = |(one, two): (&&Did, &&Did)| one.2 == two.2 && one.0.abs_diff(two.0) <= TOLERANCE;
    let same = expected.iter().zip(real).take_while(|(one, two)| is_same((one, two))).count();
    if same == expected.len() && same == real.len() {
        return None;
    }
    let show = |observed: &[&Did]| -> String {
        let lines = observed.iter().skip(same.saturating_sub(3)).take(6);
        lines.map(|(at, slot, one)| format!("  {:>12} r{slot} {one:?}\n", seconds(*at))).collect()
    };
    Some(format!("after {same} observations\nsimulated:\n{}real:\n{}", show(expected), show(real)))
}

/// Runs one history both ways, and returns how many observations were compared.
fn compare(seed: u64) -> usize {
    let plan = plan(seed);
    let mut world = World::new(&plan, None, true);
    assert_eq!(world.run(), None, "seed {seed}");
    let real = replicas::run(&plan, &world.record.interventions);
    for (slot, is_watch) in (0..plan.replicas.len()).flat_map(|slot| [(slot, false), (slot, true)]) {
        let (expected, real) = (of(slot, is_watch, &world.record.observed), of(slot, is_watch, &real));
        if let Some(difference) = difference(&expected, &real) {
            panic!("seed {seed}, r{slot}: the real driver and its mirror part {difference}");
        }
    }
    world.record.observed.len()
}

#[test]
fn the_real_driver_does_what_the_simulation_says_it_does() {
    let seeds = std::env::var("STILL_LEADING_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let halves = thread::scope(|scope| {
        let half = |first| move || (first..seeds).step_by(2).map(compare).sum::<usize>();
        [0, 1].map(|first| scope.spawn(half(first))).map(|half| half.join().unwrap())
    });
    let compared: usize = halves.iter().sum();
    assert!(compared as u64 > 100 * seeds, "only {compared} observations were compared");
}
