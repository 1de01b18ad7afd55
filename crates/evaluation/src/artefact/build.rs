//! Builds a variant for release, cold where the time is what matters.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{Profile, Variant};

use super::tools::{is_go, output, words};

/// How to build.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// This many times from nothing but fetched sources, one after the other.
    Cold(usize),
    /// With whatever was built before, and without taking the time.
    Warm,
}

/// An executable, which goes with this value.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub program: PathBuf,
    /// What was run.
    pub command: String,
    /// How long each cold build took.
    pub seconds: Vec<f64>,
    /// What holds the executable, if it was built for this value alone.
    _dir: Option<TempDir>,
}

/// Builds `variant`, stripped as it would be shipped.
///
/// # Errors
/// It does not build. The compiler has said why on standard error.
pub fn build(variant: Variant, pace: Pace) -> Result<Built> {
    let name = variant.full_name();
    let Pace::Cold(times) = pace else { return warm(variant, &name) };
    fetch(variant)?;
    let kept = TempDir::new("still-leading-built-")?;
    let program = kept.path().join(&name);
    let (mut seconds, mut command) = (Vec::new(), String::new());
    for number in 1..=times {
        // Inputs are the same each time, so there is nothing to choose between the executables.
        let scratch = TempDir::new("still-leading-build-")?;
        let mut build = if is_go(variant) {
            go(&variant.folder(), &program, Some(scratch.path()))
        } else {
            cargo(&variant.folder(), &name, scratch.path())
        };
        command = shown(&build, &program);
        let started = Instant::now();
        output(&mut build)?;
        let took = started.elapsed().as_secs_f64();
        eprintln!("{variant:<22} cold build {number}/{times}: {took:.1} s");
        // Tenths: more would be noise in the record.
        seconds.push((took * 10.0).round() / 10.0);
        if !is_go(variant) {
            fs::copy(scratch.path().join("release").join(&name), &program).context("taking the executable")?;
        }
    }
    Ok(Built { program, command, seconds, _dir: Some(kept) })
}

fn warm(variant: Variant, name: &str) -> Result<Built> {
    let built = |program, command, dir| Built { program, command, seconds: Vec::new(), _dir: dir };
    if !is_go(variant) {
        let program = variant.build(Profile::Release).with_context(|| format!("building {variant}"))?;
        return Ok(built(program, String::new(), None));
    }
    let kept = TempDir::new("still-leading-built-")?;
    let program = kept.path().join(name);
    let mut build = go(&variant.folder(), &program, None);
    output(&mut build)?;
    Ok(built(program, String::new(), Some(kept)))
}

/// Brings the sources here, so that the network has no part in the time.
fn fetch(variant: Variant) -> Result<()> {
    let mut fetch = if is_go(variant) {
        let mut fetch = Command::new("go");
        fetch.args(["mod", "download"]).current_dir(variant.folder());
        fetch
    } else {
        let mut fetch = plain_cargo();
        fetch.args(["fetch", "--quiet", "--locked"]).current_dir(variant.folder());
        fetch
    };
    output(&mut fetch).map(drop)
}

fn cargo(folder: &Path, name: &str, target: &Path) -> Command {
    let mut command = plain_cargo();
    command.args(["build", "--quiet", "--locked", "--release", "--bin", name]).current_dir(folder);
    command.env("CARGO_TARGET_DIR", target).stderr(Stdio::inherit());
    command
}

/// Cargo without what `cargo run` says of the package it runs.
fn plain_cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_")) {
        if name != "CARGO_HOME" {
            command.env_remove(name);
        }
    }
    command
}

fn go(folder: &Path, program: &Path, cache: Option<&Path>) -> Command {
    let mut command = Command::new("go");
    // Stripped, as the Rust variants are by their release profile.
    command.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(program).arg(".").current_dir(folder);
    command.stderr(Stdio::inherit());
    if let Some(cache) = cache {
        command.env("GOCACHE", cache);
    }
    command
}

/// A command as one would type it: without the folders that exist only while it runs.
fn shown(command: &Command, program: &Path) -> String {
    let words = words(command).replace("-ldflags=-s -w", "-ldflags='-s -w'").replace("--quiet ", "");
    let words = words.replace(&format!("-o {} ", program.display()), "");
    let tool = Path::new(command.get_program()).file_stem().unwrap_or_default().to_string_lossy();
    format!("{tool} {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_command_names_no_folder_of_this_machine() {
        let folder = Path::new("/somewhere");
        let program = folder.join("out");
        let cargo = shown(&cargo(folder, "still-leading-x", &folder.join("target")), &program);
        assert_eq!(cargo, "cargo build --locked --release --bin still-leading-x");
        let go = shown(&go(folder, &program, Some(folder)), &program);
        assert_eq!(go, "go build -trimpath -ldflags='-s -w' .");
    }
}
