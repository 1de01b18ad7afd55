//! Who leads, from when to when, under each thing that can happen to a leader.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::Value;
use still_leading_testbed::history::{self, EXITED, Event, HARNESS, acts, overlaps, terms};
use still_leading_testbed::{Assets, ControlPlane, Fleet, FleetOptions, Mode, Timings, Verb};

use crate::ground::{Ground, LONG, TIMINGS, get, promise};

/// Waits until `replica` has acted `count` times after `since`, in monotonic nanoseconds.
async fn wait_for_acts(fleet: &Fleet, replica: usize, since: u64, count: usize) -> Result<()> {
    let name = fleet.replica(replica).name();
    let of_replica = |events: &[Event]| acts(events).iter().filter(|a| a.replica == name && a.at > since).count();
    fleet.history().wait_for(LONG, |events| (of_replica(events) >= count).then_some(())).await
}

fn last_act(fleet: &Fleet, replica: usize) -> Result<u64> {
    let name = fleet.replica(replica).name();
    let acts = acts(&fleet.history().events());
    acts.iter().rfind(|act| act.replica == name).map(|act| act.at).context("it never acted")
}

/// Nobody led beside anybody, and every line was an event.
fn check_history(fleet: &Fleet) -> Result<()> {
    let overlaps = overlaps(&terms(&fleet.history().events()));
    promise!(overlaps.is_empty(), "two led at once: {overlaps:?}\n{}", fleet.history().table());
    let malformed = fleet.history().malformed();
    promise!(malformed.is_empty(), "lines that are no events: {malformed:?}");
    let said = fleet.history().events().into_iter().filter(|event| event.replica != HARNESS && event.message != EXITED);
    for event in said {
        let identity = format!("{}_", event.replica);
        let is_whole =
            ["timestamp", "level"].iter().all(|field| event.fields.get(*field).is_some_and(Value::is_string))
                && event.fields.get("identity").and_then(Value::as_str).is_some_and(|it| it.starts_with(&identity));
        promise!(is_whole, "a line without timestamp, level or identity: {event:?}");
        let is_flat = event.fields.values().all(|value| !value.is_object() && !value.is_array());
        promise!(is_flat, "a line that is not flat: {event:?}");
    }
    Ok(())
}

pub async fn exactly_one_of_three_leads_and_ticks(ground: Ground) -> Result<()> {
    let (fleet, leader) = ground.led_fleet().await?;
    wait_for_acts(&fleet, leader, 0, 10).await?;

    let held_by = fleet.lease().await?.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    let name = fleet.replica(leader).name();
    promise!(held_by.starts_with(&format!("{name}_")), "{name} leads, but the Lease is held by {held_by:?}");
    for index in 0..fleet.len() {
        let replica = fleet.replica(index);
        fleet.wait_until_known(index, leader, LONG).await?;
        let address = replica.http_address(LONG).await?;
        for path in ["/healthz", "/readyz"] {
            let (status, body) = get(address, path).await?;
            promise!(status == 200, "{} answers {path} with {status} {body}", replica.name());
        }
        let (_, body) = get(address, "/leader").await?;
        let answer: Value = serde_json::from_str(&body)?;
        promise!(answer["leader"] == held_by.as_str(), "{} names the wrong leader: {body}", replica.name());
        promise!(answer["leading"] == (index == leader), "{} is wrong about itself: {body}", replica.name());
        let (_, metrics) = get(address, "/metrics").await?;
        let line =
            format!("leader_election_master_status{{name=\"{}\"}} {}", fleet.lease_name(), u8::from(index == leader));
        promise!(metrics.contains(&line), "{} lacks {line:?} in\n{metrics}", replica.name());
    }
    let terms = terms(&fleet.history().events());
    promise!(terms.len() == 1 && terms[0].until.is_none(), "more than one term: {terms:?}");
    check_history(&fleet)
}

pub async fn sigterm_of_the_leader_hands_over_after_its_last_act(ground: Ground) -> Result<()> {
    let (fleet, old) = ground.led_fleet().await?;
    wait_for_acts(&fleet, old, 0, 3).await?;
    fleet.replica(old).terminate()?;
    let (new, leading) = fleet.wait_for_successor(old, LONG).await?;
    let status = fleet.replica(old).wait(LONG).await?;
    promise!(status.code() == Some(0), "the old leader ended with {status}; {}", fleet.replica(old).stderr());
    wait_for_acts(&fleet, new, leading, 3).await?;

    let last = last_act(&fleet, old)?;
    promise!(last < leading, "the old leader acted after the new one led\n{}", fleet.history().table());
    let events = fleet.history().events();
    let said: Vec<&str> =
        events.iter().filter(|event| event.replica == fleet.replica(old).name()).map(|e| e.message.as_str()).collect();
    let order = ["leading", "shutting down", "leading cancelled", "stopped leading"];
    let places: Vec<_> = order.iter().map(|message| said.iter().position(|it| it == message)).collect();
    promise!(places.iter().all(Option::is_some) && places.is_sorted(), "not in the order {order:?}: {said:?}");
    // The lease was given up, not merely left to expire.
    let released = fleet
        .lease_history()
        .iter()
        .any(|state| state.at < leading && state.transitions.is_some() && state.holder.is_none());
    promise!(released, "the lease was never released: {:?}", fleet.lease_history());
    check_history(&fleet)
}

