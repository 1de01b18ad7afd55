//! The folder of a run: `run.json` says how it was made, and `trials/<subject>/<fault>/<number>.json.gz` has each trial, as
//! soon as it is over. One that could not be tried is `<number>.failed.json.gz`, and is tried again when the run goes on.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::record::{Millis, Trial};
use crate::record::Measured;

/// How a run is made: what it has to be the same for all of its trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// `embedded` or `real`.
    pub server: String,
    /// What decides moments and jitter.
    pub seed: u64,
    /// `debug` or `release`.
    pub profile: String,
    /// The election's durations.
    pub timings: Millis,
    /// The commit that was built.
    pub commit: String,
    /// When, where and how.
    pub measured: Measured,
    /// How many trials ran side by side, at most.
    pub parallel: usize,
    /// How that was found to be not too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// The hand-over of native after SIGTERM, alone and with others beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The median alone, in milliseconds.
    pub serial_ms: f64,
    /// For each parallelism that was tried, the median then.
    pub tried: Vec<(usize, f64)>,
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The folder, whatever is in it.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The folder of a run that is there already.
    ///
    /// # Errors
    /// It is no such folder.
    pub fn open(dir: &Path) -> Result<Self> {
        let store = Self::of(dir);
        store.run()?;
        Ok(store)
    }

    /// Begins a run in `dir`, or goes on with the one that is there.
    ///
    /// # Errors
    /// The run there is another one, or something cannot be written.
    pub fn begin(dir: &Path, run: &mut Run) -> Result<Self> {
        let store = Self::of(dir);
        if store.file().is_file() {
            let before = store.run()?;
            let same = |run: &Run| (run.server.clone(), run.seed, run.profile.clone(), run.timings, run.commit.clone());
            ensure!(
                same(&before) == same(run),
                "{} has another run ({}, seed {}, {}, timings {}, commit {}): choose another --out",
                dir.display(),
                before.server,
                before.seed,
                before.profile,
                before.timings,
                before.commit,
            );
            // What is there already was made so.
            (run.parallel, run.calibration) = (before.parallel, before.calibration);
        }
        store.keep(run)?;
        Ok(store)
    }

    /// Notes how the run is made.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, run: &Run) -> Result<()> {
        fs::create_dir_all(&self.dir).with_context(|| format!("making {}", self.dir.display()))?;
        let text = serde_json::to_string_pretty(run)? + "\n";
        // Whole or not at all: without it the trials are of nothing.
        let new = self.file().with_extension("new");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, self.file()));
        written.with_context(|| format!("writing {}", self.file().display()))
    }

    /// How the run is made.
    ///
    /// # Errors
    /// There is none.
    pub fn run(&self) -> Result<Run> {
        let path = self.file();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("no {}: `cargo evaluate run --out` makes it", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no record of a run", path.display()))
    }

    /// Where a trial is.
    #[must_use]
    pub fn path(&self, subject: &str, fault: &str, number: usize) -> PathBuf {
        self.trials().join(subject).join(fault).join(format!("{number}.json.gz"))
    }

    /// Where the note is that a trial could not be tried.
    fn path_of_failure(&self, subject: &str, fault: &str, number: usize) -> PathBuf {
        self.path(subject, fault, number).with_file_name(format!("{number}.failed.json.gz"))
    }

    /// Whether a trial is there, and was tried.
    #[must_use]
    pub fn has(&self, subject: &str, fault: &str, number: usize) -> bool {
        self.path(subject, fault, number).is_file()
    }

    /// Keeps a trial, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&self, trial: &Trial) -> Result<PathBuf> {
        let path = self.path(&trial.subject, &trial.fault, trial.number);
        let failure = self.path_of_failure(&trial.subject, &trial.fault, trial.number);
        fs::create_dir_all(path.parent().unwrap_or(&self.dir)).with_context(|| format!("making {}", path.display()))?;
        if trial.was_tried() {
            write(&path, trial)?;
            fs::remove_file(failure).ok();
            return Ok(path);
        }
        write(&failure, trial)?;
        Ok(failure)
    }

    /// Every trial, in the order of subject, fault and number.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn each(&self) -> Result<Vec<Trial>> {
        let mut paths = Vec::new();
        for subject in folders(&self.trials())? {
            for fault in folders(&subject)? {
                paths.extend(entries(&fault)?.into_iter().filter(|path| path.extension().is_some_and(|it| it == "gz")));
            }
        }
        let mut trials = paths.iter().map(|path| read(path)).collect::<Result<Vec<Trial>>>()?;
        trials.sort_by(|a, b| (&a.subject, &a.fault, a.number).cmp(&(&b.subject, &b.fault, b.number)));
        Ok(trials)
    }

    fn file(&self) -> PathBuf {
        self.dir.join("run.json")
    }

    fn trials(&self) -> PathBuf {
        self.dir.join("trials")
    }
}

