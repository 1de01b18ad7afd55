//! The tool that readers apply the kit with.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use still_leading_testbed::workspace;

/// Where it is.
#[derive(Clone, Debug)]
pub struct Kubectl(PathBuf);

impl Kubectl {
    /// The one of the control plane first, as `deploy/render` does: what it renders is compared.
    pub fn find() -> Option<Self> {
        let own = [Some(workspace().join("control-plane/bin")), env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from)];
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = own.into_iter().flatten().chain(env::split_paths(&path));
        folders.map(|folder| folder.join("kubectl")).find(|file| file.is_file()).map(Self)
    }

    /// What an overlay renders to.
    pub fn kustomize(&self, overlay: &Path) -> Result<String> {
        run(Command::new(&self.0).arg("kustomize").arg(overlay), "")
    }

    /// Applies a manifest as `kubectl apply -f` does and returns the objects as they are then.
    pub fn apply(&self, kubeconfig: &Path, yaml: &str) -> Result<Vec<Value>> {
        let mut command = self.with(kubeconfig)?;
        let mut applied: Value = serde_json::from_str(&run(command.args(["apply", "-o", "json", "-f", "-"]), yaml)?)?;
        // One object comes alone, several as a List.
        let items = applied.get_mut("items").and_then(|items| items.as_array_mut().map(std::mem::take));
        Ok(items.unwrap_or_else(|| vec![applied]))
    }

    /// Runs it with these words and returns what it prints.
    pub fn run(&self, kubeconfig: &Path, words: &[&str]) -> Result<String> {
        run(self.with(kubeconfig)?.args(words), "")
    }

    fn with(&self, kubeconfig: &Path) -> Result<Command> {
        let home = kubeconfig.parent().context("a kubeconfig is in a folder")?;
        let mut command = Command::new(&self.0);
        // Neither the settings of the user, nor a cache of what another server once served.
        command.env("HOME", home).env_remove("KUBERC").arg("--kubeconfig").arg(kubeconfig);
        Ok(command)
    }
}

/// What it prints. A warning is an error here.
fn run(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting kubectl")?;
    // It reads everything before it prints anything, so neither waits for the other.
    child.stdin.take().context("kubectl has no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let [printed, said] = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    let arguments = command.get_args().collect::<Vec<_>>().join(OsStr::new(" "));
    ensure!(output.status.success() && said.is_empty(), "kubectl {}: {}; {said}", arguments.display(), output.status);
    Ok(printed)
}
