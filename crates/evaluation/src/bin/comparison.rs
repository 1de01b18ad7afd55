//! Writes the tables of `docs/comparison.md` from the records in `docs/runs/`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use still_leading_evaluation::comparison::{Sources, markers, stale, tables};
use still_leading_evaluation::record::{self, ARTEFACTS, Artefacts, BLACK_BOX, BlackBox};
use still_leading_testbed::{Variant, workspace};

const DOCUMENT: &str = "docs/comparison.md";

/// Rewrites the tables of docs/comparison.md from docs/runs/*.json. The text around them is written by hand and stays
#[derive(Debug, Parser)]
#[command(name = "comparison", max_term_width = 120)]
struct Args {
    /// Write nothing; fail if a table is not what the records say
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("comparison: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(args: &Args) -> Result<ExitCode> {
    let root = workspace();
    let artefacts: Artefacts = record::read(&root.join(ARTEFACTS))?;
    let black_box: BlackBox = record::read(&root.join(BLACK_BOX))?;
    check_versions(&artefacts)?;

    let variants: Vec<&str> = Variant::ALL.iter().map(|variant| variant.name()).collect();
    let tables = tables(&artefacts, &black_box, &variants).context("docs/runs")?;
    let path = root.join(DOCUMENT);
    let document = fs::read_to_string(&path).with_context(|| format!("reading {DOCUMENT}"))?;
    check_citations(&markers::prose(&document, &tables).context(DOCUMENT)?, &artefacts)?;
    if !args.check {
        fs::write(&path, markers::fill(&document, &tables).context(DOCUMENT)?)
            .with_context(|| format!("writing {DOCUMENT}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let drifted = markers::drift(&document, &tables).context(DOCUMENT)?;
    for (name, difference) in &drifted {
        eprintln!("{DOCUMENT}, table `{name}`, is not what docs/runs/ says:\n{difference}");
    }
    if !drifted.is_empty() {
        eprintln!("comparison: run `just comparison`");
    }
    Ok(ExitCode::from(u8::from(!drifted.is_empty())))
}

/// The record is one of the crates that the lock files name.
fn check_versions(artefacts: &Artefacts) -> Result<()> {
    for variant in Variant::ALL {
        let Some(artefact) = artefacts.variants.get(variant.name()) else { continue };
        let folder = variant.folder();
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        let is_stale = if folder.join("go.mod").is_file() {
            stale(artefact, Sources::GoMod(&read(&folder.join("go.mod"))?))
        } else {
            stale(artefact, Sources::CargoLock(&read(&folder.join("Cargo.lock"))?))
        };
        if let Some(what) = is_stale.with_context(|| format!("comparing the record of {variant}"))? {
            bail!("{ARTEFACTS} is stale: {variant} was measured with {what}: run `just record`");
        }
    }
    Ok(())
}

/// The text by hand cites lines of each crate, which hold for one version only; it is to say for which.
fn check_citations(prose: &str, artefacts: &Artefacts) -> Result<()> {
    for artefact in artefacts.variants.values() {
        let Some(version) = &artefact.package.version else { continue };
        let cited = format!("{} {version}", artefact.package.name);
        ensure!(
            prose.contains(&cited),
            "{DOCUMENT} does not say that its lines are those of {cited}: look at each line again, then say so"
        );
    }
    Ok(())
}