pub async fn sigkill_of_the_leader_is_survived_after_expiry_and_never_before(ground: Ground) -> Result<()> {
    let (fleet, old) = ground.led_fleet().await?;
    wait_for_acts(&fleet, old, 0, 3).await?;
    fleet.replica(old).kill()?;
    let (new, leading) = fleet.wait_for_successor(old, LONG).await?;
    wait_for_acts(&fleet, new, leading, 3).await?;

    // A standby cannot have seen the last renewal before the leader sent it.
    let requests = fleet.proxy(old).requests();
    let renewed =
        requests.iter().rfind(|it| it.verb == Verb::Update && it.status == Some(200)).context("never renewed")?;
    let earliest = renewed.at + TIMINGS.lease_duration.as_nanos() as u64;
    promise!(leading >= earliest, "took over {:?} before expiry", Duration::from_nanos(earliest - leading));
    check_history(&fleet)
}

pub async fn a_leader_stopped_beyond_its_lease_acts_not_once_more(ground: Ground) -> Result<()> {
    let (fleet, old) = ground.led_fleet().await?;
    wait_for_acts(&fleet, old, 0, 3).await?;
    fleet.replica(old).stop()?;
    let (new, leading) = fleet.wait_for_successor(old, LONG).await?;
    wait_for_acts(&fleet, new, leading, 3).await?;
    let resumed = fleet.replica(old).cont()?;
    // As long as any elector could go on without another renewal, told by the acts of the one that leads.
    let acts_meanwhile = (TIMINGS.renew_deadline.as_millis() / crate::ground::TICK.as_millis()) as usize + 10;
    wait_for_acts(&fleet, new, resumed, acts_meanwhile).await?;

    let name = fleet.replica(old).name();
    let acts = acts(&fleet.history().events());
    let late = acts.iter().filter(|act| act.replica == name && act.at > resumed).count();
    promise!(late == 0, "{name} acted {late} times after it was resumed, while another led");
    Ok(())
}

pub async fn sigterm_of_a_standby_changes_nothing(ground: Ground) -> Result<()> {
    let (fleet, leader) = ground.led_fleet().await?;
    wait_for_acts(&fleet, leader, 0, 3).await?;
    let standby = (leader + 1) % fleet.len();
    let at = fleet.replica(standby).terminate()?;
    let status = fleet.replica(standby).wait(LONG).await?;
    promise!(status.code() == Some(0), "the standby ended with {status}; {}", fleet.replica(standby).stderr());
    wait_for_acts(&fleet, leader, at, 20).await?;

    let terms = terms(&fleet.history().events());
    promise!(terms.len() == 1 && terms[0].until.is_none(), "the leader changed\n{}", fleet.history().table());
    let holders = fleet.lease_history();
    let holder = fleet.lease().await?.spec.and_then(|spec| spec.holder_identity);
    let after = holders.iter().filter(|state| state.at > at);
    promise!(after.clone().all(|state| state.holder == holder), "the Lease changed hands: {holders:?}");
    check_history(&fleet)
}

pub async fn a_leader_cut_off_stops_before_a_successor_starts(ground: Ground) -> Result<()> {
    let (fleet, old) = ground.led_fleet().await?;
    wait_for_acts(&fleet, old, 0, 3).await?;
    fleet.proxy(old).set_mode(Mode::Cut);
    let (new, leading) = fleet.wait_for_successor(old, LONG).await?;
    wait_for_acts(&fleet, new, leading, 3).await?;
    promise!(last_act(&fleet, old)? < leading, "it acted beside its successor\n{}", fleet.history().table());

    // Healed, it stands by: it learns who leads, and the successor goes on.
    fleet.proxy(old).set_mode(Mode::Pass);
    fleet.wait_until_known(old, new, LONG).await?;
    wait_for_acts(&fleet, new, history::now(), 3).await?;
    check_history(&fleet)
}

pub async fn a_restart_of_the_api_server_makes_no_second_leader(ground: Ground) -> Result<()> {
    // Its own: the other cases need theirs.
    let control_plane = ControlPlane::start(&Assets::find()?).await?;
    // Long enough for a leader to outlast the restart, which takes four seconds when the machine is quiet.
    let timings = Timings {
        lease_duration: Duration::from_secs(20),
        renew_deadline: Duration::from_secs(15),
        retry_period: Duration::from_secs(1),
    };
    let fleet = Fleet::start(&control_plane, FleetOptions { timings, ..ground.options() }).await?;
    let leader = fleet.wait_for_leader(LONG).await?;
    wait_for_acts(&fleet, leader, 0, 3).await?;
    control_plane.stop_api_server().await?;
    control_plane.start_api_server().await?;
    let up = history::now();

    // Somebody renews on the restarted server, and whoever it is acts on.
    let renewed = |fleet: &Fleet| {
        (0..fleet.len()).any(|index| {
            let requests = fleet.proxy(index).requests();
            requests.iter().any(|it| it.at > up && it.verb == Verb::Update && it.status == Some(200))
        })
    };
    fleet.history().wait_for(LONG, |_| renewed(&fleet).then_some(())).await?;
    let leader = fleet.wait_for_leader(LONG).await?;
    wait_for_acts(&fleet, leader, history::now(), 10).await?;
    check_history(&fleet)
}

pub async fn a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader(ground: Ground) -> Result<()> {
    let (fleet, old) = ground.led_fleet().await?;
    wait_for_acts(&fleet, old, 0, 3).await?;
    // As somebody does who deletes everything and applies it again.
    fleet.proxy(old).set_mode(Mode::Cut);
    let leases: Api<Lease> = Api::namespaced(fleet.client().clone(), fleet.namespace());
    leases.delete(fleet.lease_name(), &DeleteParams::default()).await?;
    let mut empty = Lease::default();
    empty.metadata.name = Some(fleet.lease_name().to_owned());
    leases.create(&PostParams::default(), &empty).await?;

    let (new, leading) = fleet.wait_for_successor(old, LONG).await?;
    wait_for_acts(&fleet, new, leading, 3).await?;
    check_history(&fleet)
}
