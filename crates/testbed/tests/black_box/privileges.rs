//! The shipped Role grants enough, and nothing else.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use kube::api::DynamicObject;
use serde_json::Value;
use still_leading_testbed::history::terms;
use still_leading_testbed::{Fleet, FleetOptions, Verb, manifests};

use crate::fixture::{Fixture, LONG};
use crate::observe::wait_for_successor;
use crate::promise::{promise, promise_within};

/// How many refusals show that a variant needs a verb.
const REFUSALS: usize = 3;

/// Enough for [`REFUSALS`] of what a variant does once in eleven seconds.
const RARELY: Duration = Duration::from_secs(240);

pub async fn the_role_lacks_nothing_and_every_verb_of_it_is_needed(fixture: Fixture) -> Result<()> {
    let shipped = manifests::parse(&std::fs::read_to_string(fixture.variant.install_yaml())?)?;
    let verbs = verbs(&shipped);
    promise!(!verbs.is_empty(), "the Role grants nothing");

    let (fleet, leader) = fixture.led_fleet().await?;
    fleet.replica(leader).terminate()?;
    promise_within(fleet.replica(leader).wait(LONG), "the leader did not end").await?;
    wait_for_successor(&fleet, leader, LONG).await?;
    for index in 0..fleet.len() {
        let refused: Vec<_> = fleet.proxy(index).requests().into_iter().filter(|it| it.status == Some(403)).collect();
        promise!(refused.is_empty(), "the Role lacks what was asked for: {refused:?}");
    }
    drop(fleet);

    // Side by side, since each mostly waits.
    try_join_all(verbs.iter().map(|verb| is_needed(&fixture, &shipped, verb))).await.map(drop)
}

async fn is_needed(fixture: &Fixture, shipped: &[DynamicObject], verb: &str) -> Result<()> {
    let manifests = Some(without(shipped, verb));
    let fleet = Fleet::start(fixture.server()?, FleetOptions { manifests, ..fixture.options() }).await?;
    let refused = |index: usize| {
        let requests = fleet.proxy(index).requests();
        requests.iter().filter(|it| it.verb.name() == verb && it.status == Some(403)).count()
    };
    for index in 0..fleet.len() {
        let wait = fleet.history().wait_for(RARELY, |_| (refused(index) >= REFUSALS).then_some(()));
        let needless = format!("replica {index} hardly asked for {verb}, so the Role need not grant it");
        promise_within(wait, needless).await?;
    }
    // A replica that cannot watch may poll. That is an election too, but a worse one. Without any other verb there is none.
    if ![Verb::Watch.name(), Verb::List.name()].contains(&verb) {
        let led = terms(&fleet.history().events());
        promise!(led.is_empty(), "{} led without {verb}\n{}", led[0].replica, fleet.history().table());
        return Ok(());
    }
    let leader = promise_within(fleet.wait_for_leader(LONG), format!("nobody led without {verb}")).await?;
    for index in (0..fleet.len()).filter(|index| *index != leader) {
        let gets = || fleet.proxy(index).counts().get(&Verb::Get).copied().unwrap_or(0);
        // It polls: the number of its reads grows while the leader acts.
        let before = gets();
        let asking = fleet.history().wait_for(RARELY, |_| (gets() >= before + REFUSALS).then_some(()));
        promise_within(asking, format!("replica {index} neither watches nor asks without {verb}")).await?;
    }
    Ok(())
}

fn is_role(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == "Role")
}

/// Returns all verbs that the rules of all Roles grant, each once.
pub fn verbs(objects: &[DynamicObject]) -> Vec<String> {
    let rules = objects.iter().filter(|it| is_role(it)).filter_map(|role| role.data["rules"].as_array()).flatten();
    let mut verbs: Vec<String> = Vec::new();
    for verb in rules.filter_map(|rule| rule["verbs"].as_array()).flatten().filter_map(Value::as_str) {
        if !verbs.iter().any(|known| known == verb) {
            verbs.push(verb.to_owned());
        }
    }
    verbs
}

/// Returns the same objects without `verb`. A rule that has no other verb is removed, since the API server would refuse it.
pub fn without(objects: &[DynamicObject], verb: &str) -> Vec<DynamicObject> {
    let mut objects = objects.to_vec();
    for role in objects.iter_mut().filter(|object| is_role(object)) {
        let Some(rules) = role.data["rules"].as_array_mut() else { continue };
        for rule in rules.iter_mut() {
            if let Some(verbs) = rule["verbs"].as_array_mut() {
                verbs.retain(|it| it != verb);
            }
        }
        rules.retain(|rule| rule["verbs"].as_array().is_some_and(|verbs| !verbs.is_empty()));
    }
    objects
}
