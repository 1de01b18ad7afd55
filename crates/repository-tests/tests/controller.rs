//! Follows `docs/controller.md` in an empty folder: the result is a Controller of one's own that reconciles on the leader only,
//! and hands over. And takes other elections in place of the library's in `examples/controller`, as that page says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use still_leading_repository_tests::diff::apply;
use still_leading_repository_tests::follow::follow;
use still_leading_repository_tests::page;
use still_leading_repository_tests::replica::{BOUND, Replica};
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{ApiServer, ServerKind, Variant, cargo, manifests, workspace};
use tokio::time::{Instant, sleep};

const PAGE: &str = "controller.md";
const NAME: &str = "my-controller";
const EPOCH: &str = "example.dev/epoch";

/// Waits until the page's controller has counted the keys of `name`, and returns the epoch that wrote the count.
async fn counted(objects: &Api<ConfigMap>, name: &str, keys: &str) -> Result<u64> {
    let deadline = Instant::now() + BOUND;
    loop {
        let object = objects.get(name).await?;
        if object.annotations().get("example.dev/keys").is_some_and(|counted| counted == keys) {
            return Ok(object.annotations().get(EPOCH).context("no epoch was written")?.parse()?);
        }
        ensure!(Instant::now() < deadline, "{name} was not reconciled: {object:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn create(client: &Client, namespace: &str, name: &str, label: &str) -> Result<Api<ConfigMap>> {
    let objects: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some([(label.to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    };
    let data = Some([("a".to_owned(), "1".to_owned())].into());
    objects.create(&PostParams::default(), &ConfigMap { metadata, data, ..ConfigMap::default() }).await?;
    Ok(objects)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_leads_from_an_empty_folder_to_a_controller_that_hands_over() -> Result<()> {
    let dir = TempDir::new("still-leading-controller-")?;
    symlink(workspace(), dir.path().join("still-leading"))?;
    let mut at = dir.path().to_owned();
    eprintln!("building what docs/{PAGE} leads to; its dependencies may take a minute the first time");
    for block in page::read(PAGE)?.iter().filter(|it| it.section == "From an empty folder") {
        follow(block, &mut at)?;
    }
    ensure!(at.ends_with(NAME), "the page leads to {}", at.display());
    let program = dir.path().join("program");
    fs::copy(workspace().join("target/debug").join(NAME), &program).context("taking the executable")?;

    let server = ApiServer::start(ServerKind::Embedded).await?;
    let client = server.client()?;
    manifests::apply(&client, &manifests::parse(&lease(NAME))?, NAME).await?;
    let objects = create(&client, NAME, "one", "example.dev/count").await?;
    let kubeconfig = server.admin_kubeconfig(dir.path(), NAME)?;
    let start = |pod| Replica::start(&program, NAME, pod, &kubeconfig, dir.path());
    let first = start("first")?;
    let before = counted(&objects, "one", "1").await?;
    let second = start("second")?;
    second.wait_for("new leader").await?;
    first.terminate().await?;
    let more = serde_json::json!({"data": {"b": "2"}});
    objects.patch("one", &PatchParams::default(), &Patch::Merge(more)).await?;
    let after = counted(&objects, "one", "2").await?;
    ensure!(after > before, "a later term has epoch {after}, not more than {before}");
    second.terminate().await
}

fn lease(name: &str) -> String {
    format!("apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata:\n  name: {name}\n")
}

/// `examples/controller` with the election of another variant, built.
fn with_the_election_of(variant: Variant, dir: &TempDir) -> Result<PathBuf> {
    let example = Variant::Controller.folder();
    for name in ["Cargo.toml", "Cargo.lock", "src"] {
        dir.copy_in(&example.join(name), Path::new(name))?;
    }
    for file in ["src/election.rs", "src/connect.rs"] {
        let text = fs::read_to_string(variant.folder().join(file))?.replace("\n#[cfg(test)]\nmod tests;\n", "");
        fs::write(dir.path().join(file), text)?;
    }
    let blocks = page::read(PAGE)?;
    let change = blocks.iter().find(|it| it.section == "With another election" && it.language == "diff");
    apply(&change.context("the page shows no change of main.rs")?.text, dir.path())?;
    let [ours, theirs] = [example, variant.folder()].map(|it| fs::read_to_string(it.join("Cargo.toml")));
    let (ours, theirs) = (ours?, theirs?);
    let missing: Vec<&str> =
        dependencies(&theirs).filter(|it| dependencies(&ours).all(|own| key(own) != key(it))).collect();
    ensure!(!missing.is_empty(), "{variant} needs nothing that the example has not");
    let crates = format!("path = \"{}/", workspace().join("crates").display());
    let manifest = ours
        .replace("[dependencies]\n", &format!("[dependencies]\n{}\n", missing.join("\n")))
        .replace("path = \"../../crates/", &crates)
        .replace("still-leading-controller", &format!("still-leading-controller-{variant}"));
    fs::write(dir.path().join("Cargo.toml"), manifest)?;
    let mut build = cargo();
    build.args(["build"]).current_dir(dir.path());
    build.env("CARGO_TARGET_DIR", workspace().join("target")).env("CARGO_INCREMENTAL", "0");
    eprintln!("building the example with the election of {variant}; its dependencies may take a minute the first time");
    let output = build.output().context("starting cargo")?;
    ensure!(output.status.success(), "{variant}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(workspace().join("target/debug").join(format!("still-leading-controller-{variant}")))
}

/// The lines of a manifest that are dependencies.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter(|line| line.contains(" = "))
}

fn key(line: &str) -> &str {
    line.split(" = ").next().unwrap_or(line)
}

async fn reconciles_with_the_election_of(variant: Variant) -> Result<()> {
    let dir = TempDir::new("still-leading-controller-with-")?;
    let program = with_the_election_of(variant, &dir)?;
    let server = ApiServer::start(ServerKind::Embedded).await?;
    let client = server.client()?;
    manifests::apply(&client, &manifests::parse(&lease(NAME))?, NAME).await?;
    let objects = create(&client, NAME, "one", "still-leading.dev/mirror").await?;
    let kubeconfig = server.admin_kubeconfig(dir.path(), NAME)?;
    let script = dir.path().join("run");
    let flags = "--enable-leader-election --listen= --lease-duration=5s --renew-deadline=3s --retry-period=1s";
    fs::write(&script, format!("#!/bin/sh\nexec {} {flags}\n", program.display()))?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let start = |pod| Replica::start(&script, NAME, pod, &kubeconfig, dir.path());
    let first = start("first")?;
    first.wait_for("action=\"created\"").await?;
    ensure!(objects.get("one-mirror").await?.data == objects.get("one").await?.data);
    let second = start("second")?;
    second.wait_for("attempting to acquire leader lease").await?;
    first.terminate().await?;
    let more = serde_json::json!({"data": {"b": "2"}});
    objects.patch("one", &PatchParams::default(), &Patch::Merge(more)).await?;
    second.wait_for("action=\"updated\"").await?;
    second.terminate().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_reconciles_with_the_election_of_k8s_controller() -> Result<()> {
    reconciles_with_the_election_of(Variant::K8sController).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_reconciles_with_the_election_of_kube_lease_manager() -> Result<()> {
    reconciles_with_the_election_of(Variant::KubeLeaseManager).await
}

#[test]
fn the_election_of_the_example_is_the_one_of_native() -> Result<()> {
    let [example, native] =
        [Variant::Controller, Variant::Native].map(|it| fs::read_to_string(it.folder().join("src/election.rs")));
    assert_eq!(example?, native?.replace("\n#[cfg(test)]\nmod tests;\n", ""));
    Ok(())
}
