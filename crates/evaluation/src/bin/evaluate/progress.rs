//! How far a run is: a bar, or, where standard error is no terminal, a line from time to time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Where there is no bar, a line so often at most.
const PERIOD: Duration = Duration::from_secs(30);

pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    told: Cell<Instant>,
}

impl Progress {
    /// Of so many trials.
    pub fn of(trials: usize) -> Self {
        let bar = ProgressBar::new(trials as u64);
        // The template is a constant, so it is right or never was.
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} trials, {eta} left") {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now(), told: Cell::new(Instant::now()) }
    }

    /// One more is over: prints its line.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
        self.bar.inc(1);
        if self.bar.is_hidden() && self.told.get().elapsed() >= PERIOD {
            self.told.set(Instant::now());
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let left = self.started.elapsed().mul_f64(all.saturating_sub(done) as f64 / done.max(1) as f64);
            eprintln!("{done}/{all} trials, about {} left", HumanDuration(left));
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
