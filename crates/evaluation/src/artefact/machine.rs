//! What a number was measured on.

use std::process::Command;

use anyhow::Result;
use jiff::Timestamp;
use still_leading_testbed::machine;

use super::output;
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
