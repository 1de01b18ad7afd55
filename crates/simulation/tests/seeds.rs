//! A few of the seeds that `cargo simulate` runs, in every `cargo test`.

use still_leading_simulation::check::Kind;
use still_leading_simulation::control::Control;
use still_leading_simulation::fault::What;
use still_leading_simulation::picture;
use still_leading_simulation::plan::Plan;
use still_leading_simulation::run::many;
use still_leading_simulation::shrink::shrink;
use still_leading_simulation::world::World;

/// About a second, unoptimized.
const SEEDS: u64 = 300;

#[test]
fn no_seed_has_two_leaders_and_none_is_left_without_one() {
    let summary = many(0, SEEDS, None, || {});
    assert_eq!(summary.failures, [], "cargo simulate --seed N explains it");
    assert_eq!(summary.seeds, SEEDS);
    assert!(summary.terms > 2 * SEEDS, "the histories are too quiet: {} terms", summary.terms);
}

/// A simulation without a fault in it finds nothing.
#[test]
fn every_fault_happens_in_some_seed() {
    let mut names: Vec<&str> =
        (0..SEEDS).flat_map(|seed| Plan::of(seed).faults).map(|fault| fault.what.name()).collect();
    names.sort_unstable();
    names.dedup();
    let all = [
        What::Freeze.name(),
        "halt",
        "starve",
        "kill",
        "stop",
        "cut",
        "outage",
        "late writes",
        "slow",
        "mute",
        "errors",
        "deny",
        "forbid watch",
        "stall watch",
        "break watch",
        "stale cache",
        "delete",
        "re-create",
        "restore",
        "thief",
        "framed",
        "impersonate",
        "edit",
        "clear",
        "hand over",
        "hand over to nobody",
        "wish",
        "yield",
        "set clock",
        "stop clock",
    ];
    for name in all {
        assert!(names.contains(&name), "no seed has {name}");
    }
    assert_eq!(names.len(), all.len(), "{names:?}");
}

#[test]
fn the_same_seed_is_the_same_history() {
    let run = |seed| {
        let mut world = World::new(&Plan::of(seed), None, true);
        world.run();
        world.record.lines
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

#[test]
fn a_failing_seed_is_shrunk_and_drawn() {
    let control = Some(Control::NoCompareAndSwap);
    let found = many(0, SEEDS, control, || {}).failures;
    let (seed, violation) = found.iter().find(|(_, it)| it.kind == Kind::Overlap).expect("an overlap");
    let (whole, smallest) = (Plan::of(*seed), shrink(&Plan::of(*seed), control, Kind::Overlap));
    assert!(smallest.faults.len() < whole.faults.len() && !smallest.faults.is_empty(), "{:?}", smallest.faults);
    let mut world = World::new(&smallest, control, true);
    let again = world.run().expect("it fails without the other faults too");
    assert_eq!(again.kind, violation.kind);
    let svg = picture::draw(&world, Some(&again), "two leaders");
    assert!(svg.contains("acts although another leads") && svg.matches("class=\"stale\" cx").count() >= 2, "{svg}");
    for fault in &smallest.faults {
        assert!(svg.contains(fault.what.name()), "{fault} is missing");
    }
}
