//! As many replicas as there are asked for, and one of them leads.

use anyhow::Result;

use super::Found;
use crate::e2e::ground::{Ground, REPLICAS};

pub(super) async fn ready(ground: &Ground<'_>) -> Result<Found> {
    ground.ready(REPLICAS).await?;
    let mut nodes: Vec<String> = ground.pods().into_iter().map(|pod| pod.node).collect();
    nodes.sort();
    nodes.dedup();
    let on = if nodes.len() == 1 { "one node".to_owned() } else { format!("{} nodes", nodes.len()) };
    Ok(Found::said(format!("{REPLICAS} replicas Ready on {on}")))
}

pub(super) async fn leader(ground: &Ground<'_>) -> Result<Found> {
    let leader = ground.leader().await?;
    Ok(Found::said(format!("{} leads, by the logs alone and by the Lease too", leader.name)))
}

pub(super) async fn scale(ground: &Ground<'_>) -> Result<Found> {
    ground.calm().await?;
    for replicas in [1, 5, REPLICAS] {
        let flag = format!("--replicas={replicas}");
        ground.kubectl(&["scale", &format!("deployment/{}", ground.name), &flag]).await?;
        ground.ready(replicas).await?;
        ground.leader().await?;
    }
    Ok(Found::said(format!("one of 1, of 5 and of {REPLICAS} replicas leads after kubectl scale")))
}
