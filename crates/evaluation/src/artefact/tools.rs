//! The tools that a variant is built with, and what a number was measured on.

use std::process::Command;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use still_leading_testbed::{Variant, machine, workspace};

use crate::record::{Machine, Measured};

/// What is true of everything that one run measures: now, here, with these tools.
///
/// # Errors
/// A tool is missing, or the machine does not tell what it is.
pub fn measured(command: String, with_go: bool, kubernetes: Option<String>) -> Result<Measured> {
    let go = || output(Command::new("go").arg("version"));
    let go = with_go.then(go).transpose()?;
    let machine::Machine { cpus, memory_gib, os } = machine::Machine::here()?;
    Ok(Measured {
        date: Timestamp::now().strftime("%F").to_string(),
        command,
        machine: Machine { cpus, memory_gib, os },
        rustc: output(Command::new("rustc").arg("--version"))?.trim().to_owned(),
        go: go.map(|version| version.trim().to_owned()),
        kubernetes,
    })
}

/// The commit that is checked out, as `1a2b3c4`, with `-dirty` where files differ from it; `unknown` outside of a repository.
#[must_use]
pub fn commit() -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--exclude=*"]).current_dir(workspace());
    output(&mut git).map_or_else(|_| "unknown".to_owned(), |said| said.trim().to_owned())
}

/// Whether it is built with Go.
#[must_use]
pub fn is_go(variant: Variant) -> bool {
    variant.folder().join("go.mod").is_file()
}

/// Runs `command` to its end and returns what it printed.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let name = format!("{} {}", command.get_program().display(), words(command));
    let output = command.output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} prints what is no text"))
}

pub(super) fn words(command: &Command) -> String {
    command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
