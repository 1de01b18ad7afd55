//! Who leads and from when to when, as replicas come, end and are frozen.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use still_leading_testbed::history::judge::{acts, stale_acts, terms};
use still_leading_testbed::{Fleet, Mode, history};

use crate::fixture::{Fixture, LONG, TICK};
use crate::observe::{check_history, expiry, get, last_act, wait_for_acts, wait_for_successor, wait_until_ok};
use crate::promise::{promise, promise_within};

pub async fn exactly_one_of_three_leads_and_ticks(fixture: Fixture) -> Result<()> {
    // All at once, on the Lease as it is shipped, since most can go wrong then.
    let fleet = Fleet::start(fixture.server()?, fixture.options()).await?;
    let acting = fleet.history().wait_for(LONG, |events| (acts(events).len() >= 10).then_some(()));
    promise_within(acting, "nobody led and acted").await?;
    undisputed(&fleet)?;
    let leader = promise_within(fleet.wait_for_leader(LONG), "nobody led").await?;

    let held_by = fleet.lease().await?.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    let name = fleet.replica(leader).name();
    promise!(held_by.starts_with(&format!("{name}_")), "{name} leads, but the Lease is held by {held_by:?}");
    for index in 0..fleet.len() {
        let replica = fleet.replica(index);
        for path in ["/healthz", "/readyz"] {
            wait_until_ok(replica, path).await?;
        }
        let (_, body) = get(replica, "/leader").await?;
        let answer: Value = serde_json::from_str(&body)?;
        promise!(answer["leading"] == (index == leader), "{} is wrong about itself: {body}", replica.name());
        let (_, metrics) = get(replica, "/metrics").await?;
        for (metric, value) in [("enabled", true), ("master_status", index == leader)] {
            let line = format!("leader_election_{metric}{{name=\"{}\"}} {}", fleet.lease_name(), u8::from(value));
            promise!(metrics.contains(&line), "{} lacks {line:?} in\n{metrics}", replica.name());
        }
    }
    undisputed(&fleet)?;
    check_history(&fleet)
}

/// Checks that there was one term, and that it goes on.
fn undisputed(fleet: &Fleet) -> Result<()> {
    let terms = terms(&fleet.history().events());
    let is_one = terms.len() == 1 && terms[0].until.is_none();
    promise!(is_one, "there were {} terms, not one that goes on\n{}", terms.len(), fleet.history().table());
    Ok(())
}

pub async fn every_replica_names_the_leader(fixture: Fixture) -> Result<()> {
    // Learning the leader takes a retry period where the crate reports it at all, so no case has to wait for long.
    const TOLD_BOUND: Duration = Duration::from_secs(20);
    let (fleet, leader) = fixture.led_fleet().await?;
    let held_by = fleet.lease().await?.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    for index in 0..fleet.len() {
        let replica = fleet.replica(index);
        let known = fleet.wait_until_known(index, leader, TOLD_BOUND);
        promise_within(known, format!("{} does not say who leads", replica.name())).await?;
        let (_, body) = get(replica, "/leader").await?;
        let answer: Value = serde_json::from_str(&body)?;
        promise!(answer["leader"] == held_by.as_str(), "{} names the wrong leader: {body}", replica.name());
    }
    check_history(&fleet)
}

