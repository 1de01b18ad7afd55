//! What a reader in a hurry wants: one table, worst cases and medians.

use super::symbol::Symbol;
use super::{DEFAULT_TIMINGS, TIMINGS, cell, faults, is_rest, spread, subjects, time};
use crate::matrix::judge::{Judgement, Verdict};
use crate::matrix::summary::{Cell, Summary};
use crate::record::Artefacts;
use crate::table::markdown;

/// One row a subject.
#[must_use]
pub fn short(summary: &Summary, artefacts: &Artefacts) -> String {
    let header = [
        "election",
        "two leaders, longest",
        "of faults",
        "no leader in time",
        "gap after SIGTERM",
        "gap after SIGKILL",
        "acts after a thaw",
        "requests a minute at rest",
        "`kube`",
    ];
    let row = |subject: &crate::matrix::subject::Subject| {
        let name = subject.to_string();
        let cells: Vec<&Cell> = faults()
            .iter()
            .filter(|fault| !fault.allows_no_leader())
            .filter_map(|fault| cell(summary, &name, &fault.name()))
            .collect();
        // Two leaders where somebody else writes the Lease, or two have one name, are no fault of an election.
        let own: Vec<&Cell> = faults()
            .iter()
            .filter(|fault| fault.breaks().is_none())
            .filter_map(|fault| cell(summary, &name, &fault.name()))
            .collect();
        let longest =
            own.iter().filter_map(|cell| cell.spread(|it| Some(it.overlap_ms))).map(|it| it.1).reduce(f64::max);
        let count = |of: &[&Cell], promise: fn(&Judgement) -> &Verdict| match of {
            [] => "–".to_owned(),
            of => format!("{} of {}", of.iter().filter(|cell| cell.violated(promise) > 0).count(), of.len()),
        };
        let kube = artefacts.variants.get(subject.manifest().name()).and_then(|it| it.package.kube.clone());
        vec![
            name.clone(),
            longest.map_or("–".to_owned(), |ms| if ms > 0.0 { time(ms) } else { "none".to_owned() }),
            count(&own, |it| &it.safety),
            count(&cells, |it| &it.liveness),
            gap(summary, &name, "sigterm"),
            gap(summary, &name, "sigkill"),
            acts(cell(summary, &name, "sigstop-2")),
            rest(cell(summary, &name, "rest-3")),
            kube.as_deref().map_or("–", |version| version.split('.').next().unwrap_or(version)).to_owned(),
        ]
    };
    markdown(&header, &subjects().iter().map(row).collect::<Vec<_>>())
}

/// At client-go's timings where they were tried, which are what people run.
fn gap(summary: &Summary, subject: &str, fault: &str) -> String {
    let timings = [DEFAULT_TIMINGS, TIMINGS];
    let cell = timings.iter().find_map(|timings| summary.cell(timings, subject, fault));
    cell.map_or("–".to_owned(), |cell| spread(cell.spread(|it| Some(it.gap_ms))))
}

fn acts(cell: Option<&Cell>) -> String {
    match cell.and_then(|cell| cell.spread(|it| Some(it.stale_acts as f64))) {
        None => "–".to_owned(),
        Some((_, 0.0)) => "none".to_owned(),
        Some((median, most)) => format!("{median:.0} ({most:.0})"),
    }
}

fn rest(cell: Option<&Cell>) -> String {
    match cell.and_then(|cell| cell.spread(|it| Some(per_minute(it)))) {
        None => "–".to_owned(),
        Some((median, _)) => format!("{median:.0}"),
    }
}

/// Of the minute that it was watched, and the lease duration after that.
fn per_minute(figures: &crate::matrix::judge::Figures) -> f64 {
    figures.traffic.total() as f64 / (figures.watched_ms / 60_000.0)
}

/// What it costs while nothing happens, for each number of replicas.
#[must_use]
pub fn at_rest(summary: &Summary) -> String {
    let header =
        ["election", "replicas", "requests a minute", "watches", "CPU ms a minute", "memory, all", "memory, each"];
    let mut rows = Vec::new();
    for subject in subjects() {
        let name = subject.to_string();
        let of_it = |cell: &&Cell| cell.timings == TIMINGS && cell.subject == name && is_rest(&cell.fault);
        let mut cells: Vec<&Cell> = summary.cells.iter().filter(of_it).collect();
        cells.sort_by_key(|cell| cell.fault.trim_start_matches("rest-").parse::<usize>().unwrap_or(0));
        for cell in cells {
            let median = |of: &dyn Fn(&crate::matrix::judge::Figures) -> f64| {
                cell.spread(|it| Some(of(it))).map_or(0.0, |it| it.0)
            };
            let megabytes = |bytes: f64| format!("{:.1} MB", bytes / 1e6);
            rows.push(vec![
                name.clone(),
                cell.fault.trim_start_matches("rest-").to_owned(),
                if Symbol::of(cell).0 == Symbol::Unknown {
                    "?".to_owned()
                } else {
                    format!("{:.0}", median(&per_minute))
                },
                format!("{:.0}", median(&|it| it.watches as f64)),
                format!("{:.0}", median(&|it| it.cpu_ms as f64 / (it.watched_ms / 60_000.0))),
                megabytes(median(&|it| it.rss_total as f64)),
                megabytes(median(&|it| it.rss_total as f64 / it.replicas.max(1) as f64)),
            ]);
        }
    }
    markdown(&header, &rows)
}
