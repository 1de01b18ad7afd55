//! The variants, found by name: what builds each, and what installs it.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde_json::Value;

use crate::assets::workspace;

macro_rules! variants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// One implementation of the election behind the same application.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Variant {
            $($(#[$doc])* $variant,)+
        }

        impl Variant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name of its folder in `apps/`, and of everything else that is its own.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

// One line makes a variant known; how it is built shows in its folder.
variants! {
    /// On kube alone.
    Native = "native",
    /// The Go original.
    ClientGo = "client-go",
}

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
    /// This machine lacks what it takes. A test of this variant is to be ignored, with this as the reason.
    Unavailable(String),
    /// It does not build. A test of this variant fails; the compiler has said why on standard error.
    Failed(String),
}

impl Variant {
    /// Builds it, or finds it up to date, and returns the executable. Blocks.
    ///
    /// # Errors
    /// [`BuildError`], which tells a missing tool from broken code.
    pub fn build(self, profile: Profile) -> Result<PathBuf, BuildError> {
        let root = workspace();
        let app = self.folder();
        let package = format!("still-leading-{}", self.name());
        if app.join("go.mod").is_file() {
            build_with_go(&app, &root.join("target").join(self.name()).join(package))
        } else if app.join("Cargo.toml").is_file() {
            build_with_cargo(&root, &app.join("Cargo.toml"), &package, profile)
        } else {
            Err(BuildError::Failed(format!("there is no variant in {}", app.display())))
        }
    }

    /// Where it stands.
    pub fn folder(self) -> PathBuf {
        workspace().join("apps").join(self.name())
    }

    /// What installs it: one flat manifest, in which every object is called `still-leading-<variant>`.
    pub fn install_yaml(self) -> PathBuf {
        workspace().join("deploy").join(format!("install-{}.yaml", self.name()))
    }
}

/// By its name, for command lines.
impl FromStr for Variant {
    type Err = UnknownVariant;

    fn from_str(name: &str) -> Result<Self, UnknownVariant> {
        Self::ALL.iter().copied().find(|variant| variant.name() == name).ok_or(UnknownVariant)
    }
}

/// There is no variant of that name. Displays the names there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVariant;

impl fmt::Display for UnknownVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Variant::ALL.iter().map(|variant| variant.name()).collect();
        write!(f, "the variants are {}", names.join(", "))
    }
}

impl std::error::Error for UnknownVariant {}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unavailable(why) | Self::Failed(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for BuildError {}

/// Works for the root workspace and for a variant with a workspace of its own: cargo finds either from the manifest.
fn build_with_cargo(root: &Path, manifest: &Path, package: &str, profile: Profile) -> Result<PathBuf, BuildError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--package", package, "--message-format=json-render-diagnostics", "--manifest-path"]);
    command.arg(manifest).current_dir(root).stderr(Stdio::inherit());
    // What `cargo test` says of the package it runs. Build scripts that look at these would run again each time.
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_a_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    if profile == Profile::Release {
        command.arg("--release");
    }
    let messages = run(&mut command, "cargo", "https://rustup.rs")?;
    executable(&messages, package).ok_or_else(|| BuildError::Failed(format!("cargo built no executable {package}")))
}

fn is_about_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"].iter().any(|prefix| variable.starts_with(prefix))
}

fn build_with_go(app: &Path, executable: &Path) -> Result<PathBuf, BuildError> {
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-o"]).arg(executable).arg(".").current_dir(app).stderr(Stdio::inherit());
    run(&mut command, "go", "https://go.dev/dl")?;
    Ok(executable.to_owned())
}

/// Runs a build to its end and returns what it printed.
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

/// The path of a package's executable among cargo's messages, which are one JSON object a line.
fn executable(messages: &str, package: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter(|it| it["reason"] == "compiler-artifact" && it["target"]["name"] == package);
    built.filter_map(|it| it["executable"].as_str().map(PathBuf::from)).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_one_of_the_package() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"still-leading-scaffold"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":"/t/build"}
{"reason":"compiler-artifact","target":{"name":"still-leading-native"},"executable":"/t/debug/still-leading-native"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "still-leading-native"), Some("/t/debug/still-leading-native".into()));
        assert_eq!(executable(messages, "still-leading-scaffold"), None);
    }

    #[test]
    fn a_missing_tool_is_told_from_a_failed_build() {
        let missing = run(&mut Command::new("no-such-tool"), "go", "https://go.dev/dl").unwrap_err();
        let remedy = "go is not installed; this variant is built with it: https://go.dev/dl";
        assert_eq!(missing, BuildError::Unavailable(remedy.to_owned()));
        let failed = run(&mut Command::new("false"), "go", "https://go.dev/dl").unwrap_err();
        assert!(matches!(failed, BuildError::Failed(_)), "{failed:?}");
    }

    #[test]
    fn a_variant_is_found_by_its_name_and_a_wrong_name_learns_the_right_ones() {
        assert_eq!("client-go".parse(), Ok(Variant::ClientGo));
        let error = "nativ".parse::<Variant>().unwrap_err().to_string();
        assert!(error.starts_with("the variants are native, "), "{error}");
    }

    #[test]
    fn every_variant_has_a_folder_of_its_name() {
        for variant in Variant::ALL {
            assert!(variant.folder().is_dir(), "{variant}");
        }
    }
}
