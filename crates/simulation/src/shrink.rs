//! The smallest set of faults that still fails in the same way.

use crate::check::Kind;
use crate::control::Control;
use crate::plan::Plan;
use crate::world::World;

/// Takes faults out of `plan`, one after the other, as long as what is left fails with `kind`.
pub fn shrink(plan: &Plan, control: Option<Control>, kind: Kind) -> Plan {
    let fails = |plan: &Plan| World::new(plan, control, false).run().is_some_and(|it| it.kind == kind);
    let mut smallest = plan.clone();
    loop {
        let without = |at: usize| {
            let mut plan = smallest.clone();
            plan.faults.remove(at);
            plan
        };
        // The last ones first: what comes after the failure goes at once.
        match (0..smallest.faults.len()).rev().map(without).find(fails) {
            Some(smaller) => smallest = smaller,
            None => return smallest,
        }
    }
}
