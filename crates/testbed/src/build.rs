//! Builds a variant's executable with cargo or Go, whichever its folder is for.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::assets::workspace;
use crate::variant::{Form, Variant};

/// How a Rust variant is compiled. Go has no such choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// For tests of behaviour.
    #[default]
    Debug,
    /// For measurements.
    Release,
}

/// Why there is no executable. Each displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// This machine lacks a tool. A test of this variant is ignored, with this as the reason.
    Unavailable(String),
    /// It does not build. A test of this variant fails, and the compiler's reasons are on standard error.
    Failed(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unavailable(why) | Self::Failed(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for BuildError {}

impl Variant {
    /// Builds its template, or finds it up to date, and returns the executable. Blocks.
    ///
    /// # Errors
    /// Returns a [`BuildError`], which distinguishes a missing tool from broken code.
    pub fn build(self, profile: Profile) -> Result<PathBuf, BuildError> {
        self.build_form(Form::Template, profile)
    }

    /// Builds one of its forms, as [`Variant::build`] does. Dependencies that forms share are built once.
    ///
    /// # Errors
    /// As [`Variant::build`]. A form that the variant does not have is [`BuildError::Failed`].
    pub fn build_form(self, form: Form, profile: Profile) -> Result<PathBuf, BuildError> {
        build(self, form, profile)
    }

    /// Builds its template without the gate, to measure or show what the gate prevents. Only the example `controller` has that
    /// feature, `control`. Blocks.
    ///
    /// The executable is not in the folder of [`Variant::build`]. Both have the same name, so each build would replace the
    /// other's, and a replica started later would run the wrong one.
    ///
    /// # Errors
    /// As [`Variant::build`].
    pub fn build_without_gate(self, profile: Profile) -> Result<PathBuf, BuildError> {
        let target = target_dir();
        let mut options = vec![OsString::from("--features"), "control".into(), "--target-dir".into()];
        options.push(target.join("without-gate").into());
        // Intermediate files have different names and stay shared, so that nothing else is built twice.
        let shared = Value::from(target.to_string_lossy());
        options.extend([OsString::from("--config"), format!("build.build-dir={shared}").into()]);
        build_with_cargo(&self.folder().join("Cargo.toml"), &self.full_name(), Form::Template, profile, &options)
    }

    /// Returns what this machine lacks to build it, in one line. A test of it is ignored then.
    pub fn missing_toolchain(self) -> Option<String> {
        missing_toolchain(self)
    }
}

/// Returns what this machine lacks to build a variant, as far as that shows without building. Runs in the variant's folder, so
/// that Go compares its version with go.mod.
fn missing_toolchain(variant: Variant) -> Option<String> {
    let app = variant.folder();
    if app.join("go.mod").is_file() { missing_go(&app) } else { None }
}

/// Returns what this machine lacks to build the Go module in a folder, in one line. A test of it is ignored then.
pub fn missing_go(module: &Path) -> Option<String> {
    let mut command = Command::new("go");
    command.args(["env", "GOVERSION"]).current_dir(module).stdout(Stdio::null()).stderr(Stdio::null());
    let suits = command.status().is_ok_and(|status| status.success());
    (!suits).then(|| "Go 1.26 or newer is not installed (https://go.dev/dl)".to_owned())
}

/// Builds the program of a Go module that is not a variant, with the dependencies of `modfile`, or finds it up to date. Returns
/// the executable, which is called `name`. Blocks.
///
/// # Errors
/// Returns a [`BuildError`], which distinguishes a missing tool from broken code.
pub fn go_program(module: &Path, modfile: &str, name: &str) -> Result<PathBuf, BuildError> {
    build_with_go(module, modfile, &workspace().join("target").join(name).join(name))
}

/// Builds a form of a variant, or finds it up to date, and returns the executable.
fn build(variant: Variant, form: Form, profile: Profile) -> Result<PathBuf, BuildError> {
    let app = variant.folder();
    if !variant.forms().contains(&form) {
        return Err(BuildError::Failed(format!("there is no {form} form in {}", app.display())));
    }
    let package = variant.full_name();
    if app.join("go.mod").is_file() {
        build_with_go(&app, "go.mod", &workspace().join("target").join(variant.name()).join(package))
    } else if app.join("Cargo.toml").is_file() {
        build_with_cargo(&app.join("Cargo.toml"), &package, form, profile, &[])
    } else {
        Err(BuildError::Failed(format!("there is no variant in {}", app.display())))
    }
}

/// A cargo command as a person would give it at the root of this repository, so that the repository's settings apply: all
/// variants share a target directory. The variables that `cargo test` sets about a package are removed: build scripts that
/// depend on them would run again each time.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(workspace()).stdin(Stdio::null());
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_a_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// Each variant is a workspace of its own with one package, so its manifest is enough.
fn build_with_cargo(
    manifest: &Path,
    package: &str,
    form: Form,
    profile: Profile,
    options: &[OsString],
) -> Result<PathBuf, BuildError> {
    let (kind, target) = match form {
        Form::Template => ("--bin", package.to_owned()),
        // Named after its package: all variants share a target directory, where equal names would be one file.
        Form::AsDocumented => ("--example", format!("{package}-{form}")),
    };
    let mut command = cargo();
    command.args(["build", kind, &target, "--message-format=json-render-diagnostics"]);
    command.args(options).arg("--manifest-path").arg(manifest).stderr(Stdio::inherit());
    if profile == Profile::Release {
        command.arg("--release");
    }
    let messages = run(&mut command, "cargo", "https://rustup.rs")?;
    executable(&messages, &target).ok_or_else(|| BuildError::Failed(format!("cargo built no executable {target}")))
}

/// The target directory of all variants, unless the environment names another.
pub fn target_dir() -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty());
    // A relative path counts from where cargo is started.
    workspace().join(named.unwrap_or_else(|| OsString::from("target")))
}

