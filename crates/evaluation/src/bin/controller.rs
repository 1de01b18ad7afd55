//! Measures the example `controller` under faults, records it under `docs/runs/`, and writes the tables of
//! `docs/controller-measured.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use still_leading_evaluation::artefact::{commit, measured};
use still_leading_evaluation::comparison::markers;
use still_leading_evaluation::controller::record::RECORD;
use still_leading_evaluation::controller::{AT_A_TIME, Lab, Part, Programs, Record, Trial, measure, tables};
use still_leading_testbed::{ApiServer, Assets, Profile, ServerKind, Variant, workspace};

const PAGE: &str = "docs/controller-measured.md";

/// Measures examples/controller, and examples/controller-go beside it, on a real kube-apiserver: three replicas, 5/3/0.5 s,
/// release builds. Half an hour on two cores
#[derive(Debug, Parser)]
#[command(name = "controller", max_term_width = 120)]
struct Args {
    /// Parts to measure; the records of the others stay [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,

    /// Trials of each kind; half as many of those with 5,000 objects
    #[arg(long, value_name = "N", default_value_t = 5)]
    trials: usize,

    /// Where the record is [default: docs/runs/controller.json of this repository]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Measure nothing: write the tables from the record
    #[arg(long, conflicts_with_all = ["only", "trials"])]
    tables: bool,

    /// Measure nothing: fail if the page has other tables than those of the record
    #[arg(long, conflicts_with_all = ["only", "trials", "tables"])]
    check: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let path = args.output.clone().unwrap_or_else(|| workspace().join(RECORD));
    if args.check {
        return check(&Record::read(&path)?);
    }
    let mut record = Record::read(&path)?;
    if !args.tables {
        record = run(&args, &path, record).await?;
    }
    let tables = tables(&record);
    for (name, table) in &tables {
        println!("{name}\n{table}");
    }
    if args.output.is_none() {
        let filled = markers::fill(&read_page()?, &tables).context(PAGE)?;
        fs::write(workspace().join(PAGE), filled).with_context(|| format!("writing {PAGE}"))?;
    }
    Ok(())
}

async fn run(args: &Args, path: &Path, record: Record) -> Result<Record> {
    Assets::find()?;
    let programs = build()?;
    eprintln!("starting etcd and kube-apiserver");
    let server = ApiServer::start(ServerKind::Real).await?;
    let kubernetes = server.client()?.apiserver_version().await?.git_version;
    let all = [Part::Safety, Part::Fence, Part::Takeover, Part::Graceful, Part::AgainstGo];
    let parts = if args.only.is_empty() { &all[..] } else { &args.only };
    let record = Mutex::new(record);
    let lock = || record.lock().map_err(|_| anyhow::anyhow!("a trial has panicked"));
    for part in parts {
        let word = serde_json::to_value(part)?;
        let command = format!("just controller --only {} --trials {}", word.as_str().unwrap_or_default(), args.trials);
        let measured = measured(command, *part == Part::AgainstGo, Some(kubernetes.clone()))?;
        lock()?.begin(*part, measured, commit(), AT_A_TIME);
        let note = |trial: Trial| {
            let Ok(mut record) = record.lock() else { return };
            record.add(*part, trial);
            // At once: a later trial may be interrupted.
            if let Err(error) = record.write(path) {
                eprintln!("{error:#}");
            }
        };
        measure(Lab { server: &server, programs: &programs, trials: args.trials }, *part, &note).await;
    }
    eprintln!("wrote {}", path.display());
    record.into_inner().map_err(|_| anyhow::anyhow!("a trial has panicked"))
}

fn build() -> Result<Programs> {
    eprintln!("building for release: the example, the same without its gate, and the one in Go");
    let controller = Variant::Controller.build(Profile::Release).context("building the example")?;
    let without_gate =
        Variant::Controller.build_without_gate(Profile::Release).context("building it without its gate")?;
    ensure!(fs::read(&controller)? != fs::read(&without_gate)?, "the gate makes no difference to the executable");
    let go = Variant::ControllerGo.build(Profile::Release).context("building the one in Go")?;
    Ok(Programs { controller, without_gate, go })
}

fn read_page() -> Result<String> {
    fs::read_to_string(workspace().join(PAGE)).with_context(|| format!("reading {PAGE}"))
}

fn check(record: &Record) -> Result<()> {
    let drifted = markers::drift(&read_page()?, &tables(record)).context(PAGE)?;
    for (name, difference) in &drifted {
        eprintln!("{PAGE}, table `{name}`, is not what {RECORD} says:\n{difference}");
    }
    if !drifted.is_empty() {
        bail!("run `just controller --tables`");
    }
    Ok(())
}
