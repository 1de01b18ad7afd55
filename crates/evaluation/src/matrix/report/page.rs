//! The page of one fault: every subject with its figures, and how to repeat it.

use std::fmt::Write;

use super::symbol::{Symbol, text};
use super::{TIMINGS, anchor, cell, spread, subjects};
use crate::matrix::fault::Fault;
use crate::matrix::judge::{Judgement, Verdict};
use crate::matrix::summary::{Cell, Summary};
use crate::table::markdown;

/// One of the three verdicts.
type Promise = fn(&Judgement) -> &Verdict;

/// The page of `fault`, without the pictures.
#[must_use]
pub fn page(summary: &Summary, fault: &dyn Fault) -> String {
    let name = fault.name();
    let mut page =
        format!("<!-- Written by `just matrix` from docs/runs/matrix.json. -->\n\n# {name}\n\n{}\n", fault.what());
    if let Some(assumption) = fault.breaks() {
        writeln!(page, "It breaks what every election by a Lease assumes: that {assumption}.").ok();
    }
    if fault.allows_no_leader() {
        writeln!(
            page,
            "An election that lets nobody lead does what the Lease says, so this is not counted as a fault."
        )
        .ok();
    }
    let cells: Vec<(String, &Cell)> = subjects()
        .iter()
        .filter_map(|subject| Some((subject.to_string(), cell(summary, &subject.to_string(), &name)?)))
        .collect();
    if let Some(bound) = bound(fault) {
        writeln!(page, "Somebody has to lead again within {bound} of its end. Lease duration, renew deadline and retry period: {TIMINGS} s.").ok();
    }
    writeln!(page, "[All faults](../comparison.md#the-fault-matrix)\n").ok();
    page += &table(&cells);
    for (subject, cell) in &cells {
        page += &section(subject, &name, cell);
    }
    page
}

fn bound(fault: &dyn Fault) -> Option<String> {
    let mut parts = TIMINGS.split('/').map(|part| part.parse().ok().map(std::time::Duration::from_secs));
    let (lease_duration, renew_deadline, retry_period) = (parts.next()??, parts.next()??, parts.next()??);
    let timings = still_leading_testbed::Timings { lease_duration, renew_deadline, retry_period };
    Some(super::time(fault.bound(timings).as_millis() as f64))
}

fn table(cells: &[(String, &Cell)]) -> String {
    let header = [
        "election",
        "",
        "n",
        "two leaders",
        "stale acts",
        "longest gap",
        "led again after",
        "exits",
        "requests in a second",
    ];
    let rows: Vec<Vec<String>> = cells
        .iter()
        .map(|(subject, cell)| {
            let most = |of: fn(&crate::matrix::judge::Figures) -> f64| {
                cell.spread(|it| Some(of(it))).map_or("–".to_owned(), |(_, most)| format!("{most:.0}"))
            };
            vec![
                format!("[{subject}](#{})", anchor(subject)),
                text(cell),
                cell.n().to_string(),
                spread(cell.spread(|it| Some(it.overlap_ms))),
                most(|it| it.stale_acts as f64),
                spread(cell.spread(|it| Some(it.gap_ms))),
                spread(cell.spread(|it| it.recovered_ms)),
                most(|it| it.exits as f64),
                most(|it| it.traffic.peak as f64),
            ]
        })
        .collect();
    let note =
        "Times are medians, with the worst in parentheses where it is another; counts are the worst of the trials.\n";
    markdown(&header, &rows) + "\n" + note
}

fn section(subject: &str, fault: &str, cell: &Cell) -> String {
    let mut text = format!("\n## {subject}\n\n");
    let promises: [(&str, Promise); 3] =
        [("Safety", |it| &it.safety), ("Liveness", |it| &it.liveness), ("Manners", |it| &it.manners)];
    for (name, of) in promises {
        let (broken, n) = (cell.violated(of), cell.n());
        let first = cell.trials.iter().find_map(|it| match of(&it.judgement) {
            Verdict::Violated(how) => Some((it.number, how)),
            _ => None,
        });
        match (first, cell.unknown()) {
            (Some((number, how)), _) => {
                writeln!(text, "- {name}: broken in {broken} of {n}. Trial {number}: {how}.").ok();
            }
            (None, (count, Some(why))) => {
                writeln!(text, "- {name}: unknown in {count} of {n}: {}.", one_line(why)).unwrap_or(())
            }
            (None, _) => writeln!(text, "- {name}: held in {n} of {n}.").unwrap_or(()),
        }
    }
    let (variant, form) = subject.split_once('.').unwrap_or((subject, "template"));
    let again = format!(
        "cargo evaluate run --variant {variant} --form {form} --fault {fault} --trials 1 --real --release --out target/one"
    );
    writeln!(text, "- Again: `{again}`").ok();
    if Symbol::of(cell).0 > Symbol::Unknown {
        let file = format!("{subject}.{fault}");
        writeln!(
            text,
            "- The worst trial: `cargo evaluate replay --release docs/runs/matrix/{file}.json.gz`\n\n![its timeline]({file}.svg)"
        )
        .ok();
    }
    text
}

fn one_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
