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
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use still_leading_testbed::Variant;

use crate::record::{Package, Rule};

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
    let package = if is_go(variant) { golang::package(&folder)? } else { cargo::package(&folder, variant.name())? };
    let mut lines = BTreeMap::new();
    for file in copied_files(&folder)? {
        lines.insert(file.to_owned(), lines::count_in(&folder.join(file))?);
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

/// The files that a reader takes home: the template, and what only the template needs.
fn copied_files(folder: &Path) -> Result<Vec<&'static str>> {
    let candidates = ["election.go", "src/election.rs", "src/lease.rs", "src/requests.rs"];
    let files: Vec<_> = candidates.into_iter().filter(|file| folder.join(file).is_file()).collect();
    if files.is_empty() {
        bail!("there is no template in {}", folder.display());
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
