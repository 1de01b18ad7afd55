//! What happens when somebody else writes into the Lease while a replica leads: another elector, or an operator with `kubectl
//! edit`.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use still_leading_testbed::history::Event;
use still_leading_testbed::history::judge::{Verdict, no_overlap};
use still_leading_testbed::{Fleet, Variant, history, manifests};
use tokio::time::sleep;

use crate::fixture::{Fixture, LONG};
use crate::observe::{check_history, wait_for_acts, wait_for_acts_of_anybody, wait_for_successor};
use crate::promise::{promise, promise_within};

/// Another elector writes once without a precondition.
pub async fn a_stolen_lease_ends_the_term_and_is_led_again_after_the_thief(fixture: Fixture) -> Result<()> {
    let (fleet, old) = fixture.led_fleet().await?;
    let stolen = history::now();
    write(&fleet, claim_of("thief_1", fixture.timings().lease_duration.as_secs())).await?;
    wait_until_stopped(&fleet, old, stolen).await?;
    wait_for_acts_of_anybody(&fleet, history::now(), 5).await?;
    check_history(&fleet)
}

/// If somebody empties the holder of a live claim, a standby leads at once, before the leader can know. The leader has to find
/// out soon.
pub async fn an_emptied_holder_leaves_two_leaders_for_less_than_half_a_renew_deadline(fixture: Fixture) -> Result<()> {
    let (fleet, _) = fixture.led_fleet().await?;
    write(&fleet, json!({"holderIdentity": ""})).await?;
    // By then the winner has confirmed it, and the loser has noticed.
    sleep(fixture.timings().lease_duration).await;
    wait_for_acts_of_anybody(&fleet, history::now(), 5).await?;
    let events = fleet.history().events();
    let seen_until = events.last().map_or(0, |event| event.at);
    if let Verdict::Violated(overlaps) = no_overlap(&events) {
        let lengths = overlaps.iter().map(|it| it.until.unwrap_or(seen_until).saturating_sub(it.from));
        let longest = Duration::from_nanos(lengths.max().unwrap_or(0));
        let bound = fixture.timings().renew_deadline / 2;
        promise!(longest < bound, "two led at once for {longest:.3?}\n{}", fleet.history().table());
    }
    Ok(())
}

pub async fn a_count_of_transitions_at_its_end_hinders_nobody(fixture: Fixture) -> Result<()> {
    /// Longer than the slowest variant takes, which lets the Lease expire and waits some more. Not longer than that, since half
    /// of the variants are waited for in vain.
    const SUCCESSOR_BOUND: Duration = Duration::from_secs(25);
    let (fleet, old) = fixture.led_fleet().await?;
    write(&fleet, json!({"leaseTransitions": i32::MAX})).await?;
    let asked = fleet.replica(old).terminate()?;
    let (new, leading) = wait_for_successor(&fleet, old, SUCCESSOR_BOUND).await?;
    promise!(leading > asked, "it had a successor before it was asked to stop");
    wait_for_acts(&fleet, new, leading, 3).await?;
    let status = promise_within(fleet.replica(old).wait(LONG), "the old leader did not end").await?;
    promise!(status.code() == Some(0), "the old leader ended with {status}; {}", fleet.replica(old).stderr());
    check_history(&fleet)
}

/// Eleven days. Nobody has to lead before they are over, unless an operator deletes the Lease and applies it again.
pub async fn a_holder_that_asked_for_eleven_days_and_vanished_is_got_rid_of_by_hand(fixture: Fixture) -> Result<()> {
    let (fleet, old) = fixture.led_fleet().await?;
    let claimed = history::now();
    write(&fleet, claim_of("gone_1", 1_000_000)).await?;
    wait_until_stopped(&fleet, old, claimed).await?;

    let deleted = delete_the_lease_and_apply_it_again(&fleet, fixture.variant).await?;
    wait_for_acts_of_anybody(&fleet, deleted, 5).await?;
    check_history(&fleet)
}

/// Applies the Lease again where the variant ships one. Otherwise a replica creates it. Returns when it was deleted.
pub async fn delete_the_lease_and_apply_it_again(fleet: &Fleet, variant: Variant) -> Result<u64> {
    let shipped = manifests::parse(&std::fs::read_to_string(variant.install_yaml())?)?;
    let leases: Api<Lease> = Api::namespaced(fleet.client().clone(), fleet.namespace());
    leases.delete(fleet.lease_name(), &DeleteParams::default()).await?;
    let deleted = history::now();
    if shipped.iter().any(|object| object.types.as_ref().is_some_and(|it| it.kind == "Lease")) {
        let mut empty = Lease::default();
        empty.metadata.name = Some(fleet.lease_name().to_owned());
        match leases.create(&PostParams::default(), &empty).await {
            // A standby may have been faster.
            Err(kube::Error::Api(answer)) if answer.reason == "AlreadyExists" => {}
            created => drop(created?),
        }
    }
    Ok(deleted)
}

fn claim_of(holder: &str, seconds: u64) -> Value {
    let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": now, "acquireTime": now})
}

/// Writes into the Lease, although another replica may hold it.
async fn write(fleet: &Fleet, spec: Value) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(fleet.client().clone(), fleet.namespace());
    let patch = Patch::Merge(json!({"spec": spec}));
    leases.patch(fleet.lease_name(), &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn wait_until_stopped(fleet: &Fleet, replica: usize, since: u64) -> Result<()> {
    /// With a lease duration of 5 s, a leader that has not noticed by then never does.
    const BOUND: Duration = Duration::from_secs(30);
    let name = fleet.replica(replica).name();
    let stopped = fleet.history().wait_for(BOUND, |events| {
        let stops = |it: &&Event| it.replica == name && it.at > since && it.message == "stopped leading";
        events.iter().find(stops).map(|_| ())
    });
    promise_within(stopped, format!("{name} leads on under the name of another holder")).await
}
