//! Each action on the etcd of a real control plane has its effect. Ignored where the binaries are missing.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams, VersionMatch};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use still_leading_testbed::{Assets, ControlPlane};
use tokio::time::timeout;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
const NAME: &str = "kept";

type Case = fn() -> Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = Assets::find().err();
    if let Some(reason) = missing.as_ref().filter(|_| !arguments.list) {
        eprintln!("note: the tests of etcd are ignored: {reason}");
    }
    let cases: [(&str, Case); 3] = [
        ("etcd_goes_away_and_comes_back_with_all_it_stored", restarted),
        ("a_compaction_removes_the_past_and_keeps_the_present", compacted),
        ("a_restored_backup_takes_back_what_came_after_it", restored),
    ];
    let trial = |(name, case): (&str, Case)| {
        let run = move || case().map_err(|error| Failed::from(format!("{error:#}")));
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    libtest_mimic::run(&arguments, cases.map(trial).into()).exit_code()
}

#[tokio::main]
async fn restarted() -> Result<()> {
    let (server, maps) = begin().await?;
    write(&maps, "1").await?;
    server.stop_etcd().await?;
    ensure!(server.stop_etcd().await.is_err(), "etcd was ended twice");
    let without = timeout(Duration::from_secs(2), write(&maps, "2")).await;
    ensure!(!matches!(without, Ok(Ok(_))), "something was written without etcd");
    server.start_etcd().await?;
    // A write that was on its way may have succeeded since.
    let value = value(&maps).await?;
    ensure!(value == "1" || value == "2", "etcd has forgotten: {value}");
    write(&maps, "3").await.map(drop)
}

#[tokio::main]
async fn compacted() -> Result<()> {
    let (server, maps) = begin().await?;
    let old = write(&maps, "1").await?;
    for value in ["2", "3", "4"] {
        write(&maps, value).await?;
    }
    ensure!(value_at(&maps, &old).await? == "1", "the past was not there before");
    server.compact_etcd().await?;
    // The API server has a cache of its own, which ends with it.
    server.stop_api_server().await?;
    server.start_api_server().await?;
    ensure!(value(&maps).await? == "4", "the present was lost");
    match value_at(&maps, &old).await {
        Err(kube::Error::Api(status)) if status.code == 410 => {}
        other => bail!("the past is still there: {other:?}"),
    }
    write(&maps, "5").await.map(drop)
}

#[tokio::main]
async fn restored() -> Result<()> {
    let (server, maps) = begin().await?;
    let before: u64 = write(&maps, "1").await?.parse()?;
    server.back_up().await?;
    ensure!(value(&maps).await? == "1", "a backup changes what it is of");
    let after: u64 = write(&maps, "2").await?.parse()?;
    ensure!(before < after, "versions do not grow");
    server.restore().await?;
    ensure!(value(&maps).await? == "1", "what came after the backup is still there");
    let again: u64 = write(&maps, "3").await?.parse()?;
    // After a restore, versions that somebody has seen since the backup come again.
    ensure!(again <= after + 100, "versions went on: {before}, {after}, {again}");
    Ok(())
}

async fn begin() -> Result<(ControlPlane, Api<ConfigMap>)> {
    let server = ControlPlane::start(&Assets::find()?).await?;
    let maps: Api<ConfigMap> = Api::namespaced(server.client()?, "default");
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    let created = timeout(LONG, async {
        loop {
            // The namespace `default` exists only a moment after the API server is ready.
            let map = ConfigMap { metadata: metadata.clone(), ..ConfigMap::default() };
            match maps.create(&PostParams::default(), &map).await {
                Err(kube::Error::Api(status)) if status.code == 404 => tokio::time::sleep(PAUSE).await,
                created => break created,
            }
        }
    });
    created.await.context("there is no namespace")??;
    Ok((server, maps))
}

/// Writes a value and returns the new version.
async fn write(maps: &Api<ConfigMap>, value: &str) -> Result<String> {
    let patch = Patch::Merge(json!({"data": {"value": value}}));
    let written = maps.patch(NAME, &PatchParams::default(), &patch).await?;
    written.metadata.resource_version.context("it has no version")
}

async fn value(maps: &Api<ConfigMap>) -> Result<String> {
    maps.get(NAME).await?.data.and_then(|mut data| data.remove("value")).context("it has no value")
}

/// Returns the value at a version, which only etcd can know.
async fn value_at(maps: &Api<ConfigMap>, version: &str) -> kube::Result<String> {
    let list = maps.list(&ListParams::default().at(version).matching(VersionMatch::Exact)).await?;
    let own = list.items.into_iter().find(|map| map.metadata.name.as_deref() == Some(NAME));
    Ok(own.and_then(|map| map.data?.remove("value")).unwrap_or_default())
}
