//! The package that does the election of a variant, from what cargo, its copy of the registry index, and `go` tell.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};
use crates_index::{HashKind, SparseIndex, sparse};
use serde_json::Value;

use super::tools::output;
use crate::record::Package;

/// What is demo in every variant, and is not copied.
const SCAFFOLD: &str = "still-leading-scaffold";

/// The crate called `name` in the application of `folder`.
///
/// Dependencies are those of this platform, with the features that the application chooses.
pub(super) fn of_cargo(folder: &Path, name: &str) -> Result<Package> {
    let options = vec!["--locked".to_owned()];
    let metadata = MetadataCommand::new().manifest_path(folder.join("Cargo.toml")).other_options(options).exec()?;
    let package = metadata.packages.iter().find(|package| package.name.as_str() == name);
    let package = package.with_context(|| format!("{} does not depend on {name}", folder.display()))?;

    // `cargo metadata` also lists optional dependencies that are only mentioned (`x?/feature`); `cargo tree` does not.
    let tree = ["tree", "--locked", "--edges=normal,build", "--prefix=depth", "--no-dedupe", "--format= {p}"];
    let tree = output(Command::new("cargo").args(tree).current_dir(folder))?;
    let tree = Tree::parse(&tree);
    let needed = tree.below(&package.name, SCAFFOLD);
    let kube: BTreeSet<&str> = tree.below("kube", SCAFFOLD).into_iter().collect();
    let version_of = |name: &str| tree.version(name).map(str::to_owned);
    let version = package.version.to_string();
    let is_normal =
        |name: &str| package.dependencies.iter().any(|dep| dep.name == name && dep.kind == DependencyKind::Normal);
    let direct =
        tree.children(&package.name).into_iter().filter(|it| is_normal(name_of(it)) && name_of(it) != SCAFFOLD);
    Ok(Package {
        name: name.to_owned(),
        released: released(name, &version),
        version: Some(version),
        licence: package.license.clone(),
        rust_version: package.rust_version.as_ref().map(|version| format!("{}.{}", version.major, version.minor)),
        kube: version_of("kube"),
        k8s_openapi: version_of("k8s-openapi"),
        direct: direct.map(str::to_owned).collect(),
        beyond_kube: Some(needed.iter().filter(|it| name_of(it) != "kube" && !kube.contains(*it)).count()),
        total: needed.len(),
    })
}

/// The day of a time in the form of RFC 3339.
fn day(time: &str) -> String {
    time.chars().take("2026-11-21".len()).collect()
}

/// When a version was released, if cargo's copy of the index tells; what it does not tell is left out, not guessed.
fn released(name: &str, version: &str) -> Option<String> {
    let index = SparseIndex::from_url_with_hash_kind(sparse::URL, &HashKind::Stable);
    let entry = index.and_then(|index| index.crate_from_cache(name));
    let entry = entry.inspect_err(|error| eprintln!("note: no release date of {name}: {error}")).ok()?;
    entry.versions().iter().find(|it| it.version() == version)?.pubtime().map(day)
}

/// What `cargo tree` prints: each package with its depth, below the one that needs it.
struct Tree<'a>(Vec<(usize, &'a str)>);

impl<'a> Tree<'a> {
    /// Lines such as `2 tokio v1.54.1`, with more to their right for packages that come from elsewhere than the registry.
    fn parse(lines: &'a str) -> Self {
        let node = |line: &'a str| {
            let (depth, package) = line.split_once(' ')?;
            let end = package.match_indices(' ').nth(1).map_or(package.len(), |(at, _)| at);
            Some((depth.parse().ok()?, &package[..end]))
        };
        Self(lines.lines().filter_map(node).collect())
    }

    fn version(&self, name: &str) -> Option<&'a str> {
        let (_, package) = self.0.iter().find(|(_, package)| name_of(package) == name)?;
        package.split_once(" v").map(|(_, version)| version)
    }

    /// What `name` needs by itself, each as `name v1.2.3`.
    fn children(&self, name: &str) -> BTreeSet<&'a str> {
        self.walk(name, None).filter(|(below, _)| *below == 1).map(|(_, package)| package).collect()
    }

    /// All that `name` needs, in order and without what only `without` needs.
    fn below(&self, name: &str, without: &str) -> BTreeSet<&'a str> {
        self.walk(name, Some(without)).map(|(_, package)| package).collect()
    }

    /// Everything below the first `name`, with its depth there. The tree shows the same below each of them.
    fn walk(&self, name: &str, without: Option<&str>) -> impl Iterator<Item = (usize, &'a str)> {
        let at = self.0.iter().position(|(_, package)| name_of(package) == name);
        let (top, rest) = at.map_or((0, &[][..]), |at| (self.0[at].0, &self.0[at + 1..]));
        let mut left_out = None;
        let inside = rest.iter().take_while(move |(depth, _)| *depth > top);
        inside.filter_map(move |(depth, package)| {
            if left_out.is_some_and(|from| *depth > from) {
                return None;
            }
            left_out = (without == Some(name_of(package))).then_some(*depth);
            left_out.is_none().then_some((depth - top, *package))
        })
    }
}

fn name_of(package: &str) -> &str {
    package.split(' ').next().unwrap_or_default()
}

const MODULE: &str = "k8s.io/client-go";
const PACKAGES: [&str; 2] =
    ["k8s.io/client-go/tools/leaderelection", "k8s.io/client-go/tools/leaderelection/resourcelock"];

