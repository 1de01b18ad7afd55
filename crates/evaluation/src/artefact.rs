//! Measures a variant as an artefact: what it depends on, how long it builds, what one copies and what it may do. What it
//! weighs is in [`footprint`](crate::footprint).

mod build;
mod cargo;
mod golang;
mod lines;
mod machine;
mod rbac;

pub use build::{Built, Pace, build};
pub use machine::measured;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use still_leading_testbed::{Variant, workspace};

use crate::record::{Package, Rule};

/// The library, which native depends on as the other variants depend on their crates.
const LIBRARY: &str = "still-leading";

/// What can be told of a variant without running it.
#[derive(Clone, Debug)]
pub struct Still {
    /// Its crate.
    pub package: Package,
    /// See [`Artefact::lines`](crate::record::Artefact::lines).
    pub lines: BTreeMap<String, usize>,
    /// See [`Artefact::lines_as_documented`](crate::record::Artefact::lines_as_documented).
    pub lines_as_documented: Option<usize>,
    /// What its Role grants.
    pub rules: Vec<Rule>,
}

/// Looks at the sources, manifests and lock file of `variant`.
///
/// # Errors
/// One of them cannot be read, or a tool fails; the message says which.
pub fn examine(variant: Variant) -> Result<Still> {
    let folder = variant.folder();
    let is_native = variant == Variant::Native;
    let name = if is_native { LIBRARY } else { variant.name() };
    let package = if is_go(variant) { golang::package(&folder)? } else { cargo::package(&folder, name)? };
    let root = if is_native { workspace().join("crates").join(LIBRARY) } else { folder.clone() };
    let mut lines = BTreeMap::new();
    for file in if is_native { sources(&root.join("src"))? } else { vec![template(&root)?] } {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        lines.insert(name, lines::count_in(&file)?);
    }
    let example = folder.join("examples/as_documented.rs");
    let lines_as_documented = example.is_file().then(|| lines::count_in(&example)).transpose()?;
    let manifest = variant.install_yaml();
    let yaml = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    Ok(Still { package, lines, lines_as_documented, rules: rbac::rules(&yaml)? })
}

/// Whether it is built with Go.
#[must_use]
pub fn is_go(variant: Variant) -> bool {
    variant.folder().join("go.mod").is_file()
}

/// The one file that a reader copies of a variant that shows a crate.
fn template(folder: &Path) -> Result<PathBuf> {
    let candidates = ["election.go", "src/election.rs"].map(|file| folder.join(file));
    let file = candidates.into_iter().find(|file| file.is_file());
    file.with_context(|| format!("there is no template in {}", folder.display()))
}

/// The sources below `folder`, without the files of tests.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() { files.extend(sources(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

/// Runs `command` to its end and returns what it printed.
fn output(command: &mut Command) -> Result<String> {
    let name = format!("{} {}", command.get_program().display(), words(command));
    let output = command.output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} prints what is no text"))
}

fn words(command: &Command) -> String {
    command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_native_are_those_of_the_library_without_its_tests() {
        let files: Vec<String> = examine(Variant::Native).unwrap().lines.into_keys().collect();
        assert!(files.contains(&"src/lease.rs".to_owned()) && files.contains(&"src/lease/record.rs".to_owned()));
        assert!(!files.iter().any(|file| file.contains("tests") || file.contains("election")), "{files:?}");
    }

    #[test]
    fn the_lines_of_another_variant_are_those_of_its_template() {
        let files: Vec<String> = examine(Variant::Kubert).unwrap().lines.into_keys().collect();
        assert_eq!(files, ["src/election.rs"]);
    }
}
