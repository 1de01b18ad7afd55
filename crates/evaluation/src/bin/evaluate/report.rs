//! `cargo evaluate report`: takes runs into docs/runs/matrix.json, and writes the pages of faults. The tables of
//! docs/comparison.md are written by `comparison`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use still_leading_evaluation::matrix::report::{PAGES, TIMINGS, faults, page, picture};
use still_leading_evaluation::matrix::store::{self, Store};
use still_leading_evaluation::matrix::summary::{SUMMARY, Summary, timings};
use still_leading_evaluation::matrix::{picture as timeline, record::Trial};
use still_leading_testbed::workspace;

const HEAT: &str = "docs/matrix.svg";
/// The histories of the worst trials.
const WORST: &str = "docs/runs/matrix";

/// Takes in the runs of `dirs`, and writes everything.
///
/// # Errors
/// A run cannot be read, or a page not be written.
pub fn write(dirs: &[PathBuf]) -> Result<()> {
    let root = workspace();
    let mut summary = Summary::read(&root.join(SUMMARY))?;
    for dir in dirs {
        let store = Store::open(dir)?;
        let worst = summary.add(&store)?;
        // The pages show one picture a cell, of the timings that all faults are tried with.
        if timings(&store.run()?) == TIMINGS {
            worst.iter().try_for_each(keep)?;
        }
    }
    summary.write(&root.join(SUMMARY))?;
    for (path, text) in pages(&summary) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&root))?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    remove_stale(&summary)
}

/// Fails if a page is not what the summary says.
///
/// # Errors
/// One is not; which.
pub fn check() -> Result<()> {
    let root = workspace();
    let summary = Summary::read(&root.join(SUMMARY))?;
    let differs = |(path, text): &(PathBuf, String)| fs::read_to_string(root.join(path)).ok().as_ref() != Some(text);
    let wrong: Vec<String> =
        pages(&summary).iter().filter(|it| differs(it)).map(|(path, _)| path.display().to_string()).collect();
    if !wrong.is_empty() {
        bail!("not what {SUMMARY} says: {}; run `just matrix`", wrong.join(", "));
    }
    Ok(())
}

/// Each file that is made of the summary alone.
fn pages(summary: &Summary) -> Vec<(PathBuf, String)> {
    let page = |fault: &dyn still_leading_evaluation::matrix::fault::Fault| {
        (Path::new(PAGES).join(format!("{}.md", fault.name())), page(summary, fault))
    };
    let all = faults();
    // A fault that nobody was put under yet has no page.
    let tried = all.iter().filter(|fault| summary.cells.iter().any(|cell| cell.fault == fault.name()));
    let mut pages: Vec<(PathBuf, String)> = tried.map(|fault| page(fault.as_ref())).collect();
    if !pages.is_empty() {
        pages.push((PathBuf::from(HEAT), picture(summary)));
    }
    pages
}

fn keep(trial: &Trial) -> Result<()> {
    let name = format!("{}.{}", trial.subject, trial.fault);
    let root = workspace();
    for folder in [WORST, PAGES] {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("making {folder}"))?;
    }
    store::write(&root.join(WORST).join(format!("{name}.json.gz")), trial)?;
    let svg = root.join(PAGES).join(format!("{name}.svg"));
    fs::write(&svg, timeline::of(trial)).with_context(|| format!("writing {}", svg.display()))
}

/// A cell that holds now has no worst trial.
fn remove_stale(summary: &Summary) -> Result<()> {
    let root = workspace();
    let broken: BTreeSet<String> = summary.broken().map(|cell| format!("{}.{}", cell.subject, cell.fault)).collect();
    for (folder, ending) in [(WORST, ".json.gz"), (PAGES, ".svg")] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.strip_suffix(ending).is_some_and(|name| !broken.contains(name)) {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
    }
    Ok(())
}
