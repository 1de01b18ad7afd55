//! What persons do to sources and copies while a trial runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Error, ResourceExt};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::judge::COPY;
use super::watch::KEY;

/// Sources with smaller numbers are for what is done once.
const RESERVED: usize = 16;

/// What is done besides changing one source after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Changes,
    /// All sources at once, instead of one after the other.
    AllAtOnce,
    /// Every fifth time a source is made.
    ChangesAndNew,
    /// Sources are made and deleted; a copy is edited, and another deleted.
    All,
}

/// What persons did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The versions of copies that they wrote.
    pub(super) by_hand: BTreeSet<u64>,
}

/// Edits until it is told to stop.
pub(super) struct Editing {
    stop: CancellationToken,
    task: JoinHandle<Result<Done>>,
}

/// The name of a source.
pub(super) fn name(number: usize) -> String {
    format!("source-{number:04}")
}

/// A source.
pub(super) fn source(name: &str, value: &str) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some([("still-leading.dev/mirror".to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, data: Some(BTreeMap::from([(KEY.to_owned(), value.to_owned())])), ..ConfigMap::default() }
}

impl Editing {
    /// Changes one of `sources` sources after each pause.
    pub(super) fn start(objects: Api<ConfigMap>, sources: usize, kind: Kind, pause: Duration) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(edit(objects, sources, kind, pause, stop.clone()));
        Self { stop, task }
    }

    /// Ends it.
    pub(super) async fn stop(self) -> Result<Done> {
        self.stop.cancel();
        self.task.await.context("editing")?
    }
}

async fn edit(
    objects: Api<ConfigMap>,
    sources: usize,
    kind: Kind,
    pause: Duration,
    stop: CancellationToken,
) -> Result<Done> {
    let mut done = Done::default();
    let first = if kind == Kind::All { RESERVED } else { 0 };
    let mut step = 0;
    // Whatever is done once is done within the first 60 steps.
    while !stop.is_cancelled() || (kind == Kind::All && step < 60) {
        // 37 has no divisor in common with the counts that trials use, so each source has its turn.
        let changed = first + step * 37 % (sources - first);
        let value = format!("step {step}");
        change(&objects, &name(changed), &value).await?;
        match kind {
            Kind::AllAtOnce => {
                let all = (0..sources).map(name);
                let (objects, value) = (&objects, &value);
                try_join_all(all.map(|name| async move { change(objects, &name, value).await })).await?;
            }
            Kind::ChangesAndNew if step % 5 == 0 => create(&objects).await?,
            Kind::All => once(&objects, step, &mut done).await?,
            Kind::Changes | Kind::ChangesAndNew => {}
        }
        step += 1;
        sleep(pause).await;
    }
    Ok(done)
}

async fn once(objects: &Api<ConfigMap>, step: usize, done: &mut Done) -> Result<()> {
    match step {
        // Eight sources are made and eight deleted, one after the other.
        4..52 if step.is_multiple_of(6) => create(objects).await,
        4..52 if step % 6 == 3 => present(objects.delete(&name(step / 6), &DeleteParams::default()).await).map(drop),
        10 | 30 | 50 => {
            let copy = format!("{}{COPY}", name(8 + step / 20));
            let written = present(change(objects, &copy, "by hand").await)?;
            done.by_hand.extend(written.and_then(|copy| copy.resource_version()).and_then(|it| it.parse::<u64>().ok()));
            Ok(())
        }
        11 | 31 | 51 => {
            let copy = format!("{}{COPY}", name(12 + step / 20));
            present(objects.delete(&copy, &DeleteParams::default()).await).map(drop)
        }
        _ => Ok(()),
    }
}

async fn create(objects: &Api<ConfigMap>) -> Result<()> {
    let mut new = source("", "new");
    (new.metadata.name, new.metadata.generate_name) = (None, Some("new-".to_owned()));
    objects.create(&PostParams::default(), &new).await.map(drop).context("making a source")
}

async fn change(objects: &Api<ConfigMap>, name: &str, value: &str) -> Result<ConfigMap, Error> {
    let patch = Patch::Merge(json!({"data": {KEY: value}}));
    objects.patch(name, &PatchParams::default(), &patch).await
}

/// A copy may not exist at the moment.
fn present<T>(result: Result<T, Error>) -> Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}
