//! Each rule of the election is broken once, and the simulation must find two leaders, or that nobody leads any more. Without the
//! breakage, the same seeds must have none of that. What a head start is for is in preference.rs.

use still_leading_simulation::check::Kind;
use still_leading_simulation::control::Control;
use still_leading_simulation::run::many;

/// Runs `seeds` with the rule broken, and the seeds that failed without.
fn must_be_found(control: Control, seeds: u64) {
    must_be_found_as(Kind::Overlap, control, seeds);
}

fn must_be_found_as(kind: Kind, control: Control, seeds: u64) {
    let broken = many(0, seeds, Some(control), || {});
    let found: Vec<u64> = broken.failures.iter().filter(|(_, it)| it.kind == kind).map(|(seed, _)| *seed).collect();
    assert!(!found.is_empty(), "{control}: {kind:?} in none of {seeds} seeds");
    for seed in found {
        assert_eq!(many(seed, 1, None, || {}).failures, [], "seed {seed} fails also with the rule in force");
    }
}

#[test]
fn a_server_without_compare_and_swap_is_found() {
    must_be_found(Control::NoCompareAndSwap, 100);
}

#[test]
fn validity_that_counts_from_the_answer_is_found() {
    must_be_found(Control::FromTheAnswer, 100);
}

#[test]
fn no_wait_after_a_lease_was_made_anew_is_found() {
    must_be_found(Control::NoWaitAfterRecreation, 100);
}

#[test]
fn a_leader_that_ignores_other_holders_is_found() {
    must_be_found(Control::IgnoresOtherHolders, 100);
}

#[test]
fn an_elector_that_believes_the_wall_clock_is_found() {
    must_be_found(Control::BelievesWallClock, 100);
}

#[test]
fn a_hand_over_before_the_work_has_ended_is_found() {
    must_be_found(Control::ReleasesBeforeTheWorkEnds, 100);
}

#[test]
fn a_preference_that_keeps_the_others_from_leading_is_found() {
    must_be_found_as(Kind::Stuck, Control::NobodyElseTries, 1000);
}