pub async fn sigterm_of_the_leader_hands_over_after_its_last_act(fixture: Fixture) -> Result<()> {
    let (fleet, old) = fixture.led_fleet().await?;
    let asked = fleet.replica(old).terminate()?;
    let (new, leading) = wait_for_successor(&fleet, old, LONG).await?;
    let status = promise_within(fleet.replica(old).wait(LONG), "the old leader did not end").await?;
    promise!(status.code() == Some(0), "the old leader ended with {status}; {}", fleet.replica(old).stderr());
    wait_for_acts(&fleet, new, leading, 3).await?;

    let last = last_act(&fleet, old)?;
    promise!(last < leading, "the old leader acted after the new one led\n{}", fleet.history().table());
    let events = fleet.history().events();
    let said: Vec<&str> =
        events.iter().filter(|event| event.replica == fleet.replica(old).name()).map(|e| e.message.as_str()).collect();
    let order = ["leading", "leading cancelled", "stopped leading"];
    let places: Vec<_> = order.iter().map(|message| said.iter().position(|it| it == message)).collect();
    promise!(places.iter().all(Option::is_some) && places.is_sorted(), "not in the order {order:?}: {said:?}");
    // A signal is acted on before it is logged, so its line may come after the first consequences.
    promise!(said.contains(&"shutting down"), "the signal was not logged: {said:?}");
    // The lease was released and did not just expire: a replica that finds it expired may empty it too.
    let expired = expiry(&fleet, old, fixture.timings().lease_duration)?;
    let history = fleet.lease_history();
    let released = history
        .iter()
        .filter(|state| state.holder.is_none() && state.transitions.is_some())
        .any(|state| (asked..leading.min(expired)).contains(&state.at));
    promise!(released, "the lease was never released\n{history:?}");
    check_history(&fleet)
}

pub async fn sigkill_of_the_leader_is_survived_after_expiry_and_never_before(fixture: Fixture) -> Result<()> {
    let (fleet, old) = fixture.led_fleet().await?;
    fleet.replica(old).kill()?;
    let (new, leading) = wait_for_successor(&fleet, old, LONG).await?;
    wait_for_acts(&fleet, new, leading, 3).await?;

    let earliest = expiry(&fleet, old, fixture.timings().lease_duration)?;
    let early = Duration::from_nanos(earliest.saturating_sub(leading));
    promise!(early.is_zero(), "took over {early:?} before expiry\n{}", fleet.history().table());
    check_history(&fleet)
}

pub async fn a_leader_stopped_beyond_its_lease_acts_not_once_more(fixture: Fixture) -> Result<()> {
    let (fleet, old) = fixture.led_fleet().await?;
    fleet.replica(old).stop()?;
    let (new, leading) = wait_for_successor(&fleet, old, LONG).await?;
    wait_for_acts(&fleet, new, leading, 3).await?;
    // Cut off as it is resumed, so that it has only its own clock, and no answer that might come just in time.
    fleet.proxy(old).set_mode(Mode::Cut);
    let resumed = fleet.replica(old).cont()?;
    // As long as any elector could lead without another renewal. The acts of the present leader measure that time.
    let acts_meanwhile = (fixture.timings().renew_deadline.as_millis() / TICK.as_millis()) as usize + 10;
    wait_for_acts(&fleet, new, resumed, acts_meanwhile).await?;
    fleet.proxy(old).set_mode(Mode::Pass);
    wait_for_acts(&fleet, new, history::now(), 10).await?;

    let name = fleet.replica(old).name();
    let stale = stale_acts(&fleet.history().events());
    let late = stale.iter().filter(|act| act.replica == name && act.at > resumed).count();
    let table = fleet.history().table();
    promise!(late == 0, "acts of {name} after it was resumed, while another led: {late}\n{table}");
    Ok(())
}

pub async fn sigterm_of_a_standby_changes_nothing(fixture: Fixture) -> Result<()> {
    let (fleet, leader) = fixture.led_fleet().await?;
    let standby = (leader + 1) % fleet.len();
    let at = fleet.replica(standby).terminate()?;
    let status = promise_within(fleet.replica(standby).wait(LONG), "the standby did not end").await?;
    promise!(status.code() == Some(0), "the standby ended with {status}; {}", fleet.replica(standby).stderr());
    wait_for_acts(&fleet, leader, at, 20).await?;

    let terms = terms(&fleet.history().events());
    promise!(terms.len() == 1 && terms[0].until.is_none(), "the leader changed\n{}", fleet.history().table());
    let holders = fleet.lease_history();
    let holder = fleet.lease().await?.spec.and_then(|spec| spec.holder_identity);
    let after = holders.iter().filter(|state| state.at > at);
    promise!(after.clone().all(|state| state.holder == holder), "the Lease changed hands\n{holders:?}");
    check_history(&fleet)
}
