//! Finds the sources that the variants are built from, and the versions that their lock files name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;
use still_leading_testbed::workspace;
use toml::Table;

use crate::data::Source;

pub fn folder(app: &str) -> PathBuf {
    workspace().join("apps").join(app)
}

/// Checks that the lock file of the variant names the version that the data has.
///
/// # Errors
/// The versions differ, or the lock file cannot be read.
pub fn check_version(source: &Source) -> Result<()> {
    let file = folder(&source.app).join(if source.module.is_some() { "go.mod" } else { "Cargo.lock" });
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let locked = match &source.module {
        Some(module) => required(&text, module).into_iter().collect(),
        None => locked(&text, &source.name)?,
    };
    compare_versions(source, &locked)
}

/// Checks that the version of the data is among those that are `locked`.
///
/// # Errors
/// It is not.
pub fn compare_versions(source: &Source, locked: &[String]) -> Result<()> {
    let is_locked = locked.contains(&source.version);
    let now = if locked.is_empty() { "no version".to_owned() } else { locked.join(" and ") };
    ensure!(
        is_locked,
        "citations.toml cites {source}, but apps/{} locks {now}: correct the lines that are stale in the documents and in \
         citations.toml, then the version there",
        source.app
    );
    Ok(())
}

/// The versions of a crate in a Cargo.lock.
///
/// # Errors
/// The text is not TOML.
pub fn locked(text: &str, name: &str) -> Result<Vec<String>> {
    let lock: Table = text.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(|packages| packages.as_array()).into_iter().flatten();
    let is_named = packages.filter(|package| package.get("name").and_then(|it| it.as_str()) == Some(name));
    Ok(is_named.filter_map(|package| Some(package.get("version")?.as_str()?.to_owned())).collect())
}

/// The version of a module in a go.mod.
pub fn required(text: &str, module: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word == "require");
        (words.next() == Some(module)).then(|| words.next().map(str::to_owned))?
    })
}

/// The folders of the sources of one variant that builds with cargo, by name and version, as its lock file chooses them.
///
/// # Errors
/// Cargo cannot read the lock file or bring the sources.
pub fn of_crates(app: &str) -> Result<BTreeMap<(String, String), PathBuf>> {
    // This brings the sources if they are not here.
    let options = vec!["--locked".to_owned()];
    let metadata = MetadataCommand::new().manifest_path(folder(app).join("Cargo.toml")).other_options(options).exec();
    let packages = metadata.with_context(|| format!("the sources that apps/{app} is built from"))?.packages;
    let folder = |manifest: &Path| manifest.parent().map(Path::to_owned).unwrap_or_default();
    let source = |package: &cargo_metadata::Package| {
        let key = (package.name.to_string(), package.version.to_string());
        (key, folder(package.manifest_path.as_std_path()))
    };
    Ok(packages.iter().map(source).collect())
}

/// The folder of a crate: of the version in the data, or else of the one that is locked instead.
///
/// # Errors
/// The variant does not need the crate, or needs it in several other versions.
pub fn find<'a>(folders: &'a BTreeMap<(String, String), PathBuf>, source: &Source) -> Result<&'a PathBuf> {
    let of_name: Vec<_> = folders.iter().filter(|((name, _), _)| *name == source.name).collect();
    let of_version = of_name.iter().find(|((_, version), _)| *version == source.version);
    match (of_version, &of_name[..]) {
        (Some((_, folder)), _) | (None, [(_, folder)]) => Ok(folder),
        (None, []) => bail!("apps/{} needs no {}", source.app, source.name),
        (None, several) => bail!("apps/{} needs {} in {} other versions", source.app, source.name, several.len()),
    }
}

/// The folder of a Go module, as the go.mod of the variant chooses it.
///
/// # Errors
/// Go is not installed, or the module is not here and cannot be downloaded.
pub fn of_module(app: &str, module: &str) -> Result<PathBuf> {
    let list = ["list", "-m", "-f", "{{.Dir}}", module];
    let mut place = go(app, &list)?;
    if place.is_empty() {
        go(app, &["mod", "download", module])?;
        place = go(app, &list)?;
    }
    ensure!(!place.is_empty(), "go knows no source of {module}");
    Ok(place.into())
}

fn go(app: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("go");
    let output = command.args(arguments).current_dir(folder(app)).stdin(Stdio::null()).output();
    let output = output.context("Go is not installed (https://go.dev/dl)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "go {}: {}", arguments.join(" "), complaint.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
