//! What becomes of a Lease that somebody deletes: with the component `create-lease` it comes back, and without it a line of
//! the log says what to do.

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams};
use still_leading_testbed::history::{Event, acts};
use still_leading_testbed::{Fleet, FleetOptions, ServerKind, Timings, Variant, history, manifests};

use crate::belonging::ships_a_lease;
use crate::overlay::{CREATE_ANY_LEASE, CREATE_LEASE, Overlay};
use crate::server::LONG;
use crate::world::World;

/// In the message, or in the field `hint`, of each variant that meets a Lease that is gone.
const REMEDY: &str = "apply it again";

pub async fn comes_back_if_its_role_lets_it(world: &World, variant: Variant) -> Result<()> {
    let overlay = Overlay::Variant(variant);
    let rendered = world.rendered(overlay)?;
    let creating = rendered.iter().find(|it| [&[CREATE_LEASE][..], &[CREATE_ANY_LEASE]].contains(&&*it.components));
    let creating = if ships_a_lease(overlay) { creating } else { rendered.first() };
    let Some(creating) = creating else { return Ok(()) };
    let fleet = after_the_deletion(world, variant, &creating.yaml).await?;
    let deleted = history::now();
    let acted = |events: &[Event]| acts(events).into_iter().filter(|act| act.at > deleted).nth(5).map(drop);
    // Those of the leader that does not know yet are not enough.
    fleet.history().wait_for(LONG, |events| acted(events).filter(|()| again(&fleet))).await.context("nobody leads")?;
    fleet.lease().await.map(drop)
}

pub async fn is_missed_by_a_line_that_says_what_to_do(world: &World, variant: Variant) -> Result<()> {
    let overlay = Overlay::Variant(variant);
    if !ships_a_lease(overlay) {
        return Ok(());
    }
    let shipped = world.rendered(overlay)?.first().context("nothing is rendered")?;
    let fleet = after_the_deletion(world, variant, &shipped.yaml).await?;
    for index in 0..fleet.len() {
        let name = fleet.replica(index).name().to_owned();
        let says = |event: &&Event| {
            let hint = event.fields.get("hint").and_then(|it| it.as_str()).unwrap_or_default();
            event.replica == name && (event.message.contains(REMEDY) || hint.contains(REMEDY))
        };
        let said = |events: &[Event]| events.iter().find(says).map(drop);
        fleet.history().wait_for(LONG, said).await.with_context(|| format!("{name} does not say what to do"))?;
    }
    Ok(())
}

/// A fleet with the rights of this manifest, one of which led, and whose Lease is gone.
async fn after_the_deletion(world: &World, variant: Variant, yaml: &str) -> Result<Fleet> {
    let timings = Timings::short_for(variant);
    let manifests = Some(manifests::parse(yaml)?);
    let options = FleetOptions { timings, manifests, ..FleetOptions::new(variant, world.program(variant)?) };
    let fleet = Fleet::start(world.server(ServerKind::Real).await?, options).await?;
    fleet.wait_for_leader(LONG).await?;
    let leases: Api<Lease> = Api::namespaced(fleet.client().clone(), fleet.namespace());
    leases.delete(fleet.lease_name(), &DeleteParams::default()).await?;
    Ok(fleet)
}

/// Whether the Lease was written since it was deleted.
fn again(fleet: &Fleet) -> bool {
    let states = fleet.lease_history();
    let deleted = states.iter().position(|state| state.deleted);
    deleted.is_some_and(|place| states[place..].iter().any(|state| !state.deleted && state.holder.is_some()))
}
