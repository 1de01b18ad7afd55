//! `deploy/cluster`, which the recipes of the Justfile call, says in one line what is wrong, and does nothing then.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use still_leading_testbed::workspace;

use crate::findings::Findings;

/// What the script itself is made of; everything else has to be asked for.
const BASICS: [&str; 6] = ["bash", "cat", "dirname", "env", "sed", "uname"];

/// What is missing or wrong, what was asked for, and what has to be said.
struct Refusal {
    tools: &'static [(&'static str, &'static str)],
    asked: &'static [&'static str],
    code: i32,
    said: &'static [&'static str],
}

/// A tool that cannot do what it is there for.
const FAILING: &str = "#!/bin/sh\nexit 1\n";
const WORKING: &str = "#!/bin/sh\n";
/// A cluster on which a Lease is there, but held by nobody.
const NOBODY: &str = "#!/bin/sh\ncase \"$*\" in *'get lease'*) ;; esac\n";
/// One on which the holder's pod is gone.
const GONE: &str = "#!/bin/sh\ncase \"$*\" in *'get lease'*) echo pod-1_0a1b2c3d ;; esac\n";
/// One without the variant.
const BARE: &str = "#!/bin/sh\ncase \"$*\" in *--raw*) ;; *) exit 1 ;; esac\n";

const REFUSALS: &[Refusal] = &[
    Refusal { tools: &[], asked: &["leader", "nativ"], code: 1, said: &["no variant 'nativ'", "kube-coordinate, "] },
    Refusal { tools: &[], asked: &["leader", "../base"], code: 1, said: &["no variant '../base'"] },
    Refusal { tools: &[], asked: &["run", "kubert"], code: 1, said: &["needs skaffold", "https://"] },
    Refusal { tools: &[], asked: &["laeder"], code: 2, said: &["no command 'laeder'"] },
    Refusal { tools: &[], asked: &["up"], code: 1, said: &["needs kind", "go install"] },
    Refusal { tools: &[("kind", WORKING)], asked: &["down"], code: 1, said: &["needs docker", "https://"] },
    Refusal {
        tools: &[("kind", WORKING), ("docker", FAILING)],
        asked: &["heal"],
        code: 1,
        said: &["Docker does not answer"],
    },
    Refusal {
        tools: &[("kind", WORKING), ("docker", WORKING), ("skaffold", WORKING)],
        asked: &["run", "nativ"],
        code: 1,
        said: &["no variant 'nativ'"],
    },
    Refusal { tools: &[], asked: &["leader"], code: 1, said: &["needs kubectl", "https://"] },
    Refusal {
        tools: &[("kubectl", FAILING)],
        asked: &["watch-lease"],
        code: 1,
        said: &["kind-still-leading does not answer", "just up"],
    },
    Refusal {
        tools: &[("kubectl", BARE)],
        asked: &["term-leader", "kubert"],
        code: 1,
        said: &["kubert is not deployed", "just run kubert"],
    },
    Refusal { tools: &[], asked: &["hand-over", "native"], code: 1, said: &["to which pod", "just hand-over POD"] },
    Refusal { tools: &[], asked: &["hand-over", "kubert", "a"], code: 1, said: &["kubert does not hand over"] },
    Refusal { tools: &[("kubectl", NOBODY)], asked: &["leader"], code: 1, said: &["nobody holds the Lease"] },
    Refusal { tools: &[("kubectl", GONE)], asked: &["kill-leader"], code: 1, said: &["pod is gone"] },
];

/// Whether each is refused as it should be.
pub fn look() -> Result<Findings> {
    let mut findings = Findings::default();
    for refusal in REFUSALS {
        if let Err(error) = refusal.try_it() {
            findings.note(&error.context(format!("deploy/cluster {}", refusal.asked.join(" "))));
        }
    }
    Ok(findings)
}

impl Refusal {
    fn try_it(&self) -> Result<()> {
        let path = tempfile::tempdir()?;
        for name in BASICS {
            symlink(real(name)?, path.path().join(name))?;
        }
        for (name, script) in self.tools {
            write_executable(&path.path().join(name), script)?;
        }
        let mut command = Command::new(workspace().join("deploy/cluster"));
        command.args(self.asked).env("PATH", path.path()).stdin(Stdio::null());
        let output = command.output().context("starting it")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or_default();
        ensure!(output.status.code() == Some(self.code), "it ends with {}, having said {said}", output.status);
        ensure!(self.said.iter().all(|part| first.contains(part)), "it says {said}");
        ensure!(self.code == 2 || said.lines().count() == 1, "it says more than one line: {said}");
        Ok(())
    }
}

/// Where a program is, by the search path of this process.
fn real(name: &str) -> Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").context("no PATH")?;
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|it| it.is_file());
    found.with_context(|| format!("no {name} here"))
}

fn write_executable(path: &Path, script: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, script)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
