//! A rolling restart.

use anyhow::{Result, bail};
use still_leading_testbed::history::judge::{Gap, Verdict, changes, no_gap};

use super::{Found, unknown};
use crate::e2e::ground::Ground;
use crate::e2e::now;
use crate::e2e::record::figure;

pub(super) async fn rollout(ground: &Ground<'_>) -> Result<Found> {
    ground.calm().await?;
    let deployment = format!("deployment/{}", ground.name);
    let from = ground.kubectl(&["rollout", "restart", &deployment]).await?;
    ground.kubectl(&["rollout", "status", &deployment, "--timeout=240s"]).await?;
    // The last one to be replaced may have led.
    ground.calm().await?;
    ground.read_up().await?;
    let (events, until) = (ground.history.events(), now());
    let changes = changes(&events, from, until);
    let gap = match no_gap(&events, from, until) {
        Verdict::Held => 0.0,
        Verdict::Violated(gaps) => gaps.iter().map(Gap::length).max().unwrap_or_default().as_secs_f64(),
        Verdict::Unknown(doubts) => bail!(unknown(&doubts)),
    };
    let times = if changes == 1 { "once" } else { &format!("{changes} times") };
    let said =
        format!("the leader changed {times}, with nobody leading for {gap:.2} s at most, in a kubectl rollout restart");
    Ok(Found::said(said).with(figure::CHANGES, vec![changes as f64]).with(figure::GAP, vec![gap]))
}
