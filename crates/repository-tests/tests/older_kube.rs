//! Makes the changes of `docs/older-kube.md` in a copy of the library: its unit tests pass with each older `kube`.
//!
//! Needs crates.io the first time, for the older `kube`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use still_leading_repository_tests::diff::apply;
use still_leading_repository_tests::page;
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{cargo, workspace};

const PAGE: &str = "older-kube.md";
const LIBRARY: &str = "crates/still-leading";
/// The same as on the page: it needs another crate of this repository.
const LEFT_BEHIND: &str = r#"still-leading-lease-api = { path = "../lease-api" }"#;

/// Copies the library, changes it as the section says, and runs its unit tests.
fn passes_with(kube: &str) -> Result<()> {
    let blocks = page::read(PAGE)?;
    let block = blocks.iter().find(|block| block.section == kube).with_context(|| format!("no section {kube}"))?;
    let dir = TempDir::new("still-leading-older-kube-")?;
    for name in ["Cargo.toml", "README.md", "src"] {
        dir.copy_in(&workspace().join(LIBRARY).join(name), Path::new(name))?;
    }
    // The versions of everything else stay those of this repository, as far as they fit.
    dir.copy_in(&workspace().join("Cargo.lock"), Path::new("Cargo.lock"))?;
    apply(&format!("--- a/Cargo.toml\n-{LEFT_BEHIND}"), dir.path())?;
    apply(&block.text, dir.path()).with_context(|| format!("docs/{PAGE} does not fit the library: correct it"))?;

    let mut test = cargo();
    test.args(["test", "--lib", "--manifest-path"]).arg(dir.path().join("Cargo.toml"));
    test.env("CARGO_TARGET_DIR", workspace().join("target")).env("CARGO_INCREMENTAL", "0");
    // As the root's profile says, so that what both need is built once.
    test.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    eprintln!("testing the library with {kube}; building it may take two minutes the first time");
    let output = test.output().context("starting cargo")?;
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    ensure!(output.status.success(), "the library fails with {kube} ({}):\n{said}", output.status);
    ensure!(said.contains("test lease::tests::"), "the unit tests did not run with {kube}:\n{said}");
    let lock = fs::read_to_string(dir.path().join("Cargo.lock"))?;
    let version = format!("name = \"kube\"\nversion = \"{}.", kube.trim_start_matches("kube "));
    ensure!(lock.contains(&version), "the copy was not built with {kube}");
    ensure!(
        lock.matches("name = \"k8s-openapi\"\n").count() == 1,
        "there are two k8s-openapi, of which one is not kube's"
    );
    Ok(())
}

#[test]
fn the_library_passes_its_unit_tests_with_kube_4() -> Result<()> {
    passes_with("kube 4")
}

#[test]
fn the_library_passes_its_unit_tests_with_kube_3() -> Result<()> {
    passes_with("kube 3")
}

#[test]
fn a_change_that_does_not_fit_is_refused_and_one_that_fits_is_made() -> Result<()> {
    let dir = TempDir::new("still-leading-older-kube-")?;
    let file = dir.path().join("a");
    fs::write(&file, "one\ntwo\nthree\nthree\n")?;
    for unfit in ["--- a/a\n-four", "--- a/a\n-three", "--- a/b\n-one", "--- a/a\n one"] {
        assert!(apply(unfit, dir.path()).is_err(), "{unfit}");
    }
    apply("--- a/a\n-one\n+eins\n+uno\n-two", dir.path())?;
    assert_eq!(fs::read_to_string(&file)?, "eins\nuno\nthree\nthree\n");
    Ok(())
}
