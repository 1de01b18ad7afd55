//! What a variant asks for in its life, held against its Role: both are the same list.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::Role;
use still_leading_testbed::proxy::Request;
use still_leading_testbed::{Fleet, FleetOptions, ServerKind, Timings, Variant};

use crate::objects::Objects;
use crate::overlay::Overlay;
use crate::permissions::{Permissions, compare, granted, permission};
use crate::server::LONG;
use crate::world::World;

const GROUP: &str = "coordination.k8s.io";

pub async fn is_what_its_role_grants(world: &World, variant: Variant) -> Result<()> {
    let role: Role = Objects::shipped(Overlay::Variant(variant))?.one()?;
    let (timings, tick) = (Timings::short_for(variant), Duration::from_millis(100));
    let options = FleetOptions { timings, tick, ..FleetOptions::new(variant, world.program(variant)?) };
    let fleet = Fleet::start(world.server(ServerKind::Embedded).await?, options).await?;
    live(&fleet).await?;

    let requests: Vec<Request> = (0..fleet.len()).flat_map(|index| fleet.proxy(index).requests()).collect();
    let refused: Vec<&Request> = requests.iter().filter(|it| it.status == Some(403)).collect();
    ensure!(refused.is_empty(), "the Role lacks what was asked for: {refused:?}");
    let used = requests.iter().map(|it| right(it.verb.name(), &it.path, fleet.namespace()));
    let (used, granted) = (used.collect::<Result<Permissions>>()?, granted(&role.rules.unwrap_or_default()));
    compare(("used", &used), ("granted", &granted)).into_result()
}

/// All come at once, on the Lease as it is shipped. One leads and renews, gives it up when it is asked to end, and the next
/// one is killed.
async fn live(fleet: &Fleet) -> Result<()> {
    let first = fleet.wait_for_leader(LONG).await?;
    for index in 0..fleet.len() {
        fleet.wait_until_taking_part(index, 0, LONG).await?;
    }
    let writes = || fleet.proxy(first).requests().iter().filter(|it| it.verb.is_write() && it.succeeded()).count();
    fleet.history().wait_for(LONG, |_| (writes() >= 3).then_some(())).await.context("it does not renew")?;
    fleet.replica(first).terminate()?;
    let (second, _) = fleet.wait_for_successor(first, LONG).await?;
    fleet.replica(first).wait(LONG).await?;
    fleet.replica(second).kill()?;
    fleet.wait_for_successor(second, LONG).await.map(drop)
}

/// What right a request takes, by the rules of the API server: a list or a watch has a name if its field selector has one.
pub fn right(verb: &str, path: &str, namespace: &str) -> Result<String> {
    let leases = format!("/apis/{GROUP}/v1/namespaces/{namespace}/leases");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let name = path.strip_prefix(&leases).with_context(|| format!("it asks for something else: {verb} {path}"))?;
    let selectors = query.split('&').filter_map(|pair| pair.strip_prefix("fieldSelector="));
    let selected =
        selectors.map(|it| it.replace("%3D", "=")).find_map(|it| it.strip_prefix("metadata.name=").map(str::to_owned));
    let name = name.strip_prefix('/').map(str::to_owned).or(selected).unwrap_or_default();
    Ok(permission(verb, "leases", GROUP, &name))
}