fn is_about_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"].iter().any(|prefix| variable.starts_with(prefix))
}

fn build_with_go(app: &Path, modfile: &str, executable: &Path) -> Result<PathBuf, BuildError> {
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-modfile", modfile, "-o"]).arg(executable).arg(".");
    command.current_dir(app).stderr(Stdio::inherit());
    run(&mut command, "go", "https://go.dev/dl")?;
    Ok(executable.to_owned())
}

/// Runs a build to its end and returns its output.
fn run(command: &mut Command, tool: &str, source: &str) -> Result<String, BuildError> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            BuildError::Unavailable(format!("{tool} is not installed; this variant is built with it: {source}"))
        }
        _ => BuildError::Failed(format!("{tool} cannot be started: {error}")),
    })?;
    if !output.status.success() {
        return Err(BuildError::Failed(format!("{tool} build failed ({}); its reasons are above", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the path of a target's executable from cargo's messages, which are one JSON object per line.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter(|it| it["reason"] == "compiler-artifact" && it["target"]["name"] == target);
    built.filter_map(|it| it["executable"].as_str().map(PathBuf::from)).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_one_of_the_target() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"still-leading-scaffold"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":"/t/build"}
{"reason":"compiler-artifact","target":{"name":"still-leading-x"},"executable":"/t/debug/still-leading-x"}
{"reason":"compiler-artifact","target":{"name":"still-leading-x-as-documented"},"executable":"/t/debug/examples/x"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "still-leading-x"), Some("/t/debug/still-leading-x".into()));
        assert_eq!(executable(messages, "still-leading-x-as-documented"), Some("/t/debug/examples/x".into()));
        assert_eq!(executable(messages, "still-leading-scaffold"), None);
    }

    #[test]
    fn a_missing_tool_is_distinguished_from_a_failed_build() {
        let missing = run(&mut Command::new("no-such-tool"), "go", "https://go.dev/dl").unwrap_err();
        let remedy = "go is not installed; this variant is built with it: https://go.dev/dl";
        assert_eq!(missing, BuildError::Unavailable(remedy.to_owned()));
        let failed = run(&mut Command::new("false"), "go", "https://go.dev/dl").unwrap_err();
        assert!(matches!(failed, BuildError::Failed(_)), "{failed:?}");
    }

    #[test]
    fn a_form_that_a_variant_does_not_have_has_no_executable() {
        let failed = build(Variant::Native, Form::AsDocumented, Profile::Debug).unwrap_err();
        assert!(matches!(&failed, BuildError::Failed(why) if why.contains("no as-documented form")), "{failed:?}");
    }

    #[test]
    fn cargo_hears_nothing_of_the_package_under_test() {
        let removed: Vec<_> = cargo()
            .get_envs()
            .filter_map(|(name, value)| value.is_none().then_some(name))
            .map(ToOwned::to_owned)
            .collect();
        assert!(removed.contains(&OsString::from("CARGO_PKG_NAME")), "{removed:?}");
    }
}
