//! What the example writes for others: each source has a copy with the newest data, whoever leads, and the epoch of a copy
//! never goes back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use still_leading_testbed::Timings;
use tokio::time::{Instant, sleep};

use super::node::{AFTER_THE_THAW, PAST_THE_LEASE, on_a_worker, sleep_until};
use crate::e2e::faults::NodeFault;
use crate::e2e::fixture::{BOUND, Fixture};
use crate::e2e::found::Found;
use crate::e2e::record::figure;
use crate::e2e::{Stop, now, seconds};

const SOURCES: usize = 10;
const SOURCE: &str = "still-leading.dev/mirror=true";
const COPY: &str = "still-leading.dev/guarded=true";
const EPOCH: &str = "still-leading.dev/epoch";
const LOOK_PERIOD: Duration = Duration::from_millis(200);

pub(super) async fn mirror(fixture: &Fixture<'_>) -> Result<Found> {
    let maps = Api::namespaced(fixture.cluster.client.clone(), &fixture.name);
    let mut mirror = Mirror { maps, round: 0, epochs: BTreeMap::new() };
    fixture.calm().await?;
    let mut took = vec![mirror.next_round().await?];
    let first = mirror.epochs.clone();

    let leader = fixture.leader().await?;
    let at = fixture.kubectl(&["delete", "pod", &leader.name, "--force", "--grace-period=0"]).await?;
    // While nobody leads, or the successor has just begun.
    took.push(mirror.next_round().await?);
    fixture.successor(&leader, at).await?;
    mirror.all_are_of_a_later_term(&first)?;

    let frozen = match on_a_worker(fixture, 0).await {
        Ok(leader) => {
            took.push(frozen_leader(fixture, &mut mirror, &leader.node).await?);
            "deleted and frozen"
        }
        Err(error) if matches!(error.downcast_ref(), Some(Stop::NotTried(_))) => "deleted",
        Err(error) => return Err(error),
    };
    fixture.calm().await?;
    mirror.clean_up(fixture).await?;
    let said =
        format!("{SOURCES} sources and their copies agree each time with the leader {frozen}; no epoch went back");
    Ok(Found::said(said).with(figure::COPIED, took))
}

/// Sources change while it is frozen, and once more when it goes on.
async fn frozen_leader(fixture: &Fixture<'_>, mirror: &mut Mirror, node: &str) -> Result<f64> {
    let before = mirror.epochs.clone();
    let frozen = NodeFault::Frozen(node.to_owned());
    let at = fixture.inject(&frozen).await?;
    let took = mirror.next_round().await?;
    mirror.all_are_of_a_later_term(&before)?;
    sleep_until(at, Timings::default().lease_duration + PAST_THE_LEASE).await;
    fixture.heal(&frozen).await?;
    mirror.next_round().await?;
    let end = Instant::now() + AFTER_THE_THAW;
    while Instant::now() < end {
        mirror.agrees().await?;
        sleep(LOOK_PERIOD).await;
    }
    if !mirror.agrees().await? {
        return Err(Stop::Broken("a copy has old data after the former leader went on".to_owned()).into());
    }
    Ok(took)
}

struct Mirror {
    maps: Api<ConfigMap>,
    round: usize,
    /// The highest seen of each copy.
    epochs: BTreeMap<String, u64>,
}

impl Mirror {
    /// Changes all sources, and returns how many seconds it took until all copies had that.
    async fn next_round(&mut self) -> Result<f64> {
        self.round += 1;
        let from = now();
        for number in 0..SOURCES {
            let name = format!("e2e-{number}");
            let (label, value) = SOURCE.split_once('=').unwrap_or_default();
            let source = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {label: value}},
                "data": {"round": self.round.to_string()},
            });
            let applied = self.maps.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(source)).await;
            applied.with_context(|| format!("applying ConfigMap {name}"))?;
        }
        let deadline = Instant::now() + BOUND;
        while !self.agrees().await? {
            if Instant::now() > deadline {
                let said = format!("not every source has a copy of its round {} after {BOUND:?}", self.round);
                return Err(Stop::Broken(said).into());
            }
            sleep(LOOK_PERIOD).await;
        }
        Ok(seconds(from, now()))
    }

    /// Whether every copy is there and has the newest data.
    async fn agrees(&mut self) -> Result<bool> {
        // One answer that fails to come is no reason to give up: the node of the API server is busy as well.
        let Ok(copies) = self.maps.list(&ListParams::default().labels(COPY)).await else { return Ok(false) };
        look(&mut self.epochs, &copies.items).map_err(Stop::Broken)?;
        let round = self.round.to_string();
        let newest = copies.iter().filter(|copy| copy.data.iter().flatten().eq([(&"round".to_owned(), &round)]));
        Ok(newest.count() == SOURCES && copies.items.len() == SOURCES)
    }

    fn all_are_of_a_later_term(&self, before: &BTreeMap<String, u64>) -> Result<()> {
        let same = before.iter().find(|(name, epoch)| self.epochs.get(*name).is_none_or(|now| now <= epoch));
        match same {
            Some((name, epoch)) => {
                Err(Stop::Broken(format!("{name} still has epoch {epoch}, though another one leads")).into())
            }
            None => Ok(()),
        }
    }

    /// The garbage collector removes the copies.
    async fn clean_up(&self, fixture: &Fixture<'_>) -> Result<()> {
        fixture.kubectl(&["delete", "configmap", "--selector", SOURCE]).await?;
        let deadline = Instant::now() + BOUND;
        while !self.maps.list(&ListParams::default().labels(COPY)).await.context("listing copies")?.items.is_empty() {
            if Instant::now() > deadline {
                return Err(Stop::Broken(format!("copies outlive their sources by {BOUND:?}")).into());
            }
            sleep(LOOK_PERIOD).await;
        }
        Ok(())
    }
}

/// Notes the epoch of each copy, or returns which one has none or went back.
fn look(epochs: &mut BTreeMap<String, u64>, copies: &[ConfigMap]) -> Result<(), String> {
    for copy in copies {
        let name = copy.name_any();
        let epoch = copy.annotations().get(EPOCH).and_then(|epoch| epoch.parse().ok());
        let Some(epoch) = epoch else { return Err(format!("{name} has no epoch")) };
        let before = epochs.insert(name.clone(), epoch).unwrap_or_default();
        if epoch < before {
            return Err(format!("THE EPOCH of {name} WENT BACK from {before} to {epoch}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(epoch: &str) -> ConfigMap {
        let mut copy = ConfigMap::default();
        copy.metadata.name = Some("a".to_owned());
        copy.annotations_mut().insert(EPOCH.to_owned(), epoch.to_owned());
        copy
    }

    #[test]
    fn an_epoch_may_stay_and_grow_but_not_go_back_or_be_missing() {
        let mut epochs = BTreeMap::new();
        for epoch in ["999", "999", "1000"] {
            assert_eq!(look(&mut epochs, &[copy(epoch)]), Ok(()));
        }
        assert_eq!(look(&mut epochs, &[copy("x")]), Err("a has no epoch".to_owned()));
        let back = "THE EPOCH of a WENT BACK from 1000 to 999".to_owned();
        assert_eq!(look(&mut epochs, &[copy("999")]), Err(back));
    }
}
