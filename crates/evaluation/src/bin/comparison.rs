//! Writes the tables of `docs/comparison.md`, `docs/on-a-cluster.md` and `docs/one-replica.md`, and the one table of
//! `README.md`, from the records in `docs/runs/`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use still_leading_evaluation::comparison::{
    Sources, Table, markers, outdated, tables, tables_of_one_replica, tables_on_a_cluster,
};
use still_leading_evaluation::e2e::record::{E2E, Run};
use still_leading_evaluation::e2e::single::record::{SINGLE, Single};
use still_leading_evaluation::matrix::report;
use still_leading_evaluation::matrix::summary::{SUMMARY, Summary};
use still_leading_evaluation::record::{self, ARTEFACTS, Artefacts, BLACK_BOX, BlackBox, RECORD};
use still_leading_testbed::{Variant, workspace};

const COMPARISON: &str = "docs/comparison.md";
const ON_A_CLUSTER: &str = "docs/on-a-cluster.md";
const ONE_REPLICA: &str = "docs/one-replica.md";
const README: &str = "README.md";
/// The table of `docs/comparison.md` that README shows as well.
const IN_SHORT: &str = "in short";

/// Rewrites the tables of docs/comparison.md, docs/on-a-cluster.md, docs/one-replica.md and README.md from docs/runs/*.json.
/// The text around them is written by hand and stays
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
    let artefacts: Artefacts = record::read(&root.join(ARTEFACTS), RECORD)?;
    let black_box: BlackBox = record::read(&root.join(BLACK_BOX), RECORD)?;
    check_versions(&artefacts)?;

    let variants: Vec<&str> = Variant::ALL.iter().map(|variant| variant.name()).collect();
    let mut compared = tables(&artefacts, &black_box, &variants).context("docs/runs")?;
    compared.extend(report::tables(&Summary::read(&root.join(SUMMARY))?, &artefacts));
    let prose = markers::prose(&read(COMPARISON)?, &compared).context(COMPARISON)?;
    check_citations(&prose, &artefacts)?;
    let run = Run::read(&root.join(E2E))?;
    let tried = tables_on_a_cluster(&run, &variants).context(E2E)?;
    let single = tables_of_one_replica(&Single::read(&root.join(SINGLE))?).context(SINGLE)?;
    let mut drifted = false;
    let in_short: Vec<Table> = compared.iter().filter(|(name, _)| *name == IN_SHORT).cloned().collect();
    let documents = [(README, in_short), (COMPARISON, compared), (ON_A_CLUSTER, tried), (ONE_REPLICA, single)];
    for (document, tables) in documents {
        drifted |= fill_or_check(document, &tables, args.check)?;
    }
    if drifted {
        eprintln!("comparison: run `just comparison`");
    }
    Ok(ExitCode::from(u8::from(drifted)))
}

/// Writes the tables into a document, or with `check` says what is there instead; whether there is anything to say.
fn fill_or_check(document: &str, tables: &[Table], check: bool) -> Result<bool> {
    let text = read(document)?;
    if !check {
        let filled = markers::fill(&text, tables).context(document.to_owned())?;
        fs::write(workspace().join(document), filled).with_context(|| format!("writing {document}"))?;
        return Ok(false);
    }
    let drifted = markers::drift(&text, tables).context(document.to_owned())?;
    for (name, difference) in &drifted {
        eprintln!("{document}, table `{name}`, is not what docs/runs/ says:\n{difference}");
    }
    Ok(!drifted.is_empty())
}

fn read(document: &str) -> Result<String> {
    fs::read_to_string(workspace().join(document)).with_context(|| format!("reading {document}"))
}

/// The record is one of the crates that the lock files name.
fn check_versions(artefacts: &Artefacts) -> Result<()> {
    for variant in Variant::ALL {
        let Some(artefact) = artefacts.variants.get(variant.name()) else { continue };
        let folder = variant.folder();
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        let is_outdated = if folder.join("go.mod").is_file() {
            outdated(artefact, Sources::GoMod(&read(&folder.join("go.mod"))?))
        } else {
            outdated(artefact, Sources::CargoLock(&read(&folder.join("Cargo.lock"))?))
        };
        if let Some(what) = is_outdated.with_context(|| format!("comparing the record of {variant}"))? {
            bail!("{ARTEFACTS} is outdated: {variant} was measured with {what}: run `just record`");
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
            "{COMPARISON} does not say that its lines are those of {cited}: look at each line again, then say so"
        );
    }
    Ok(())
}
