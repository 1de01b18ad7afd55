//! Who leads after a release, where the network is well: whoever is preferred, and the control shows that it is not by chance.

// Only a test has helpers that unwrap.
#![cfg(test)]

use still_leading_simulation::control::Control;
use still_leading_simulation::fault::{Fault, Named, Target, What};
use still_leading_simulation::plan::{Plan, Spec};
use still_leading_simulation::record::Observed;
use still_leading_simulation::time::{Ns, SECOND};
use still_leading_simulation::world::World;

const SEEDS: u64 = 300;
/// Whoever led before has led for long, and all others have seen it.
const AT: Ns = 100 * SECOND;

/// Who leads before and after `fault`, in a history in which nothing else goes wrong. Nobody, if nobody led before.
fn around(plan: Plan, fault: What, target: Target, control: Option<Control>) -> Option<(usize, usize)> {
    let fault = Fault { at: AT, lasts: 60 * SECOND, target, what: fault };
    let plan = Plan { is_quiet: true, ..plan }.with_faults(vec![fault]);
    let mut world = World::new(&plan, control, true);
    assert_eq!(world.run(), None, "seed {}", plan.seed);
    let began = world.record.observed.iter().filter(|(_, _, what)| matches!(what, Observed::Began(_)));
    let (before, after): (Vec<_>, Vec<_>) = began.partition(|(at, ..)| *at < AT);
    Some((before.last()?.1, after.first().map(|(_, slot, _)| *slot)?))
}

/// In how many cases out of a hundred the preferred one won.
fn percent(cases: &[bool]) -> usize {
    assert!(cases.len() > SEEDS as usize / 4, "only {} cases", cases.len());
    cases.iter().filter(|won| **won).count() * 100 / cases.len()
}

/// The leader is asked to hand over to the replica before it in the list.
fn chosen_ones(control: Option<Control>) -> Vec<bool> {
    let case = |seed| {
        let plan = Plan::of(seed);
        let replicas = plan.replicas.len();
        // Who leads is known from the same history without a fault that matters.
        let (leader, _) = around(plan.clone(), What::Stop, Target::Leader, None)?;
        let chosen = (leader + replicas - 1) % replicas;
        let (_, next) = around(plan, What::HandOver(Named::It), Target::Replica(chosen), control)?;
        Some(next == chosen)
    };
    (0..SEEDS).filter(|seed| Plan::of(*seed).replicas.len() > 2).filter_map(case).collect()
}

/// The leader ends, and one standby is of another generation than all others.
fn new_generations(control: Option<Control>) -> Vec<bool> {
    let case = |seed| {
        let plan = Plan::of(seed);
        let (leader, _) = around(plan.clone(), What::Stop, Target::Leader, None)?;
        let new = (leader + 1) % plan.replicas.len();
        let of = |(slot, spec): (usize, &Spec)| {
            let mut spec = spec.clone();
            spec.timing.generation = Some(if slot == new { "new" } else { "old" }.to_owned());
            spec
        };
        let replicas = plan.replicas.iter().enumerate().map(of).collect();
        let (_, next) = around(Plan { replicas, ..plan }, What::Stop, Target::Leader, control)?;
        Some(next == new)
    };
    (0..SEEDS).filter(|seed| Plan::of(*seed).replicas.len() > 2).filter_map(case).collect()
}

#[test]
fn the_chosen_standby_leads_next() {
    assert!(percent(&chosen_ones(None)) >= 99);
}

#[test]
fn without_a_head_start_the_chosen_standby_is_one_of_many() {
    assert!(percent(&chosen_ones(Some(Control::NoHeadStart))) < 80);
}

#[test]
fn after_a_release_another_generation_leads_next() {
    assert!(percent(&new_generations(None)) >= 99);
}

#[test]
fn without_a_head_start_another_generation_is_one_of_many() {
    assert!(percent(&new_generations(Some(Control::NoHeadStart))) < 80);
}
