//! Checks the lines of other people's source that our documents cite.
//!
//! `citations.toml` lists the citations: which lines, where they are cited, and text that these lines contain.
//!
//! - `lines::…` looks for that text in the sources of the versions that the lock files name. After a version bump it lists
//!   every stale line, and where its text is now.
//! - `version::…` compares the versions in `citations.toml` with the lock files.
//! - `document::…` reads the documents and fails for a citation that has no row, and for a row that nothing cites.
//!
//! Cargo brings the sources of crates. If Go or client-go's source cannot be had, `lines::client-go` is ignored, and a note
//! gives the reason.

mod check;
mod data;
mod document;
mod lines;
mod own;
mod scan;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use libtest_mimic::{Arguments, Failed, Trial};
use still_leading_testbed::workspace;

use data::{Data, Source};
use document::{Document, documents};

const DATA: &str = "crates/evaluation/tests/citations/citations.toml";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let data = match Data::read(&workspace().join(DATA)) {
        Ok(data) => Arc::new(data),
        Err(error) => {
            eprintln!("citations: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let documents = documents();
    let mut trials: Vec<Trial> = own::cases().into_iter().map(|(name, run)| trial(name.to_owned(), run)).collect();
    trials.push(kinds(&data, &documents));
    trials.extend(documents.into_iter().map(|it| document(&data, it)));
    trials.extend((0..data.sources.len()).map(|place| version(&data, place)));
    trials.extend(lines_of_crates(&data));
    trials.extend(lines_of_modules(&data, arguments.list));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: String, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, || run().map_err(|error| Failed::from(format!("{error:#}"))))
}

/// Returns all findings as one error.
fn none(findings: &[String]) -> Result<()> {
    match findings {
        [] => Ok(()),
        findings => bail!("{}", findings.join("\n")),
    }
}

fn document(data: &Arc<Data>, document: Document) -> Trial {
    let data = Arc::clone(data);
    trial(format!("document::{}", document.path), move || none(&check::look(&data, &document)?))
}

fn version(data: &Arc<Data>, place: usize) -> Trial {
    let data = Arc::clone(data);
    let Source { name, app, .. } = &data.sources[place];
    trial(format!("version::{app}::{name}"), move || sources::check_version(&data.sources[place]))
}

/// Checks that every row names kinds of document that exist.
fn kinds(data: &Arc<Data>, documents: &[Document]) -> Trial {
    let known: BTreeSet<&str> = documents.iter().map(|document| document.kind).collect();
    let rows = data.sources.iter().flat_map(|source| &source.lines);
    let named = rows.flat_map(|row| &row.cited_in).chain(data.not_lines.keys());
    let unknown: Vec<String> = named.filter(|kind| !known.contains(kind.as_str())).cloned().collect();
    trial("data::every_row_is_of_a_document".to_owned(), move || {
        none(&unknown).context("there are no documents of the kind")
    })
}

/// One trial per variant, because cargo brings all sources of a variant at once.
fn lines_of_crates(data: &Arc<Data>) -> Vec<Trial> {
    let crates = data.sources.iter().filter(|source| source.module.is_none());
    let apps: BTreeSet<String> = crates.map(|source| source.app.clone()).collect();
    let trial_of = |app: String| {
        let data = Arc::clone(data);
        trial(format!("lines::{app}"), move || {
            let folders = sources::of_crates(&app)?;
            let of_app = data.sources.iter().filter(|source| source.module.is_none() && source.app == app);
            let mut findings = Vec::new();
            for source in of_app {
                findings.extend(stale_in(source, sources::find(&folders, source)?));
            }
            none(&findings)
        })
    };
    apps.into_iter().map(trial_of).collect()
}

/// One trial per Go module. It is ignored if the source is not here and cannot be downloaded; a note gives the reason.
fn lines_of_modules(data: &Arc<Data>, is_listing: bool) -> Vec<Trial> {
    let mut places: BTreeMap<usize, Result<PathBuf>> = BTreeMap::new();
    for (place, source) in data.sources.iter().enumerate() {
        if let Some(module) = &source.module {
            places.insert(place, sources::of_module(&source.app, module));
        }
    }
    let trial_of = |(place, folder): (usize, Result<PathBuf>)| {
        let data = Arc::clone(data);
        let name = format!("lines::{}", data.sources[place].app);
        if let (Err(reason), false) = (&folder, is_listing) {
            eprintln!("note: {name} is ignored: {reason:#}");
        }
        let is_ignored = folder.is_err();
        trial(name, move || none(&stale_in(&data.sources[place], &folder?))).with_ignored_flag(is_ignored)
    };
    places.into_iter().map(trial_of).collect()
}

fn stale_in(source: &Source, folder: &Path) -> Vec<String> {
    lines::stale(source, |file| std::fs::read_to_string(folder.join(file)).ok())
}
