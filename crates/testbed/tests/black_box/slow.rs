//! What happens when an act takes longer than the election's own times.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use still_leading_testbed::history::{EXITED, Event};
use still_leading_testbed::{Fleet, FleetOptions, Mode};

use crate::fixture::{Fixture, LONG};
use crate::observe::{check_history, last_act, wait_for_acts, wait_for_renewal, wait_for_successor};
use crate::promise::{promise, promise_within};

pub async fn work_that_drains_for_longer_than_a_renew_deadline_keeps_the_lease_until_it_has_ended(
    fixture: Fixture,
) -> Result<()> {
    let timings = fixture.timings();
    // Below the drain time-out, 20 s, and much longer than the lease lasts without a renewal.
    let act = 2 * timings.lease_duration + timings.renew_deadline;
    let (fleet, old) = acting(&fixture, act).await?;
    let asked = fleet.replica(old).terminate()?;
    let (new, leading) = wait_for_successor(&fleet, old, LONG).await?;
    let status = promise_within(fleet.replica(old).wait(LONG), "the old leader did not end").await?;
    promise!(status.code() == Some(0), "the old leader ended with {status}; {}", fleet.replica(old).stderr());
    wait_for_acts(&fleet, new, leading, 1).await?;

    let last = last_act(&fleet, old)?;
    let table = fleet.history().table();
    let drained = Duration::from_nanos(last.saturating_sub(asked));
    promise!(
        drained > timings.renew_deadline,
        "the act under way was not finished, it ended after {drained:?}\n{table}"
    );
    promise!(last < leading, "the old leader acted after the new one led\n{table}");
    check_history(&fleet)?;
    // Last, because not every crate has a release.
    let history = fleet.lease_history();
    let since = history.iter().filter(|state| (last..leading).contains(&state.at));
    let released = since.clone().any(|state| state.holder.is_none() && state.transitions.is_some());
    promise!(released, "the lease was not released after the last act\n{history:?}");
    Ok(())
}

pub async fn an_act_that_blocks_beyond_the_lease_ends_the_process_before_another_leads(fixture: Fixture) -> Result<()> {
    let act = fixture.timings().lease_duration * 6;
    let (fleet, old) = acting(&fixture, act).await?;
    fleet.proxy(old).set_mode(Mode::Cut);
    let status = promise_within(fleet.replica(old).wait(LONG), "the blocked leader did not end").await?;
    let (_, leading) = wait_for_successor(&fleet, old, LONG).await?;

    let name = fleet.replica(old).name().to_owned();
    let events = fleet.history().events();
    let table = fleet.history().table();
    promise!(status.code() == Some(1), "it ended with {status}\n{table}");
    let of_it = |message: &str| events.iter().filter(|it| it.replica == name).rfind(|it| it.message == message);
    let reason = of_it("exiting").and_then(|it| it.fields.get("reason")).and_then(Value::as_str).unwrap_or_default();
    promise!(reason.starts_with("the work did not stop within"), "its last words do not say why: {reason:?}\n{table}");
    promise!(of_it("still leading").is_none(), "the act came to its end\n{table}");
    let ended: &Event = of_it(EXITED).context("its end is not in the history")?;
    let late = Duration::from_nanos(ended.at.saturating_sub(leading));
    promise!(late.is_zero(), "it ended {late:?} after its successor led\n{table}");
    Ok(())
}

/// Starts a leader that is in the middle of its first act, and its standbys.
async fn acting(fixture: &Fixture, act: Duration) -> Result<(Fleet, usize)> {
    let args = vec!["--act-duration".to_owned(), format!("{}ms", act.as_millis())];
    let options = FleetOptions { args, ..fixture.options() };
    let server = fixture.server()?;
    let mut fleet = Fleet::start(server, FleetOptions { replicas: 1, ..options.clone() }).await?;
    let leader = promise_within(fleet.wait_for_leader(LONG), "nobody led, although one was alone").await?;
    for _ in 1..options.replicas {
        let standby = fleet.start_replica(server).await?;
        promise_within(fleet.wait_until_taking_part(standby, 0, LONG), "a standby asked for no Lease").await?;
    }
    wait_for_renewal(&fleet, leader).await?;
    Ok((fleet, leader))
}
