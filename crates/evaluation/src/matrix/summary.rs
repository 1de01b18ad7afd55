//! What is committed of runs: how they were made, and what each trial of each cell showed. The histories themselves are too
//! many; the worst one of each cell that is not held is kept beside it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::judge::{Figures, Judgement, Verdict, judge};
use super::record::Trial;
use super::store::{Run, Store};
use crate::stats::{median, percentile};

/// Where [`Summary`] is kept, from the root of the repository.
pub const SUMMARY: &str = "docs/runs/matrix.json";

/// Everything that reports are made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The runs, oldest first. A later one replaces the cells of an earlier one with the same timings.
    pub runs: Vec<Run>,
    /// The cells, in the order of timings, subject and fault.
    pub cells: Vec<Cell>,
}

/// One subject under one fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Lease duration, renew deadline and retry period in seconds, as `5/3/1`.
    pub timings: String,
    /// What was tried.
    pub subject: String,
    /// What happened.
    pub fault: String,
    /// The place of its run.
    pub run: usize,
    /// Its trials.
    pub trials: Vec<Judged>,
}

/// One trial, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The how manieth it is, from 1.
    pub number: usize,
    /// What it shows.
    #[serde(flatten)]
    pub judgement: Judgement,
}

impl Summary {
    /// Reads it; an empty one if there is none yet.
    ///
    /// # Errors
    /// It is there and not of this shape.
    pub fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is no summary", path.display())),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Writes it: a line for each trial, for `git diff`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::from("{\n\"runs\": [\n");
        text += &lines(&self.runs)?;
        text += "\n],\n\"cells\": [\n";
        text += &lines(&self.cells)?;
        text += "\n]\n}\n";
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Takes in a run: its cells replace those of the same timings, subject and fault. Returns the worst trial of each cell
    /// that did not hold.
    ///
    /// # Errors
    /// A trial cannot be read.
    pub fn add(&mut self, store: &Store) -> Result<Vec<Trial>> {
        let run = store.run()?;
        let timings = timings(&run);
        self.runs.push(run);
        let place = self.runs.len() - 1;
        let mut worst: Vec<(f64, Trial)> = Vec::new();
        let mut fresh: Vec<Cell> = Vec::new();
        for trial in store.each()? {
            let judged = Judged { number: trial.number, judgement: judge(&trial) };
            let badness = badness(&judged.judgement);
            match fresh.last_mut().filter(|cell| cell.subject == trial.subject && cell.fault == trial.fault) {
                Some(cell) => cell.trials.push(judged),
                None => fresh.push(Cell {
                    timings: timings.clone(),
                    subject: trial.subject.clone(),
                    fault: trial.fault.clone(),
                    run: place,
                    trials: vec![judged],
                }),
            }
            match worst.iter_mut().find(|(_, it)| it.subject == trial.subject && it.fault == trial.fault) {
                Some(known) if known.0 < badness => *known = (badness, trial),
                Some(_) => {}
                None => worst.push((badness, trial)),
            }
        }
        let is_replaced = |old: &Cell| {
            fresh.iter().any(|new| (&new.timings, &new.subject, &new.fault) == (&old.timings, &old.subject, &old.fault))
        };
        self.cells.retain(|cell| !is_replaced(cell));
        self.cells.extend(fresh);
        self.cells.sort_by(|a, b| (&a.timings, &a.subject, &a.fault).cmp(&(&b.timings, &b.subject, &b.fault)));
        self.drop_unused_runs();
        Ok(worst.into_iter().filter(|(badness, _)| *badness > 0.0).map(|(_, trial)| trial).collect())
    }

    /// The cells in which a promise was broken.
    pub fn broken(&self) -> impl Iterator<Item = &Cell> {
        let is_broken = |cell: &&Cell| cell.trials.iter().any(|it| badness(&it.judgement) > 0.0);
        self.cells.iter().filter(is_broken)
    }

    fn drop_unused_runs(&mut self) {
        for place in (0..self.runs.len()).rev() {
            if self.cells.iter().all(|cell| cell.run != place) {
                self.runs.remove(place);
                self.cells.iter_mut().filter(|cell| cell.run > place).for_each(|cell| cell.run -= 1);
            }
        }
    }

    /// The cell of a subject under a fault.
    #[must_use]
    pub fn cell(&self, timings: &str, subject: &str, fault: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.timings == timings && cell.subject == subject && cell.fault == fault)
    }
}

/// As `5/3/1`, in seconds.
#[must_use]
pub fn timings(run: &Run) -> String {
    run.timings.to_string()
}

/// How bad it is: two leaders are worse than none, and none is worse than noise.
fn badness(judgement: &Judgement) -> f64 {
    let Some(figures) = &judgement.figures else { return 0.0 };
    let mut badness = 0.0;
    if judgement.safety.is_violated() {
        badness += 1e9 + figures.overlap_ms + figures.stale_acts as f64;
    }
    if judgement.liveness.is_violated() {
        badness += 1e6 + figures.gap_ms;
    }
    if judgement.manners.is_violated() {
        badness += figures.traffic.peak as f64;
    }
    badness
}

fn lines<T: Serialize>(of: &[T]) -> Result<String> {
    let lines: Vec<String> = of.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(lines.join(",\n"))
}

impl Cell {
    /// How many trials there are.
    #[must_use]
    pub fn n(&self) -> usize {
        self.trials.len()
    }

    /// How many trials broke a promise.
    pub fn violated(&self, of: impl Fn(&Judgement) -> &Verdict) -> usize {
        self.trials.iter().filter(|it| of(&it.judgement).is_violated()).count()
    }

    /// How many trials show nothing, and why the first of them does not.
    #[must_use]
    pub fn unknown(&self) -> (usize, Option<&str>) {
        let mut why = self.trials.iter().filter_map(|it| match &it.judgement.safety {
            Verdict::Unknown(why) => Some(why.as_str()),
            _ => None,
        });
        let first = why.next();
        (first.map_or(0, |_| 1 + why.count()), first)
    }

    /// The figures of the trials that show any.
    pub fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.trials.iter().filter_map(|it| it.judgement.figures.as_ref())
    }

    /// The median and the largest of a figure; none without any.
    pub fn spread(&self, of: impl Fn(&Figures) -> Option<f64>) -> Option<(f64, f64)> {
        let values: Vec<f64> = self.figures().filter_map(of).collect();
        (!values.is_empty()).then(|| (median(&values), percentile(&values, 100.0)))
    }
}
