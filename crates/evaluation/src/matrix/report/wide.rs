//! The matrix: a row for each fault, a column for each variant.

use std::fmt::Write;

use super::symbol::{Symbol, text};
use super::{anchor, cell, columns, faults, spread};
use crate::matrix::subject::{Control, Subject};
use crate::matrix::summary::{Summary, timings};
use crate::table::markdown;

/// The matrix, each cell with a link to its section.
#[must_use]
pub fn wide(summary: &Summary) -> String {
    let names: Vec<String> = columns().iter().map(|(variant, _)| variant.to_string()).collect();
    let header: Vec<&str> = ["fault"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = faults()
        .iter()
        .map(|fault| {
            let fault = fault.name();
            let cells = columns().into_iter().map(|(_, subjects)| {
                let of = |subject: &String| match cell(summary, subject, &fault) {
                    Some(cell) => format!("[{}](matrix/{fault}.md#{})", text(cell), anchor(subject)),
                    None => "–".to_owned(),
                };
                subjects.iter().map(of).collect::<Vec<_>>().join(" · ")
            });
            [format!("[{fault}](matrix/{fault}.md)")].into_iter().chain(cells).collect()
        })
        .collect();
    markdown(&header, &rows) + "\n" + &totals(summary)
}

/// Each negative control under the fault that is made for it.
#[must_use]
pub fn controls(summary: &Summary) -> String {
    let header = ["negative control", "fault", "caught", "two leaders"];
    let rows = Control::ALL.into_iter().filter_map(|control| {
        let cell = cell(summary, &Subject::Control(control).to_string(), control.caught_by())?;
        let caught = format!("{} of {}", cell.violated(|it| &it.safety), cell.n());
        let overlap = spread(cell.spread(|it| Some(it.overlap_ms)));
        Some(vec![control.name().to_owned(), control.caught_by().to_owned(), caught, overlap])
    });
    markdown(&header, &rows.collect::<Vec<_>>())
}

/// For each subject, how many cells ended how.
fn totals(summary: &Summary) -> String {
    let mut text = String::from("In all:\n\n");
    for (_, subjects) in columns() {
        for subject in subjects {
            let cells: Vec<_> = faults().iter().filter_map(|fault| cell(summary, &subject, &fault.name())).collect();
            let count = |symbol: Symbol| cells.iter().filter(|cell| Symbol::of(cell).0 == symbol).count();
            let all =
                [Symbol::Held, Symbol::Unsafe, Symbol::Leaderless, Symbol::Rude, Symbol::Excused, Symbol::Unknown];
            let counts: Vec<String> = all
                .into_iter()
                .map(|symbol| (symbol, count(symbol)))
                .filter(|(_, count)| *count > 0)
                .map(|(symbol, count)| format!("{} {count}", symbol.sign()))
                .collect();
            if !cells.is_empty() {
                writeln!(text, "- {subject}: {} of {} faults", counts.join(", "), cells.len()).ok();
            }
        }
    }
    text
}

/// How the runs were made.
#[must_use]
pub fn made(summary: &Summary) -> String {
    let mut text = String::new();
    for (place, run) in summary.runs.iter().enumerate() {
        let cells = summary.cells.iter().filter(|cell| cell.run == place);
        let (count, trials) = cells.fold((0, 0), |(count, trials), cell| (count + 1, trials + cell.n()));
        let measured = &run.measured;
        let machine = &measured.machine;
        writeln!(
            text,
            "- {} at {} s: {count} cells, {trials} trials; {}, commit {}, {} build, kube-apiserver {}; {} CPUs, {} GiB, {}; `{}`.",
            measured.date,
            timings(run),
            if run.server == "real" { "real API server" } else { "embedded API server" },
            run.commit,
            run.profile,
            measured.kubernetes.as_deref().unwrap_or("–"),
            machine.cpus,
            machine.memory_gib,
            machine.os,
            measured.command,
        )
        .ok();
        if let Some(calibration) = &run.calibration {
            let tried: Vec<String> = calibration
                .tried
                .iter()
                .map(|(parallel, ms)| format!("{ms:.0} ms with {parallel} side by side"))
                .collect();
            writeln!(
                text,
                "  Up to {} trials ran side by side: native handed over in {:.0} ms alone, {}.",
                run.parallel,
                calibration.serial_ms,
                tried.join(", "),
            )
            .ok();
        }
    }
    text
}
