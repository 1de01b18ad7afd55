//! A wall clock that can be set for one process alone, by libfaketime. The monotonic clock stays as it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use still_leading_testbed::guard::TempDir;

/// Where Debian, Fedora and Arch install it, and where it can be said.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
];

/// The wall clock of one process.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    dir: TempDir,
}

impl Clock {
    /// One that is right.
    ///
    /// # Errors
    /// libfaketime is not installed.
    pub fn new() -> Result<Self> {
        let clock = Self { library: library()?, dir: TempDir::new("still-leading-clock-")? };
        clock.set(0)?;
        Ok(clock)
    }

    /// What the process has to be started with.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Sets it so many seconds before (above zero) or behind the right time, from now on.
    ///
    /// # Errors
    /// The file that tells it cannot be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // Renamed into its place: half of a time is no time.
        let new = self.file().with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).context("setting a clock")?;
        fs::rename(&new, self.file()).context("setting a clock")
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }
}

/// Where libfaketime is.
///
/// # Errors
/// Nowhere: what to install.
pub fn library() -> Result<PathBuf> {
    let found = PLACES.iter().map(Path::new).find(|place| place.is_file());
    found.map(Path::to_owned).context("no libfaketime (Debian: apt-get install faketime)")
}
