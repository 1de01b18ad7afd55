//! How the replica is replaced, and what that costs.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::sleep;

use super::action::Action;
use super::record::Row;
use super::setting::{Choice, Setting};
use super::trial::{Cost, cost, settled};
use crate::e2e::faults::NodeFault;
use crate::e2e::fixture::Fixture;
use crate::e2e::pod::Pod;

/// How long a node is lost: longer than the API server waits for it (some 50 s), a toleration (30 s) and a new pod's start.
const LOST: Duration = Duration::from_secs(120);

impl Action {
    /// How often it is tried, of `trials`.
    fn times(self, trials: usize) -> usize {
        if self == Self::Lost { 1 } else { trials }
    }

    pub(super) async fn repeated(self, fixture: &Fixture<'_>, choice: Choice, trials: usize) -> Result<Row> {
        let mut row = Row::new(choice, self);
        for trial in 0..self.times(trials) {
            let old = settled(fixture, "").await?;
            fixture.pass_time(trial).await;
            row.add(self.once(fixture, choice, &old).await?);
        }
        Ok(row)
    }

    async fn once(self, fixture: &Fixture<'_>, choice: Choice, old: &Pod) -> Result<Cost> {
        let kind = if choice.setting == Setting::StatefulSet { "statefulset" } else { "deployment" };
        match self {
            Self::Rollout => {
                let from = fixture.kubectl(&["rollout", "restart", &format!("{kind}/{}", fixture.name)]).await?;
                cost(fixture, old, from).await
            }
            Self::Delete => {
                let from = fixture.kubectl(&["delete", "pod", &old.name]).await?;
                cost(fixture, old, from).await
            }
            Self::Drain => drained(fixture, old).await,
            Self::Lost => lost(fixture, old).await,
        }
    }
}

async fn drained(fixture: &Fixture<'_>, old: &Pod) -> Result<Cost> {
    let cordoned = NodeFault::Cordoned { context: fixture.cluster.target.context.clone(), node: old.node.clone() };
    fixture.cluster.active_faults.add(&cordoned);
    let selector = format!("--pod-selector=app.kubernetes.io/instance={}", fixture.name);
    let words = ["drain", &old.node, "--ignore-daemonsets", &selector, "--timeout=240s"];
    let from = fixture.kubectl(&words).await?;
    let cost = cost(fixture, old, from).await;
    fixture.heal(&cordoned).await?;
    cost
}

async fn lost(fixture: &Fixture<'_>, old: &Pod) -> Result<Cost> {
    if fixture.cluster.target.kind.is_none() {
        bail!("only the nodes of kind are containers of this machine");
    }
    let cut = NodeFault::Cut(old.node.clone());
    let from = fixture.inject(&cut).await?;
    sleep(LOST).await;
    fixture.heal(&cut).await?;
    cost(fixture, old, from).await
}
