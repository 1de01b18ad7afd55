//! The yardstick's module, from what `go` tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::output;
use crate::record::Package;

const MODULE: &str = "k8s.io/client-go";
const PACKAGES: [&str; 2] =
    ["k8s.io/client-go/tools/leaderelection", "k8s.io/client-go/tools/leaderelection/resourcelock"];

/// client-go, as the variant in `folder` uses it. Its dependencies are modules.
pub(super) fn package(folder: &Path) -> Result<Package> {
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
        released: field("Time").map(|time| super::cargo::day(&time)),
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

    #[test]
    fn a_module_counts_once_and_client_go_itself_not_at_all() {
        // The packages of Go itself have no module.
        let list = "k8s.io/klog/v2 v2.1\n\nk8s.io/klog/v2 v2.1\nk8s.io/client-go v0.37.1\nk8s.io/api v0.37.1\n";
        assert_eq!(modules(list).into_iter().collect::<Vec<_>>(), ["k8s.io/api v0.37.1", "k8s.io/klog/v2 v2.1"]);
    }
}
