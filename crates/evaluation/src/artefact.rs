//! Measures a variant as an artefact: what it depends on, how long it builds, what one copies and what it may do. What it
//! weighs is in [`footprint`](crate::footprint).

mod build;
mod packages;
mod tools;

pub use build::{Built, Pace, build};
pub use tools::{commit, is_go, measured};

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use still_leading_testbed::{Variant, manifests, workspace};

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
    let mut package = if is_go(variant) { packages::of_go(&folder)? } else { packages::of_cargo(&folder, name)? };
    if is_native {
        // Not published: its version is this repository.
        package.version = None;
    }
    let root = if is_native { workspace().join("crates").join(LIBRARY) } else { folder.clone() };
    let mut lines = BTreeMap::new();
    for file in if is_native { sources(&root.join("src"))? } else { vec![template(&root)?] } {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        lines.insert(name, count_lines(&file)?);
    }
    let example = folder.join("examples/as_documented.rs");
    let lines_as_documented = example.is_file().then(|| count_lines(&example)).transpose()?;
    let manifest = variant.install_yaml();
    let yaml = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    Ok(Still { package, lines, lines_as_documented, rules: rules(&yaml)? })
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

/// The lines of a file that are neither blank nor comment nor test.
fn count_lines(file: &Path) -> Result<usize> {
    Ok(count(&fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?))
}

/// A comment is a line that begins with `//`, as all do here and in what gofmt and rustfmt leave. Tests come last in a
/// file.
fn count(source: &str) -> usize {
    let code = source.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]");
    code.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

/// The rules of every Role in an install manifest.
fn rules(yaml: &str) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for object in manifests::parse(yaml)? {
        if object.types.as_ref().is_some_and(|types| types.kind == "Role") {
            let granted = object.data["rules"].as_array().context("a Role has no rules")?;
            rules.extend(granted.iter().map(rule));
        }
    }
    if rules.is_empty() {
        bail!("the manifest has no Role");
    }
    Ok(rules)
}

fn rule(rule: &Value) -> Rule {
    let list = |key: &str| {
        let values = rule[key].as_array().map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    Rule { resources: list("resources"), verbs: list("verbs"), by_name: !list("resourceNames").is_empty() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "
kind: Role
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: x}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, patch], resourceNames: [x]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
---
kind: ServiceAccount
apiVersion: v1
metadata: {name: x}
";

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

    #[test]
    fn blank_lines_comments_and_tests_do_not_count() {
        let source = "//! What it is.\n\nuse std::fmt; // Counts.\n\n/// Doc.\nfn f() {\n    // Why.\n}\n";
        assert_eq!(count(source), 3);
        assert_eq!(count(&format!("{source}\n#[cfg(test)]\nmod tests {{\n    fn g() {{}}\n}}\n")), 3);
        assert_eq!(count("package main\n\n// Doc.\nfunc f() {}\n"), 2);
    }

    #[test]
    fn each_rule_tells_its_verbs_and_whether_it_holds_for_one_name_only() {
        let leases = vec!["leases".to_owned()];
        let by_name = Rule { resources: leases.clone(), verbs: vec!["get".into(), "patch".into()], by_name: true };
        let create = Rule { resources: leases, verbs: vec!["create".into()], by_name: false };
        assert_eq!(rules(ROLE).unwrap(), [by_name, create]);
    }

    #[test]
    fn a_manifest_without_a_role_is_an_error_not_no_rights() {
        assert!(rules("{kind: ServiceAccount, apiVersion: v1, metadata: {name: x}}").is_err());
    }
}
