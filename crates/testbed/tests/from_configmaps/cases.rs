//! What happens to the Lease when leaders of either kind end, and when the ConfigMap does.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use still_leading_testbed::history::judge::acts;
use still_leading_testbed::history::now;
use still_leading_testbed::proxy::{Action, Fault, Scope};
use still_leading_testbed::{Mode, Program, Timings, Verb};

use crate::mixed::{ANNOTATION, Mixed, TIMINGS};
use crate::world::{Fixture, LONG};

/// Many times what a watch takes to show who has overwritten a Lease.
const WATCH_BOUND: Duration = Duration::from_secs(3);

/// Long enough that two looks fit into a renew deadline, with the longest pause that client-go makes of this retry period.
const LATE: Timings = Timings {
    lease_duration: Duration::from_secs(12),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

pub async fn on_sigterm_the_lease_goes_from_go_to_native_and_back(fixture: Fixture) -> Result<()> {
    let mixed = Mixed::start(&fixture, TIMINGS, 2, 2).await?;
    let fleet = &mixed.fleet;
    let first = ended(&mixed, 0).await?;
    ensure!(mixed.holder_in_configmap().await?.is_empty(), "client-go did not release the ConfigMap");
    mixed.wait_until_unknown(1).await?;

    let second = ended(&mixed, first).await?;
    mixed.wait_for_head_start(1).await?;
    let asked = mixed.end(second).await?;
    let (third, leading) = fleet.wait_for_successor(second, LONG).await?;
    ensure!(third == 1);
    // Both halves are released, so its first attempt takes them: it looks once, and once more as it writes.
    let looks = mixed.looks(1, asked).into_iter().filter(|at| *at < leading).count();
    ensure!(looks <= 3, "client-go looked {looks} times before it led\n{}", fleet.history().table());
    mixed.check()
}

/// Asks the leader to end, and returns the index of its successor, a native one that takes the Lease at once: before client-go
/// looks again.
async fn ended(mixed: &Mixed, leader: usize) -> Result<usize> {
    mixed.wait_for_head_start(1).await?;
    let asked = mixed.end(leader).await?;
    let (successor, _) = mixed.fleet.wait_for_successor(leader, LONG).await?;
    let table = mixed.fleet.history().table();
    ensure!(mixed.is_native(successor), "client-go was first\n{table}");
    let next_look = mixed.looks(1, asked).into_iter().next().unwrap_or(u64::MAX);
    let (of_native, history) = (format!("{}_", mixed.fleet.replica(successor).name()), mixed.fleet.lease_history());
    let holds = |holder: &Option<String>| holder.as_ref().is_some_and(|it| it.starts_with(&of_native));
    let at_once = history.iter().any(|it| asked < it.at && it.at < next_look && holds(&it.holder));
    ensure!(at_once, "native did not take the released Lease at once\n{table}");
    Ok(successor)
}

pub async fn on_sigkill_the_lease_goes_from_go_to_native_and_back_and_never_before_it_has_run_out(
    fixture: Fixture,
) -> Result<()> {
    let mixed = Mixed::start(&fixture, TIMINGS, 2, 2).await?;
    let first = killed(&mixed, 0).await?;
    ensure!(mixed.is_native(first), "client-go was first\n{}", mixed.fleet.history().table());
    mixed.wait_until_unknown(1).await?;
    let second = killed(&mixed, first).await?;
    ensure!(mixed.is_native(second), "client-go was first\n{}", mixed.fleet.history().table());
    let third = killed(&mixed, second).await?;
    ensure!(third == 1);
    mixed.check()
}

/// Kills the leader, and returns the index of its successor, which has not led before the Lease ran out.
async fn killed(mixed: &Mixed, leader: usize) -> Result<usize> {
    mixed.wait_for_head_start(1).await?;
    mixed.fleet.replica(leader).kill()?;
    let (successor, leading) = mixed.fleet.wait_for_successor(leader, LONG).await?;
    let expiry = mixed.expiry(leader, TIMINGS.lease_duration)?;
    ensure!(leading >= expiry, "led before the Lease had run out\n{}", mixed.fleet.history().table());
    Ok(successor)
}

pub async fn after_a_release_by_native_go_waits_for_a_lease_duration_if_the_configmap_names_somebody(
    fixture: Fixture,
) -> Result<()> {
    let mixed = Mixed::start(&fixture, TIMINGS, 2, 2).await?;
    let fleet = &mixed.fleet;
    let native = killed(&mixed, 0).await?;
    ensure!(mixed.is_native(native), "client-go was first\n{}", fleet.history().table());
    let dead = format!("{}_", fleet.replica(0).name());
    ensure!(mixed.holder_in_configmap().await?.starts_with(&dead), "the ConfigMap does not name the dead leader");
    mixed.wait_until_unknown(1).await?;

    mixed.end(mixed.other_native(native)?).await?;
    let asked = mixed.end(native).await?;
    let (next, leading) = fleet.wait_for_successor(native, LONG).await?;
    let waited = Duration::from_nanos(leading - asked);
    ensure!(next == 1 && waited >= TIMINGS.lease_duration, "led after {waited:?}\n{}", fleet.history().table());
    let history = fleet.lease_history();
    ensure!(history.iter().any(|it| it.at > asked && it.at < leading && it.holder.is_none()), "was not released");
    mixed.check()
}

/// A release leaves one second as the duration in the ConfigMap. client-go 0.26 waits for its own lease duration all the same.
pub async fn after_a_release_by_go_a_late_renewal_of_native_is_waited_for(fixture: Fixture) -> Result<()> {
    let (mixed, native, since) = renew_late(&fixture, &fixture.programs.client_go_0_26).await?;
    let fleet = &mixed.fleet;
    // Until its answer to the look shows, if it gives one.
    let looked_again = || (mixed.looks(1, since).len() > 1).then_some(());
    fleet.history().wait_for(LONG, |_| looked_again()).await?;
    mixed.wait_for_acts(native, now(), 20).await?;
    ensure!(mixed.last_term(1).is_none(), "client-go led\n{}", fleet.history().table());
    mixed.check()
}

/// Why the page says so of 0.27: it waits for what the ConfigMap says, which is one second after a release.
pub async fn client_go_0_27_overwrites_a_lease_whose_renewal_is_late(fixture: Fixture) -> Result<()> {
    let (mixed, native, _) = renew_late(&fixture, &fixture.programs.client_go_0_27).await?;
    let (next, overwritten) = mixed.fleet.wait_for_successor(native, LONG).await?;
    let expiry = mixed.expiry(native, LATE.lease_duration)?;
    ensure!(next == 1 && overwritten < expiry, "waited as it should\n{}", mixed.fleet.history().table());
    mixed.check_all_but_overlaps()
}

/// Has a native replica lead after a release by client-go, and a standby of client-go look twice with no renewal between.
/// Returns the native leader, and when its renewals began to fail. They do not any more.
async fn renew_late(fixture: &Fixture, old: &Program) -> Result<(Mixed, usize, u64)> {
    let mixed = Mixed::start_with(old, fixture, LATE, 2, 2).await?;
    let fleet = &mixed.fleet;
    mixed.wait_for_head_start(1).await?;
    mixed.end(0).await?;
    let (native, _) = fleet.wait_for_successor(0, LONG).await?;
    ensure!(mixed.is_native(native), "client-go was first\n{}", fleet.history().table());

    mixed.wait_for_head_start(1).await?;
    let since = now();
    fleet.proxy(native).set_mode(Fault::new(Action::Unavailable).on(Scope::Verbs(&[Verb::Update])));
    fleet.history().wait_for(LONG, |_| (!mixed.looks(1, since).is_empty()).then_some(())).await?;
    fleet.proxy(native).set_mode(Mode::Pass);
    Ok((mixed, native, since))
}

/// client-go writes the ConfigMap, reads the Lease anew, and writes over what it has read. Here native takes the Lease
/// between the two writes.
pub async fn go_may_overwrite_a_lease_that_native_has_just_taken_and_native_stops(fixture: Fixture) -> Result<()> {
    // client-go waits half a renew deadline for an answer.
    let [lease_duration, renew_deadline, retry_period] = [10_000, 8_000, 500].map(Duration::from_millis);
    let timings = Timings { lease_duration, renew_deadline, retry_period };
    let mixed = Mixed::start(&fixture, timings, 2, 1).await?;
    let (fleet, native) = (&mixed.fleet, 2);
    fleet.proxy(native).set_mode(Fault::new(Action::Unavailable).on(Scope::Verbs(&[Verb::Update])));
    let held = Action::Latency { fixed: LONG, jitter: Duration::ZERO };
    fleet.proxy(1).set_mode(Fault::new(held).on(Scope::Verbs(&[Verb::Update])).times(1));
    fleet.replica(0).kill()?;
    let wrote = || {
        let requests = fleet.proxy(1).requests();
        requests.iter().any(|it| it.verb == Verb::Update && it.path.contains("/configmaps/") && it.succeeded())
    };
    fleet.history().wait_for(LONG, |_| wrote().then_some(())).await?;
    fleet.proxy(native).set_mode(Mode::Pass);
    let (first, taken) = fleet.wait_for_successor(0, LONG).await?;
    ensure!(first == native);
    fleet.proxy(1).set_mode(Mode::Pass);

    let (second, overwritten) = fleet.wait_for_successor(native, LONG).await?;
    let until = || mixed.last_term(native)?.1;
    let stopped = fleet.history().wait_for(LONG, |_| until()).await?;
    let table = fleet.history().table();
    ensure!(second == 1 && overwritten < taken + lease_duration.as_nanos() as u64, "not while it was valid\n{table}");
    let holders = fleet.lease_history();
    let was_released = holders.iter().any(|it| it.at > taken && it.at < overwritten && it.holder.is_none());
    ensure!(!was_released, "native gave the Lease up by itself\n{table}");
    let both_led = Duration::from_nanos(stopped.saturating_sub(overwritten));
    println!("{}: both led for {both_led:?}", fixture.server.kind());
    ensure!(both_led < WATCH_BOUND, "native led on for {both_led:?}\n{table}");

    mixed.wait_for_acts(1, stopped, 5).await?;
    let late = acts(&fleet.history().events());
    let late = late.iter().filter(|act| act.replica == fleet.replica(native).name() && act.at > stopped).count();
    ensure!(late == 0, "native acted after that\n{}", fleet.history().table());
    mixed.check_all_but_overlaps()
}

/// Why the second step has to wait for the end of the first: native does not read the ConfigMap.
pub async fn native_leads_beside_whoever_holds_the_configmap_alone(fixture: Fixture) -> Result<()> {
    let mut mixed = Mixed::start(&fixture, TIMINGS, 1, 0).await?;
    mixed.end(0).await?;
    let now = Timestamp::now().to_string();
    let record = json!({
        "holderIdentity": "older", "leaseDurationSeconds": 8, "acquireTime": now, "renewTime": now, "leaderTransitions": 0
    });
    let patch = Patch::Merge(json!({"metadata": {"annotations": {ANNOTATION: record.to_string()}}}));
    let (maps, params) = (mixed.configmaps(), PatchParams::default());
    maps.patch(mixed.fleet.lease_name(), &params, &patch).await?;
    mixed.start_old(&fixture).await?;
    let native = mixed.fleet.start_replica(&fixture.server).await?;
    let (leader, _) = mixed.fleet.wait_for_successor(0, LONG).await?;
    ensure!(leader == native, "client-go does not honour the record\n{}", mixed.fleet.history().table());
    ensure!(mixed.holder_in_configmap().await? == "older");
    mixed.check()
}

pub async fn the_configmap_can_go_when_go_is_gone_and_go_can_come_back(fixture: Fixture) -> Result<()> {
    let mut mixed = Mixed::start(&fixture, TIMINGS, 2, 2).await?;
    mixed.end(1).await?;
    mixed.end(0).await?;
    let (leader, _) = mixed.fleet.wait_for_successor(0, LONG).await?;
    let maps = mixed.configmaps();
    maps.delete(mixed.fleet.lease_name(), &DeleteParams::default()).await?;
    mixed.wait_for_acts(leader, now(), 20).await?;
    ensure!(maps.get_opt(mixed.fleet.lease_name()).await?.is_none(), "somebody has made the ConfigMap anew");

    let back = mixed.start_old(&fixture).await?;
    mixed.wait_until_unknown(back).await?;
    mixed.wait_for_acts(leader, now(), 20).await?;
    let identity = format!("{}_", mixed.fleet.replica(back).name());
    ensure!(mixed.holder_in_configmap().await?.starts_with(&identity));
    mixed.end(mixed.other_native(leader)?).await?;
    let asked = mixed.end(leader).await?;
    let (next, leading) = mixed.fleet.wait_for_successor(leader, LONG).await?;
    let waited = Duration::from_nanos(leading - asked);
    ensure!(next == back && waited >= TIMINGS.lease_duration, "after {waited:?}\n{}", mixed.fleet.history().table());
    mixed.check()
}
