//! The variants are listed in many places, which nothing but this holds together.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use still_leading_testbed::{Variant, workspace};

use crate::findings::Findings;
use crate::overlay::Overlay;

/// What the name of an image, a namespace and nearly everything else of a variant begins with.
pub const PREFIX: &str = "still-leading-";
/// The page whose table has every variant.
pub const CHOOSING: &str = "docs/choosing.md";
const OVERLAYS: &str = "deploy/overlays/";
/// The profile of all variants.
const EVERYTHING: &str = "all";
const PROFILES: &str = "the profiles of skaffold.yaml";

/// The contents of files other than Kubernetes' own.
pub struct Sources {
    pub skaffold: Value,
    pub kind_config: Value,
    pub choosing: String,
    pub justfile: String,
    /// Folders and files that are called like variants, by where they are.
    pub called: Vec<(&'static str, BTreeSet<String>)>,
}

impl Sources {
    pub fn read() -> Result<Self> {
        let root = workspace();
        let read =
            |file: &str| fs::read_to_string(root.join(file)).with_context(|| format!("reading {file} at the root"));
        let yaml = |file: &str| serde_saphyr::from_str(&read(file)?).with_context(|| format!("parsing {file}"));
        let installing = names_in(&root.join("deploy"), |name| {
            Some(name.strip_prefix("install-")?.strip_suffix(".yaml")?.to_owned())
        })?;
        // Beside the variants stands a page about them.
        let folders =
            |folder: &str| names_in(&root.join(folder), |name| (name != "README.md").then(|| name.to_owned()));
        Ok(Self {
            skaffold: yaml("skaffold.yaml")?,
            kind_config: yaml("kind-config.yaml")?,
            choosing: read(CHOOSING)?,
            justfile: read("Justfile")?,
            called: vec![
                ("the folders in apps/", folders("apps")?),
                ("the folders in deploy/overlays/", folders("deploy/overlays")?),
                ("the files deploy/install-*.yaml", installing),
            ],
        })
    }
}

/// What a folder has, as far as it is called like a variant or whatever else is looked for.
pub fn names_in(folder: &Path, variant: impl Fn(&str) -> Option<String>) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("looking into {}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter_map(|name| variant(&name)).collect())
}

/// Every list has the same variants, and each of what is deployed the example as well.
pub fn look_at_lists(sources: &Sources) -> Findings {
    let mut findings = Findings::default();
    let variants: BTreeSet<String> = Variant::ALL.iter().map(|variant| variant.name().to_owned()).collect();
    let overlays: BTreeSet<String> = Overlay::all().map(|overlay| overlay.name().to_owned()).collect();
    let everything = profile(&sources.skaffold, EVERYTHING);
    let profiles = strings(&sources.skaffold["profiles"], "/name").into_iter().filter(|name| name != EVERYTHING);
    let images = strings(&everything["build"]["artifacts"], "/image");
    let paths = strings(&everything["manifests"]["kustomize"]["paths"], "");
    let mut lists = sources.called.clone();
    lists.extend([
        (PROFILES, profiles.collect()),
        ("the images of its profile all", without(PREFIX, images)),
        ("the paths of its profile all", without(OVERLAYS, paths)),
        ("the table of docs/choosing.md", in_the_table(&sources.choosing)),
    ]);
    for (what, list) in lists {
        let is_of_overlays = what.contains("deploy/") || what == PROFILES;
        findings.equal(what, list, if is_of_overlays { overlays.clone() } else { variants.clone() });
    }
    let default = sources.skaffold["build"]["artifacts"][0]["image"].as_str().unwrap_or_default();
    let default = default.strip_prefix(PREFIX).unwrap_or_default();
    findings.equal("what skaffold runs without a profile", default, Variant::ALL[0].name());
    // Recipes take the variant as an argument.
    for line in sources.justfile.lines().filter(|line| line.contains("VARIANT=")) {
        let is_default = line.contains(&format!("VARIANT=\"{default}\""));
        findings.require(is_default, format!("the Justfile has another default than skaffold.yaml: {line}"));
    }
    findings
}

/// Each profile builds and deploys what it is called after, and nothing else.
pub fn look_at_skaffold(sources: &Sources) -> Findings {
    let (mut findings, skaffold) = (Findings::default(), &sources.skaffold);
    for overlay in Overlay::all() {
        let profile = profile(skaffold, overlay.name());
        let wanted = json!({
            "name": overlay.name(),
            "build": {"artifacts": [artifact(overlay)]},
            "manifests": {"kustomize": {"paths": [format!("{OVERLAYS}{overlay}")]}},
        });
        findings.equal(&format!("the profile {overlay}"), profile, &wanted);
    }
    let default = profile(skaffold, Variant::ALL[0].name());
    findings.equal("what is built without a profile", &skaffold["build"]["artifacts"], &default["build"]["artifacts"]);
    findings.equal("what is deployed without a profile", &skaffold["manifests"], &default["manifests"]);
    let everything = profile(skaffold, EVERYTHING);
    let artifacts: Vec<Value> = Variant::ALL.iter().map(|variant| artifact(Overlay::Variant(*variant))).collect();
    findings.equal("what the profile all builds", &everything["build"], &json!({"artifacts": artifacts}));
    let dockerfiles = Overlay::all().map(|overlay| context(overlay).unwrap_or_default() + "Dockerfile");
    for dockerfile in dockerfiles.collect::<BTreeSet<_>>() {
        findings.require(workspace().join(&dockerfile).is_file(), format!("there is no {dockerfile}"));
    }

    let deploy = &skaffold["deploy"];
    let cluster = format!("kind-{}", sources.kind_config["name"].as_str().unwrap_or_default());
    findings.equal("deploy.kubeContext", deploy["kubeContext"].as_str(), Some(&cluster));
    findings.equal("deploy.logs.prefix", deploy["logs"]["prefix"].as_str(), Some("podAndContainer"));
    findings
}

/// How skaffold is to build what an overlay deploys.
fn artifact(overlay: Overlay) -> Value {
    let image = format!("{PREFIX}{overlay}");
    match context(overlay) {
        Some(folder) => {
            let context = folder.trim_end_matches('/');
            json!({"image": image, "context": context, "docker": {"dockerfile": "Dockerfile"}})
        }
        None => json!({"image": image, "docker": {"buildArgs": overlay.build_arguments()}}),
    }
}

/// The folder of a variant that has a Dockerfile of its own: what is not built by cargo.
fn context(overlay: Overlay) -> Option<String> {
    let Overlay::Variant(variant) = overlay else { return None };
    (!variant.folder().join("Cargo.toml").is_file()).then(|| format!("apps/{variant}/"))
}

fn profile<'a>(skaffold: &'a Value, name: &str) -> &'a Value {
    let profiles = skaffold["profiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    profiles.iter().find(|profile| profile["name"] == name).unwrap_or(&Value::Null)
}

/// What is at `pointer` in each item of a list.
fn strings(list: &Value, pointer: &str) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.pointer(pointer)?.as_str().map(str::to_owned)).collect()
}

/// What does not begin with the prefix stays as it is, to be found.
fn without(prefix: &str, names: Vec<String>) -> BTreeSet<String> {
    names.into_iter().map(|name| name.strip_prefix(prefix).unwrap_or(&name).to_owned()).collect()
}

/// The variants whose row begins with a link to their README.
fn in_the_table(choosing: &str) -> BTreeSet<String> {
    let rows = choosing.lines().filter_map(|line| line.strip_prefix("| [")?.split_once("](../apps/"));
    rows.filter_map(|(_, link)| Some(link.split_once("/README.md)")?.0.to_owned())).collect()
}
