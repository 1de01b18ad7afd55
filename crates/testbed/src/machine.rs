//! The machine on which a number was measured.

use std::fs;
use std::thread;

use anyhow::{Context, Result};

/// The properties of a machine that explain different numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Processors that the process may use.
    pub cpus: usize,
    /// Memory, in GiB, to a tenth.
    pub memory_gib: f64,
    /// Its system and architecture.
    pub os: String,
}

impl Machine {
    /// Reads the properties of this machine.
    ///
    /// # Errors
    /// The memory is not known, since this is not Linux.
    pub fn here() -> Result<Self> {
        let meminfo = fs::read_to_string("/proc/meminfo").context("the memory of a machine is known on Linux only")?;
        let kib = memory_kib(&meminfo).context("/proc/meminfo does not show the memory of the machine")?;
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let system = pretty_name(&release).unwrap_or("Linux");
        Ok(Self {
            cpus: thread::available_parallelism()?.get(),
            memory_gib: (kib as f64 / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            os: format!("{system}, {}", std::env::consts::ARCH),
        })
    }
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
