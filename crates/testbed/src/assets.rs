//! Finds the binaries of the control plane, by the convention of envtest. They are in the folder that `KUBEBUILDER_ASSETS` names,
//! or else where `control-plane/build` has built them.

use std::env;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The binaries of a [`ControlPlane`](crate::ControlPlane).
#[derive(Clone, Debug)]
pub struct Assets {
    pub(crate) etcd: PathBuf,
    pub(crate) kube_apiserver: PathBuf,
}

/// No control plane can be started. Displays as one line: what is missing, what for, and how to get it.
#[derive(Debug)]
pub struct Missing {
    binary: &'static str,
    dir: PathBuf,
    named_by_variable: bool,
}

impl Assets {
    /// Finds etcd and kube-apiserver.
    ///
    /// # Errors
    /// Returns [`Missing`] if one of them is not there or not executable. This includes a `KUBEBUILDER_ASSETS` that names the
    /// wrong folder: a silent fallback would test another version.
    pub fn find() -> Result<Self, Missing> {
        match env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
            Some(dir) => Self::in_dir(Path::new(&dir), true),
            None => Self::in_dir(&workspace().join("control-plane/bin"), false),
        }
    }

    fn in_dir(dir: &Path, named_by_variable: bool) -> Result<Self, Missing> {
        let executable = |binary| {
            let path = dir.join(binary);
            let found = path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
            let missing = || Missing { binary, dir: dir.to_owned(), named_by_variable };
            found.then_some(path).ok_or_else(missing)
        };
        Ok(Self { etcd: executable("etcd")?, kube_apiserver: executable("kube-apiserver")? })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { binary, dir, named_by_variable } = self;
        let origin = if *named_by_variable { ", which KUBEBUILDER_ASSETS names" } else { "" };
        let remedy = if *named_by_variable { "unset it and build one" } else { "build it" };
        write!(
            f,
            "no executable {binary} in {}{origin}; the elections are tried on a real kube-apiserver: {remedy} with \
             control-plane/build (or: just control-plane)",
            dir.display()
        )
    }
}

impl std::error::Error for Missing {}

/// The root of the repository in which this crate was compiled.
pub fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn place(dir: &Path, name: &str, mode: u32) {
        fs::write(dir.join(name), "").unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn both_binaries_are_found() {
        let dir = tempfile::tempdir().unwrap();
        place(dir.path(), "etcd", 0o755);
        place(dir.path(), "kube-apiserver", 0o755);
        let assets = Assets::in_dir(dir.path(), true).unwrap();
        assert_eq!(assets.etcd, dir.path().join("etcd"));
        assert_eq!(assets.kube_apiserver, dir.path().join("kube-apiserver"));
    }

    #[test]
    fn a_binary_that_is_not_executable_is_named_in_one_line_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        place(dir.path(), "etcd", 0o755);
        place(dir.path(), "kube-apiserver", 0o644);
        let message = Assets::in_dir(dir.path(), true).unwrap_err().to_string();
        assert!(message.starts_with("no executable kube-apiserver in "), "{message}");
        assert!(message.contains("KUBEBUILDER_ASSETS") && message.contains("control-plane/build"), "{message}");
        assert_eq!(message.lines().count(), 1);
    }

    #[test]
    fn without_the_variable_the_message_does_not_speak_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let message = Assets::in_dir(dir.path(), false).unwrap_err().to_string();
        assert!(message.starts_with("no executable etcd in ") && !message.contains("KUBEBUILDER_ASSETS"), "{message}");
    }

    #[test]
    fn the_workspace_root_is_where_the_apps_are() {
        assert!(workspace().join("crates/testbed/Cargo.toml").is_file());
    }
}
