//! What a number was measured on.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::output;
use crate::record::{Machine, Measured};

/// What is true of everything that one run measures: now, here, with these tools.
///
/// # Errors
/// A tool is missing, or the machine does not tell what it is.
pub fn measured(command: String, with_go: bool, kubernetes: Option<String>) -> Result<Measured> {
    let go = || output(Command::new("go").arg("version"));
    let go = with_go.then(go).transpose()?;
    Ok(Measured {
        date: Timestamp::now().strftime("%F").to_string(),
        command,
        machine: machine()?,
        rustc: output(Command::new("rustc").arg("--version"))?.trim().to_owned(),
        go: go.map(|version| version.trim().to_owned()),
        kubernetes,
    })
}

fn machine() -> Result<Machine> {
    let meminfo = fs::read_to_string("/proc/meminfo").context("the memory of the machine is known on Linux only")?;
    let kib = memory_kib(&meminfo).context("/proc/meminfo does not tell the memory of the machine")?;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = pretty_name(&release).unwrap_or("Linux");
    Ok(Machine {
        cpus: thread::available_parallelism()?.get(),
        memory_gib: (kib as f64 / 1024.0 / 1024.0 * 10.0).round() / 10.0,
        os: format!("{system}, {}", std::env::consts::ARCH),
    })
}

fn memory_kib(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn pretty_name(release: &str) -> Option<&str> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_what_linux_tells() {
        assert_eq!(memory_kib("MemTotal:       24650740 kB\nMemFree: 1 kB\n"), Some(24_650_740));
        assert_eq!(pretty_name("NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), Some("Debian GNU/Linux 12"));
        assert_eq!(memory_kib("").or(pretty_name("").map(|_| 0)), None);
    }
}
