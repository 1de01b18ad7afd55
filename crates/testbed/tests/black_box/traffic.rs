//! What an election costs while nothing happens, counted by the proxies.

use std::time::Duration;

use anyhow::Result;
use still_leading_testbed::{Fleet, Verb, history};

use crate::ground::{Ground, LONG, TIMINGS, promise};

/// How many renewals to look at.
const RENEWALS: usize = 20;

/// Waits for [`RENEWALS`] renewals once everything has settled; from when to when that was.
async fn steady_state(fleet: &Fleet, leader: usize) -> Result<(u64, u64)> {
    let renewals = |since: u64| {
        let requests = fleet.proxy(leader).requests();
        requests.iter().filter(|it| it.verb == Verb::Update && it.at > since).count()
    };
    // A few first: what a start costs is another matter.
    fleet.history().wait_for(LONG, |_| (renewals(0) >= 4).then_some(())).await?;
    let from = history::now();
    fleet.history().wait_for(LONG, |_| (renewals(from) >= RENEWALS).then_some(())).await?;
    Ok((from, history::now()))
}

fn requests(fleet: &Fleet, replica: usize, (from, to): (u64, u64)) -> Vec<Verb> {
    let requests = fleet.proxy(replica).requests();
    requests.into_iter().filter(|it| (from..=to).contains(&it.at)).map(|it| it.verb).collect()
}

pub async fn a_leader_sends_one_write_per_retry_period(ground: Ground) -> Result<()> {
    let (fleet, leader) = ground.led_fleet().await?;
    let (from, to) = steady_state(&fleet, leader).await?;
    let sent = requests(&fleet, leader, (from, to));
    promise!(sent.iter().all(|verb| *verb == Verb::Update), "not only writes: {sent:?}");
    // Never more often; how much less often a busy machine makes it, says nothing.
    let periods = Duration::from_nanos(to - from).as_secs_f64() / TIMINGS.retry_period.as_secs_f64();
    promise!(sent.len() as f64 <= periods + 1.0, "{} writes in {periods:.1} retry periods", sent.len());
    Ok(())
}

pub async fn a_standby_sends_nothing_while_somebody_leads(ground: Ground) -> Result<()> {
    let (fleet, leader) = ground.led_fleet().await?;
    let window = steady_state(&fleet, leader).await?;
    for standby in (0..fleet.len()).filter(|index| *index != leader) {
        let sent = requests(&fleet, standby, window);
        promise!(sent.is_empty(), "a standby sent {sent:?} during {RENEWALS} renewals");
    }
    Ok(())
}
