//! One replica under each setting that is used for one, with the election and without: how long two of them lead at once, and
//! how long nobody does, while the replica is replaced.

pub mod action;
pub mod record;
mod replace;
pub mod setting;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use still_leading_testbed::{Variant, workspace};

use super::args::Args;
use super::cluster::Cluster;
use super::fixture::Fixture;
use super::skaffold::skaffold;
use action::Action;
use record::{Row, line};
use setting::{Choice, manifest};

/// The variant that is tried. What a workload replaces when does not depend on it.
const VARIANT: Variant = Variant::Native;

/// Tries each choice and gives `tell` the rows of it, which print as lines.
///
/// # Errors
/// A tool or the cluster fails. What was deployed stays then.
pub async fn run(cluster: &Cluster, args: &Args, mut tell: impl FnMut(Vec<Row>) -> Result<()>) -> Result<()> {
    let context = &cluster.target.context;
    if args.deploys() {
        println!("{VARIANT}, for its image");
        skaffold("run", VARIANT, context).await?;
    }
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), &VARIANT.full_name());
    let shipped = deployments.get(&VARIANT.full_name()).await.context("reading the Deployment of native")?;
    for choice in Choice::all() {
        println!("{choice}");
        let path = folder().join(format!("{}.yaml", choice.file_name()));
        fs::create_dir_all(folder()).with_context(|| format!("making {}", folder().display()))?;
        fs::write(&path, manifest(&shipped, choice)?).with_context(|| format!("writing {}", path.display()))?;
        let rows = tried(cluster, args, choice, &path).await.with_context(|| choice.to_string())?;
        tell(rows)?;
    }
    if args.removes() {
        skaffold("delete", VARIANT, context).await?;
        Fixture::gone(cluster, VARIANT).await?;
    }
    Ok(())
}

/// Where the manifests are, and the events of each choice.
fn folder() -> PathBuf {
    workspace().join("target/e2e/single")
}

async fn tried(cluster: &Cluster, args: &Args, choice: Choice, manifest: &Path) -> Result<Vec<Row>> {
    let fixture = Fixture::observe(cluster, VARIANT).await?;
    fixture.kubectl(&["delete", "deployment,statefulset", "--all", "--cascade=foreground"]).await?;
    fixture.ready(0).await?;
    let path = manifest.to_str().context("the path of this repository is not UTF-8")?;
    fixture.kubectl(&["apply", "--filename", path]).await?;
    trial::settled(&fixture, "").await?;
    let mut rows = Vec::new();
    for action in Action::ALL.into_iter().filter(|action| action.is_for(choice.setting)) {
        let row = action.repeated(&fixture, choice, args.trials.into()).await;
        let row = row.with_context(|| format!("{choice}, {action}"));
        // Whether it ended well or not: the next choice needs every node.
        fixture.heal_all().await.context("healing the cluster")?;
        let row = row?;
        println!("{}", line(&row));
        rows.push(row);
    }
    let events = manifest.with_extension("events.txt");
    fs::write(&events, fixture.history.table()).with_context(|| format!("writing {}", events.display()))?;
    Ok(rows)
}
