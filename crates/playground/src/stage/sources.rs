//! The work of an example: ConfigMaps that it copies, and a task that changes them.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use still_leading_testbed::Fleet;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::print::Output;

/// How many sources there are at the start.
const SOURCES: usize = 10;
/// The most sources. More would only make the lines of a failover longer.
const SOURCES_MAX: usize = 20;
/// How many changes come between two new sources, and between two deletions of a copy.
const SELDOM: usize = 12;
/// The shortest time between two changes. A person is not quicker.
const TICK_MIN: Duration = Duration::from_millis(50);
const REQUEST_BOUND: Duration = Duration::from_secs(5);

/// Changes the sources until dropped.
#[derive(Debug)]
pub struct Sources(AbortHandle);

impl Sources {
    /// Makes the sources in the fleet's namespace. Then changes one of them each `tick`, past the proxies, as a person would.
    /// Sometimes makes another source, or deletes a copy.
    ///
    /// With `all_at_once`, changes all of them each time, and nothing else. A former leader has to write before the new one does,
    /// and some of ten attempts succeed. A fence does not guard a new copy, which has no epoch yet.
    ///
    /// # Errors
    /// The API server refuses a source.
    pub async fn keep_changing(fleet: &Fleet, output: &Output, tick: Duration, all_at_once: bool) -> Result<Self> {
        let maps = Maps(Api::namespaced(Client::clone(fleet.client()), fleet.namespace()));
        for number in 0..SOURCES {
            maps.make(number).await.context("making the ConfigMaps to copy")?;
        }
        let task = tokio::spawn(keep_changing(maps, output.clone(), tick.max(TICK_MIN), all_at_once));
        Ok(Self(task.abort_handle()))
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep_changing(maps: Maps, output: Output, tick: Duration, all_at_once: bool) {
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sources = SOURCES;
    for step in 1_usize.. {
        ticks.tick().await;
        let done = if all_at_once {
            maps.change_all(sources, step).await
        } else if step.is_multiple_of(SELDOM) && sources < SOURCES_MAX {
            output.note(&format!("somebody makes {}", source(sources)));
            sources += 1;
            maps.make(sources - 1).await
        } else if step % SELDOM == SELDOM / 2 {
            let deleted = maps.delete_copy(step % sources).await;
            if deleted.as_ref().is_ok_and(|was_there| *was_there) {
                output.note(&format!("somebody deletes {}", copy(step % sources)));
            }
            deleted.map(drop)
        } else {
            maps.change(step % sources, step).await
        };
        if let Err(error) = done {
            output.note(&format!("the ConfigMaps cannot be changed: {error:#}"));
        }
    }
}

struct Maps(Api<ConfigMap>);

impl Maps {
    async fn make(&self, number: usize) -> Result<()> {
        let metadata = json!({"name": source(number), "labels": {"still-leading.dev/mirror": "true"}});
        let map = serde_json::from_value(json!({"metadata": metadata, "data": {"change": "0"}}))?;
        timeout(REQUEST_BOUND, self.0.create(&PostParams::default(), &map)).await??;
        Ok(())
    }

    async fn change(&self, number: usize, step: usize) -> Result<()> {
        let patch = Patch::Merge(json!({"data": {"change": step.to_string()}}));
        timeout(REQUEST_BOUND, self.0.patch(&source(number), &PatchParams::default(), &patch)).await??;
        Ok(())
    }

    async fn change_all(&self, sources: usize, step: usize) -> Result<()> {
        for number in 0..sources {
            self.change(number, step).await?;
        }
        Ok(())
    }

    /// Returns whether there was a copy. Before the first term there is none.
    async fn delete_copy(&self, number: usize) -> Result<bool> {
        match timeout(REQUEST_BOUND, self.0.delete(&copy(number), &DeleteParams::default())).await? {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            deleted => Ok(deleted.map(|_| true)?),
        }
    }
}

fn source(number: usize) -> String {
    format!("source-{number}")
}

/// The name of a copy, as the example makes it.
fn copy(number: usize) -> String {
    format!("source-{number}-mirror")
}