/// client-go, as the variant in `folder` uses it. Its dependencies are modules.
pub(super) fn of_go(folder: &Path) -> Result<Package> {
    let go = |args: &[&str]| output(Command::new("go").args(args).current_dir(folder));
    let module: Value = serde_json::from_str(&go(&["list", "-m", "-json", MODULE])?)?;
    let field = |name: &str| module[name].as_str().map(str::to_owned);
    let dir = field("Dir").context("the sources of client-go are not here: go mod download")?;

    let list = ["list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}"];
    let modules = modules(&go(&[&list[..], &PACKAGES].concat())?);
    let manifest = field("GoMod").context("client-go has no go.mod")?;
    let required: Value = serde_json::from_str(&go(&["mod", "edit", "-json", &manifest])?)?;
    let required = required["Require"].as_array().map(Vec::as_slice).unwrap_or_default();
    let directly: BTreeSet<&str> =
        required.iter().filter(|it| it["Indirect"] != true).filter_map(|it| it["Path"].as_str()).collect();
    let direct = modules.iter().filter(|it| it.split(' ').next().is_some_and(|path| directly.contains(path)));

    let licence = fs::read_to_string(Path::new(&dir).join("LICENSE")).unwrap_or_default();
    Ok(Package {
        name: MODULE.to_owned(),
        version: field("Version"),
        licence: is_apache(&licence).then(|| "Apache-2.0".to_owned()),
        released: field("Time").map(|time| day(&time)),
        rust_version: None,
        kube: None,
        k8s_openapi: None,
        direct: direct.cloned().collect(),
        total: modules.len(),
        beyond_kube: None,
    })
}

/// The modules of a list of packages, each once, without client-go itself.
fn modules(list: &str) -> BTreeSet<String> {
    let modules = list.lines().filter(|line| !line.is_empty() && line.split(' ').next() != Some(MODULE));
    modules.map(str::to_owned).collect()
}

fn is_apache(licence: &str) -> bool {
    licence.contains("Apache License") && licence.contains("Version 2.0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use still_leading_testbed::Variant;

    const TREE: &str = "0 app v0.1.0 (/somewhere/app)
1 kube v5.0.0
2 tokio v1.54.1
2 syn v2.0.1 (proc-macro)
1 elector v0.2.0-rc.1
2 kube v5.0.0
3 tokio v1.54.1
3 syn v2.0.1 (proc-macro)
2 rand v0.9.5
1 still-leading-scaffold v0.1.0 (/somewhere/scaffold)
2 clap v4.6.7
1 anyhow v1.0.104
";

    #[test]
    fn a_package_counts_once_wherever_it_stands_below_the_crate() {
        let tree = Tree::parse(TREE);
        let below = |name| tree.below(name, SCAFFOLD).into_iter().collect::<Vec<_>>();
        assert_eq!(below("elector"), ["kube v5.0.0", "rand v0.9.5", "syn v2.0.1", "tokio v1.54.1"]);
        assert_eq!(tree.children("elector").into_iter().collect::<Vec<_>>(), ["kube v5.0.0", "rand v0.9.5"]);
        assert_eq!(below("kube"), ["syn v2.0.1", "tokio v1.54.1"]);
        assert_eq!(tree.version("elector"), Some("0.2.0-rc.1"));
        assert_eq!((tree.version("log"), below("log").len()), (None, 0));
    }

    #[test]
    fn the_scaffold_and_what_it_needs_do_not_count() {
        let tree = Tree::parse(TREE);
        let below = tree.below("app", SCAFFOLD);
        assert!(!below.iter().any(|it| it.starts_with("clap") || it.starts_with(SCAFFOLD)), "{below:?}");
        assert!(below.contains("anyhow v1.0.104"), "what comes after it does");
    }

    #[test]
    fn the_dependencies_of_native_are_those_of_the_library() {
        let package = of_cargo(&Variant::Native.folder(), "still-leading").unwrap();
        let names: Vec<&str> = package.direct.iter().map(|it| name_of(it)).collect();
        assert!(names.contains(&"kube") && names.contains(&"tokio"), "{names:?}");
        assert!(!names.contains(&"anyhow"), "the application needs it, the library does not");
        assert!(!names.contains(&"tempfile"), "what only tests need does not count");
        assert!(package.version.is_some_and(|version| version.starts_with("0.")));
        assert!(package.kube.is_some_and(|version| version.starts_with("5.")));
        assert!(package.total > 100 && package.beyond_kube.is_some_and(|count| count < 20), "{}", package.total);
    }

    #[test]
    fn a_crate_that_the_application_does_not_need_is_an_error() {
        assert!(of_cargo(&Variant::Native.folder(), "native").is_err());
    }

    #[test]
    fn a_time_is_cut_to_its_day() {
        assert_eq!(day("2025-07-12T18:30:28Z"), "2025-07-12");
    }

    #[test]
    fn a_module_counts_once_and_client_go_itself_not_at_all() {
        // The packages of Go itself have no module.
        let list = "k8s.io/klog/v2 v2.1\n\nk8s.io/klog/v2 v2.1\nk8s.io/client-go v0.37.1\nk8s.io/api v0.37.1\n";
        assert_eq!(modules(list).into_iter().collect::<Vec<_>>(), ["k8s.io/api v0.37.1", "k8s.io/klog/v2 v2.1"]);
    }
}
