//! A rolling restart.

use anyhow::Result;

use super::Found;
use crate::e2e::ground::Ground;
use crate::e2e::record::figure;
use crate::e2e::{judge, now};

pub(super) async fn rollout(ground: &Ground<'_>) -> Result<Found> {
    ground.calm().await?;
    let deployment = format!("deployment/{}", ground.name);
    let from = ground.kubectl(&["rollout", "restart", &deployment]).await?;
    ground.kubectl(&["rollout", "status", &deployment, "--timeout=240s"]).await?;
    // The last one to be replaced may have led.
    ground.calm().await?;
    let (terms, until) = (ground.terms(), now());
    let changes = judge::changes(&terms, from, until);
    let gap = judge::longest_gap(&terms, from, until) as f64 / 1e9;
    let times = if changes == 1 { "once" } else { &format!("{changes} times") };
    let said =
        format!("the leader changed {times}, with nobody leading for {gap:.2} s at most, in a kubectl rollout restart");
    Ok(Found::said(said).with(figure::CHANGES, vec![changes as f64]).with(figure::GAP, vec![gap]))
}
