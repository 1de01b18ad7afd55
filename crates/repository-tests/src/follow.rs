//! Does what a page says, block by block, as a reader would.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use still_leading_testbed::{cargo, workspace};

use crate::page::Block;

/// Does what a block says: runs it, writes the file that its first line names, or only shows what needs a cluster.
pub fn follow(block: &Block, at: &mut PathBuf) -> Result<()> {
    match block.language.as_str() {
        "console" => Ok(()),
        "sh" => {
            // As one would type it: `cd` holds for what comes after.
            let script = format!("set -euo pipefail\n{}\npwd", block.text);
            let output = cargo_environment("bash").args(["-c", &script]).current_dir(&*at).output();
            let output = output.context("starting bash")?;
            let [said, failed] = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
            ensure!(output.status.success(), "this block of the page fails:\n{}\n{failed}", block.text);
            *at = said.lines().last().context("bash did not say where it is")?.into();
            Ok(())
        }
        language => {
            let first = block.text.lines().next().unwrap_or_default();
            let file = first.trim_start_matches(['/', '#', ' ']);
            ensure!(first != file && !file.contains(' '), "a block of {language} does not name its file: {first}");
            fs::write(at.join(file), &block.text).with_context(|| format!("writing {file}"))
        }
    }
}

/// The variables for cargo when a test runs it, or for a program that runs cargo: one target directory for all.
pub fn cargo_environment(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, value) in cargo().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("CARGO_TARGET_DIR", workspace().join("target")).stdin(Stdio::null());
    // The page's manifest says nothing about debug builds; this is what saves half of linking them.
    command.envs([("CARGO_INCREMENTAL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")]);
    command
}
