//! Copies the folder of each Rust variant, and of the example, out of this repository: all its forms compile and its own tests pass, with the
//! versions in its lock file. What it names of `crates/` stays here: a reader replaces the scaffold by an application, and
//! depends on the library. These tests also run the variants' own tests in `cargo test` at the root.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{Form, Variant, cargo, workspace};

/// What is in each such folder, and so what is copied.
const CONTENTS: [&str; 4] = ["Cargo.toml", "Cargo.lock", "README.md", "src"];
/// What is there too if the variant comes in two forms.
const EXAMPLES: &str = "examples";

/// What stays here, as the manifest of a variant names it.
const CRATES: &str = r#"path = "../../crates/"#;

macro_rules! copied_alone_each_passes {
    ($($name:ident: $variant:ident),+ $(,)?) => {
        $(#[test] fn $name() -> Result<()> { passes_elsewhere(Variant::$variant) })+

        #[test]
        fn no_rust_variant_is_left_out() {
            let all = Variant::ALL.iter().chain(Variant::EXAMPLES);
            let in_rust = all.copied().filter(|it| it.folder().join("Cargo.toml").is_file());
            assert_eq!(in_rust.collect::<Vec<_>>(), [$(Variant::$variant),+]);
        }
    };
}

copied_alone_each_passes! {
    native_passes_its_tests_when_its_folder_is_copied: Native,
    kube_leader_election_passes_its_tests_when_its_folder_is_copied: KubeLeaderElection,
    kube_coordinate_passes_its_tests_when_its_folder_is_copied: KubeCoordinate,
    kubert_passes_its_tests_when_its_folder_is_copied: Kubert,
    kube_lease_manager_passes_its_tests_when_its_folder_is_copied: KubeLeaseManager,
    k8s_controller_passes_its_tests_when_its_folder_is_copied: K8sController,
    controller_passes_its_tests_when_its_folder_is_copied: Controller,
}

fn passes_elsewhere(variant: Variant) -> Result<()> {
    let dir = TempDir::new("still-leading-copied-")?;
    // The folder keeps its name, as a reader's copy would.
    let copy = dir.path().join(variant.name());
    fs::create_dir(&copy)?;
    let examples = variant.forms().contains(&Form::AsDocumented).then_some(EXAMPLES);
    for name in CONTENTS.into_iter().chain(examples) {
        dir.copy_in(&variant.folder().join(name), &Path::new(variant.name()).join(name))?;
    }
    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    ensure!(text.contains(&format!("{CRATES}scaffold\"")), "the manifest of {variant} does not name the scaffold");
    let crates = workspace().join("crates");
    ensure!(!crates.display().to_string().contains(['"', '\\']), "{} cannot stand in a manifest", crates.display());
    fs::write(&manifest, text.replace(CRATES, &format!("path = \"{}/", crates.display())))?;

    let mut test = cargo();
    // Only targets that cargo names apart by folder, so that no executable of the original is overwritten.
    test.args(["test", "--locked", "--bins", "--examples"]).current_dir(&copy);
    // What the dependencies cost is paid once; nothing of the copy itself is worth keeping for another time.
    test.env("CARGO_TARGET_DIR", workspace().join("target")).env("CARGO_INCREMENTAL", "0");
    eprintln!("testing a copy of {variant}; its dependencies may take a minute the first time");
    let output = test.output().context("starting cargo")?;
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    ensure!(output.status.success(), "a copy of {variant} fails ({}):\n{said}", output.status);
    let own = if variant.is_example() { "test mirror::tests::" } else { "test election::tests::" };
    ensure!(said.contains(own), "the tests of a copy of {variant} did not run:\n{said}");
    Ok(())
}
