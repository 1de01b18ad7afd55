//! Follows `docs/in-your-own-repository.md` in an empty folder, in each of its two ways: the result builds, has the reader's
//! name everywhere, is deployed as native is, and hands over.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use still_leading_repository_tests::follow::follow;
use still_leading_repository_tests::page;
use still_leading_repository_tests::replica::Replica;
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{ApiServer, ServerKind, manifests, workspace};

const PAGE: &str = "in-your-own-repository.md";
const NAME: &str = "my-controller";
/// What no object and no file of the reader is called.
const OURS: &str = "still-leading";
/// The headings of sections that exclude each other begin with this.
const WAY: &str = "Way ";

/// Both ways lead to executables of one name, in one target directory.
static BUILDING: Mutex<()> = Mutex::new(());

/// What one way of the page leads to.
struct Followed {
    folder: PathBuf,
    program: PathBuf,
}

/// Follows the page in `dir`, of its ways this one.
fn follow_the_page(dir: &TempDir, way: &str) -> Result<Followed> {
    let _alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    symlink(workspace(), dir.path().join(OURS))?;
    let mut at = dir.path().to_owned();
    eprintln!("building what {way} of the page leads to; its dependencies may take a minute the first time");
    let blocks = page::read(PAGE)?;
    ensure!(blocks.iter().any(|block| block.section.starts_with(way)), "the page has no {way}");
    let taken = blocks.iter().filter(|it| !it.section.starts_with(WAY) || it.section.starts_with(way));
    for block in taken {
        follow(block, &mut at)?;
    }
    ensure!(at.ends_with(NAME), "the page leads to {}", at.display());
    let program = dir.path().join("program");
    fs::copy(workspace().join("target/debug").join(NAME), &program).context("taking the executable")?;
    Ok(Followed { folder: at, program })
}

/// Every file below `folder` that still has our name in it. The library keeps its name: in its own folder, in the lock file,
/// and in the line of the manifest that depends on it.
fn with_our_name(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.ends_with("crates/still-leading") || path.ends_with("Cargo.lock") {
            continue;
        }
        let names = |line: &str| line.contains(OURS) && !line.starts_with("still-leading = {");
        if path.is_dir() {
            found.extend(with_our_name(&path)?);
        } else if fs::read_to_string(&path)?.lines().any(names) {
            found.push(path);
        }
    }
    Ok(found)
}

/// The objects of a manifest in the form in which the page's and the kit's are equal: in order of their kinds, without the
/// labels that only the kit has, and without the switch that only our demo has.
fn comparable(yaml: &str) -> Result<Vec<Value>> {
    let objects = manifests::parse(yaml)?;
    let mut objects = objects.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    for object in &mut objects {
        drop_labels(object);
        if let Some(labels) = object.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove("app.kubernetes.io/name");
        }
        if object.pointer("/metadata/labels").is_some_and(|labels| labels == &serde_json::json!({})) {
            object["metadata"].as_object_mut().and_then(|metadata| metadata.remove("labels"));
        }
        if let Some(env) = object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut) {
            env.retain(|it| it["name"] != "ENABLE_LEADER_ELECTION");
        }
    }
    objects.sort_by_key(|object| object["kind"].to_string());
    Ok(objects)
}

fn drop_labels(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !["app.kubernetes.io/instance", "app.kubernetes.io/part-of"].contains(&name.as_str())
            });
            fields.values_mut().for_each(drop_labels);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_labels),
        _ => {}
    }
}

async fn leads_to_a_controller_that_hands_over(way: &str) -> Result<()> {
    let dir = TempDir::new("still-leading-own-")?;
    let Followed { folder, program } = follow_the_page(&dir, way)?;
    assert_eq!(with_our_name(&folder)?, Vec::<PathBuf>::new());

    let server = ApiServer::start(ServerKind::Embedded).await?;
    let objects = manifests::parse(&fs::read_to_string(folder.join("deploy/my-controller.yaml"))?)?;
    let lease = objects.into_iter().filter(|it| it.types.as_ref().is_some_and(|types| types.kind == "Lease"));
    manifests::apply(&server.client()?, &lease.collect::<Vec<_>>(), NAME).await?;
    let kubeconfig = server.admin_kubeconfig(dir.path(), NAME)?;
    let start = |name| Replica::start(&program, NAME, name, &kubeconfig, dir.path());
    let first = start("first")?;
    first.wait_for("still leading").await?;
    let second = start("second")?;
    second.wait_for("new leader").await?;
    first.terminate().await?;
    second.wait_for("still leading").await
}

#[tokio::test(flavor = "multi_thread")]
async fn depending_on_the_library_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over("Way A").await
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_the_library_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over("Way B").await
}

#[test]
fn no_way_is_left_out() -> Result<()> {
    let blocks = page::read(PAGE)?;
    let mut ways: Vec<_> = blocks.iter().filter_map(|block| block.section.strip_prefix(WAY)).collect();
    ways.dedup();
    assert_eq!(ways, ["A: depend on it", "B: copy it"]);
    Ok(())
}

#[test]
fn the_objects_of_the_page_are_those_of_native_under_another_name() -> Result<()> {
    let native = fs::read_to_string(workspace().join("deploy/install-native.yaml"))?;
    let native = comparable(&native.replace("still-leading-native", NAME).replace(OURS, NAME))?;
    let file = "# deploy/my-controller.yaml\n";
    let blocks = page::read(PAGE)?;
    let block = blocks.iter().find(|block| block.text.starts_with(file)).context("the page has no manifests")?;
    let own = comparable(&block.text)?;
    for (own, native) in own.iter().zip(&native) {
        assert_eq!(own, native);
    }
    assert_eq!(own.len(), native.len());
    Ok(())
}
