//! Follows `docs/in-your-own-repository.md` in an empty folder, in each of its two ways and with each other variant: the
//! result builds, has the reader's name everywhere, is deployed as native is, and hands over.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use serde_json::Value;
use still_leading_repository_tests::follow::follow;
use still_leading_repository_tests::page::{self, Block};
use still_leading_repository_tests::replica::Replica;
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{ApiServer, ServerKind, Variant, manifests, workspace};

const PAGE: &str = "in-your-own-repository.md";
const NAME: &str = "my-controller";
/// What no object and no file of the reader is called.
const OURS: &str = "still-leading";
/// The headings of sections that exclude each other begin with this.
const WAY: &str = "Way ";
/// The section that is followed in place of the ways, once for each other variant.
const ANOTHER: &str = "Another variant";
/// Where that section names the variant.
const CHOICE: &str = "variant=kubert";
/// How the page with the library ends.
const BUILD: &str = "cargo build\n";

/// What a variant's connect.rs and its scaffold need, and the page's main.rs not. An election.rs that needs it does not compile
/// without.
const LEFT_OUT: [&str; 3] = ["still-leading-scaffold", "http", "tower"];

/// All that the page leads to has one name, in one target directory.
static BUILDING: Mutex<()> = Mutex::new(());

/// One way through the page.
#[derive(Clone, Copy)]
enum Route {
    /// The library, in the way whose heading begins so.
    Library(&'static str),
    /// A crate, and no library.
    Crate(Variant),
}

impl Route {
    /// Whether a reader who takes it does what this block says.
    fn takes(self, block: &Block) -> bool {
        let (is_way, is_other) = (block.section.starts_with(WAY), block.section == ANOTHER);
        match self {
            Self::Library(way) => !is_other && (!is_way || block.section.starts_with(way)),
            Self::Crate(_) => is_other || !(is_way || block.text == BUILD),
        }
    }
}

/// What one way of the page leads to.
struct Followed {
    folder: PathBuf,
    program: PathBuf,
}

/// Follows the page in `dir` along one of its routes.
fn follow_the_page(dir: &TempDir, route: Route) -> Result<Followed> {
    let _alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    symlink(workspace(), dir.path().join(OURS))?;
    let mut at = dir.path().to_owned();
    eprintln!("building what the page leads to; the dependencies may take a minute the first time");
    let mut blocks = page::read(PAGE)?;
    match route {
        Route::Library(way) => {
            ensure!(blocks.iter().any(|block| block.section.starts_with(way)), "the page has no {way}");
        }
        Route::Crate(variant) => {
            let choice = blocks.iter_mut().find(|it| it.section == ANOTHER && it.text.contains(CHOICE));
            let choice = choice.with_context(|| format!("{ANOTHER} does not say {CHOICE}"))?;
            choice.text = choice.text.replace(CHOICE, &format!("variant={variant}"));
        }
    }
    for block in blocks.iter().filter(|block| route.takes(block)) {
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

async fn leads_to_a_controller_that_hands_over(route: Route) -> Result<()> {
    let dir = TempDir::new("still-leading-own-")?;
    let Followed { folder, program } = follow_the_page(&dir, route)?;
    assert_eq!(with_our_name(&folder)?, Vec::<PathBuf>::new());

    let server = ApiServer::start(ServerKind::Embedded).await?;
    let objects = manifests::parse(&fs::read_to_string(folder.join("deploy/my-controller.yaml"))?)?;
    // The page says to leave the Lease out where the crate cannot read an empty one.
    let is_shipped = !matches!(route, Route::Crate(Variant::KubeLeaderElection));
    let is_lease = |it: &DynamicObject| it.types.as_ref().is_some_and(|types| types.kind == "Lease");
    let lease: Vec<_> = objects.into_iter().filter(|it| is_shipped && is_lease(it)).collect();
    manifests::apply(&server.client()?, &lease, NAME).await?;
    let kubeconfig = server.admin_kubeconfig(dir.path(), NAME)?;
    let start = |name| Replica::start(&program, NAME, name, &kubeconfig, dir.path());
    let first = start("first")?;
    first.wait_for("still leading").await?;
    let second = start("second")?;
    second.wait_for(if matches!(route, Route::Library(_)) { "new leader" } else { "serving http" }).await?;
    first.terminate().await?;
    second.wait_for("still leading").await
}

#[tokio::test(flavor = "multi_thread")]
async fn depending_on_the_library_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over(Route::Library("Way A")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_the_library_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over(Route::Library("Way B")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_leader_election_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over(Route::Crate(Variant::KubeLeaderElection)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_coordinate_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over(Route::Crate(Variant::KubeCoordinate)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kubert_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over(Route::Crate(Variant::Kubert)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_lease_manager_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over(Route::Crate(Variant::KubeLeaseManager)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn k8s_controller_leads_to_a_controller_that_hands_over() -> Result<()> {
    leads_to_a_controller_that_hands_over(Route::Crate(Variant::K8sController)).await
}

/// A variant that is added needs a manifest there, and a test above.
#[test]
fn every_other_variant_has_a_manifest_with_the_versions_that_were_tested() -> Result<()> {
    let own = workspace().join("docs/own");
    let manifests = fs::read_dir(&own)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut manifests: Vec<String> = manifests.collect::<Result<_>>()?;
    manifests.retain(|name| name.ends_with(".toml"));
    let others = Variant::ALL.iter().filter(|it| ![Variant::Native, Variant::ClientGo].contains(it));
    assert_eq!(manifests.len(), others.clone().count(), "{manifests:?}");
    for variant in others {
        let [tested, given] = [variant.folder().join("Cargo.toml"), own.join(format!("{variant}.toml"))].map(read);
        let (tested, given) = (tested?, given?);
        let given = dependencies(&given);
        for (name, line) in dependencies(&tested) {
            // The features of tokio are those of main.rs.
            let is_same = given.get(name) == Some(&line) || (name == "tokio" && given.contains_key(name));
            let found = given.get(name);
            assert!(
                is_same || found.is_none() && LEFT_OUT.contains(&name),
                "{variant}: {name} is {found:?}, not {line}"
            );
        }
    }
    Ok(())
}

fn read(file: PathBuf) -> Result<String> {
    fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}

/// The lines of a manifest's dependencies, by name.
fn dependencies(manifest: &str) -> BTreeMap<&str, &str> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).collect()
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
