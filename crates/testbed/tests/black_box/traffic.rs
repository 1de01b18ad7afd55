//! What an election costs while nothing happens, counted by the proxies.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use still_leading_testbed::{Fleet, Verb, history};

use crate::fixture::{Fixture, LONG};
use crate::promise::{promise, promise_within};

/// How long to count: at least this many renewals, and this many retry periods. Some electors renew in each retry period, others
/// wait for several.
const RENEWALS: usize = 5;
const RETRY_PERIODS: u32 = 10;

/// Waits until everything has settled, and then for as long as requests are counted. Returns the start and end of that time.
async fn steady_state(fleet: &Fleet, leader: usize, retry_period: Duration) -> Result<(u64, u64)> {
    let renewals = |since: u64| {
        let requests = fleet.proxy(leader).requests();
        requests.iter().filter(|it| it.verb.is_write() && it.at > since).count()
    };
    // Some renewals first, counted from when all take part, since a start costs more.
    let complete = history::now();
    let settled = fleet.history().wait_for(LONG, |_| (renewals(complete) >= 2).then_some(()));
    promise_within(settled, "the leader does not renew").await?;
    let from = history::now();
    let least = from + (retry_period * RETRY_PERIODS).as_nanos() as u64;
    let seen = fleet
        .history()
        .wait_for(LONG, |_| (renewals(from) >= RENEWALS && history::now() >= least).then_some(history::now()));
    Ok((from, promise_within(seen, "the leader does not renew any more").await?))
}

fn requests(fleet: &Fleet, replica: usize, (from, to): (u64, u64)) -> Vec<Verb> {
    let requests = fleet.proxy(replica).requests();
    requests.into_iter().filter(|it| (from..=to).contains(&it.at)).map(|it| it.verb).collect()
}

/// Returns how many requests of each verb there are.
fn by_verb(sent: &[Verb]) -> String {
    let mut counts = BTreeMap::<Verb, usize>::new();
    for verb in sent {
        *counts.entry(*verb).or_default() += 1;
    }
    counts.iter().map(|(verb, count)| format!("{count} {verb}")).collect::<Vec<_>>().join(", ")
}

pub async fn a_leader_sends_one_write_per_retry_period_and_nothing_else(fixture: Fixture) -> Result<()> {
    let retry_period = fixture.timings().retry_period;
    let (fleet, leader) = fixture.led_fleet().await?;
    let (from, to) = steady_state(&fleet, leader, retry_period).await?;
    let sent = requests(&fleet, leader, (from, to));
    let periods = Duration::from_nanos(to - from).as_secs_f64() / retry_period.as_secs_f64();
    let only_writes = sent.iter().all(|verb| verb.is_write());
    promise!(only_writes, "the leader sent more than writes: {} in {periods:.1} retry periods", by_verb(&sent));
    // Never more often. A busy machine may make it less often, which proves nothing.
    promise!(sent.len() as f64 <= periods + 1.0, "{} writes in {periods:.1} retry periods", sent.len());
    Ok(())
}

pub async fn a_standby_sends_nothing_while_somebody_leads(fixture: Fixture) -> Result<()> {
    let retry_period = fixture.timings().retry_period;
    let (fleet, leader) = fixture.led_fleet().await?;
    let (from, to) = steady_state(&fleet, leader, retry_period).await?;
    let periods = Duration::from_nanos(to - from).as_secs_f64() / retry_period.as_secs_f64();
    for standby in (0..fleet.len()).filter(|index| *index != leader) {
        let sent = requests(&fleet, standby, (from, to));
        promise!(sent.is_empty(), "a standby sent {} in {periods:.1} retry periods", by_verb(&sent));
    }
    Ok(())
}
