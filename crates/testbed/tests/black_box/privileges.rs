//! The shipped Role: enough, and nothing too much.

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use serde_json::Value;
use still_leading_testbed::history::terms;
use still_leading_testbed::{Fleet, FleetOptions, Verb, manifests};

use crate::ground::{Ground, LONG, promise};

/// How often something must be refused before it counts as needed.
const REFUSALS: usize = 3;

pub async fn the_role_lacks_nothing_and_every_verb_of_it_is_needed(ground: Ground) -> Result<()> {
    let shipped = manifests::parse(&std::fs::read_to_string(ground.variant.install_yaml())?)?;
    let verbs = verbs(&shipped)?;
    promise!(!verbs.is_empty(), "the Role grants nothing");

    let (fleet, leader) = ground.led_fleet().await?;
    fleet.replica(leader).terminate()?;
    fleet.replica(leader).wait(LONG).await?;
    fleet.wait_for_leader(LONG).await?;
    for index in 0..fleet.len() {
        let refused: Vec<_> = fleet.proxy(index).requests().into_iter().filter(|it| it.status == Some(403)).collect();
        promise!(refused.is_empty(), "the Role lacks what was asked for: {refused:?}");
    }
    drop(fleet);

    for verb in verbs {
        let manifests = Some(without(&shipped, &verb));
        let fleet = Fleet::start(ground.control_plane()?, FleetOptions { manifests, ..ground.options() }).await?;
        fails_without(&verb, &fleet).await.with_context(|| format!("without {verb}"))?;
    }
    Ok(())
}

/// Without the watch there is still an election, but a worse one: standbys have to ask. Without any other verb there is
/// none.
async fn fails_without(verb: &str, fleet: &Fleet) -> Result<()> {
    let refused = |index: usize| {
        let requests = fleet.proxy(index).requests();
        requests.iter().filter(|it| it.verb.name() == verb && it.status == Some(403)).count()
    };
    fleet.history().wait_for(LONG, |_| (0..fleet.len()).all(|i| refused(i) >= REFUSALS).then_some(())).await.ok();
    for index in 0..fleet.len() {
        promise!(refused(index) >= REFUSALS, "replica {index} hardly asked for {verb}, so the Role need not grant it");
    }
    let led = terms(&fleet.history().events());
    if verb != Verb::Watch.name() {
        promise!(led.is_empty(), "somebody led without {verb}: {led:?}");
        return Ok(());
    }
    let leader = fleet.wait_for_leader(LONG).await?;
    for index in (0..fleet.len()).filter(|index| *index != leader) {
        let gets = || fleet.proxy(index).counts().get(&Verb::Get).copied().unwrap_or(0);
        // Asks again and again: the number grows while the leader acts.
        let before = gets();
        fleet.history().wait_for(LONG, |_| (gets() >= before + REFUSALS).then_some(())).await?;
    }
    Ok(())
}

fn is_role(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == "Role")
}

fn verbs(objects: &[DynamicObject]) -> Result<Vec<String>> {
    let role = objects.iter().find(|object| is_role(object)).context("the manifest has no Role")?;
    let verbs = role.data["rules"][0]["verbs"].as_array().context("the Role has no verbs")?;
    Ok(verbs.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn without(objects: &[DynamicObject], verb: &str) -> Vec<DynamicObject> {
    let mut objects = objects.to_vec();
    for role in objects.iter_mut().filter(|object| is_role(object)) {
        if let Some(verbs) = role.data["rules"][0]["verbs"].as_array_mut() {
            verbs.retain(|it| it != verb);
        }
    }
    objects
}