/// Writes one trial, whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, trial: &Trial) -> Result<()> {
    let failed = || format!("writing {}", path.display());
    let new = path.with_extension("new");
    // What a full disk leaves of it would stay there.
    let written = pack(&new, trial).and_then(|()| Ok(fs::rename(&new, path)?));
    if written.is_err() {
        fs::remove_file(&new).ok();
    }
    written.with_context(failed)
}

fn pack(path: &Path, trial: &Trial) -> Result<()> {
    let mut file = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::best());
    serde_json::to_writer(&mut file, trial)?;
    Ok(file.finish().and_then(|mut file| file.flush())?)
}

/// Reads one trial.
///
/// # Errors
/// It is not there, or no trial.
pub fn read(path: &Path) -> Result<Trial> {
    let file = File::open(path).with_context(|| format!("no trial {}", path.display()))?;
    serde_json::from_reader(GzDecoder::new(BufReader::new(file)))
        .with_context(|| format!("{} is no trial", path.display()))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    Ok(entries.map(|entry| entry.map(|it| it.path())).collect::<Result<_, _>>()?)
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests {
    use still_leading_testbed::guard::TempDir;

    use super::*;
    use crate::matrix::record::Line;

    fn trial(failed: Option<&str>, tried: bool) -> Trial {
        let line =
            Line { at: 1, replica: "a".to_owned(), message: "leading".to_owned(), fields: serde_json::Map::new() };
        Trial {
            subject: "x".to_owned(),
            fault: "y".to_owned(),
            number: 1,
            seed: 1,
            events: if tried { vec![line] } else { Vec::new() },
            failed: failed.map(str::to_owned),
            ..Trial::default()
        }
    }

    #[test]
    fn what_could_not_be_tried_is_told_and_tried_again_and_what_was_tried_is_not() {
        let dir = TempDir::new("still-leading-store-").unwrap();
        let store = Store::of(dir.path());
        store.add(&trial(Some("it takes too long to set up"), false)).unwrap();
        assert!(!store.has("x", "y", 1));
        assert_eq!(store.each().unwrap().len(), 1);
        store.add(&trial(None, true)).unwrap();
        assert!(store.has("x", "y", 1));
        assert_eq!(store.each().unwrap(), [trial(None, true)]);
        // A fault that does not reach it will not do so the next time either.
        store.add(&trial(Some("the clock of this program cannot be set"), true)).unwrap();
        assert!(store.has("x", "y", 1));
    }

    #[test]
    fn half_of_a_file_is_no_trial_and_is_written_anew() {
        let dir = TempDir::new("still-leading-store-").unwrap();
        let store = Store::of(dir.path());
        let path = store.add(&trial(None, true)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(path.with_extension("new"), &whole[..whole.len() / 2]).unwrap();
        assert!(!store.has("x", "y", 1));
        assert_eq!(store.each().unwrap(), []);
        store.add(&trial(None, true)).unwrap();
        assert_eq!(store.each().unwrap(), [trial(None, true)]);
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(read(&path).unwrap_err().to_string().ends_with("1.json.gz is no trial"));
    }
}
