//! Tries the deployed variants on a cluster; see `just e2e --help`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;
use still_leading_evaluation::e2e::args::{Args, Other, one_line};
use still_leading_evaluation::e2e::cluster::Cluster;
use still_leading_evaluation::e2e::record::{Run, failures};
use still_leading_evaluation::e2e::single::record::{Row, Single};
use still_leading_evaluation::e2e::single::setting::STOPPING_SECONDS;
use still_leading_evaluation::e2e::{run, single};
use still_leading_evaluation::record::{self, Machine};
use still_leading_testbed::{machine, workspace};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            eprintln!("{}", one_line(&error));
            return ExitCode::from(USAGE);
        }
        Err(help) => help.exit(),
    };
    let cluster = match Cluster::connect(&args).await {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(USAGE);
        }
    };
    // Whichever comes, returning drops the cluster, and that heals it.
    select! {
        biased;
        signalled = interrupted() => match signalled {
            Ok(()) => {
                eprintln!("interrupted; what is deployed stays: skaffold delete -p <variant>");
                ExitCode::from(INTERRUPTED)
            }
            Err(error) => failed(&error),
        },
        end = tried(&cluster, &args) => end.unwrap_or_else(|error| failed(&error)),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(FAILED)
}

async fn tried(cluster: &Cluster, args: &Args) -> Result<ExitCode> {
    match args.command {
        Some(Other::Single) => one_replica(cluster, args).await,
        None => all(cluster, args).await,
    }
}

/// Tries one replica under each setting, and writes down what came of those so far after each.
async fn one_replica(cluster: &Cluster, args: &Args) -> Result<ExitCode> {
    let path = args.output.clone().unwrap_or_else(|| workspace().join("target/single.json"));
    let Run { date, command, machine, kubernetes, nodes, tools, .. } = begin(cluster)?;
    let (stopping_s, rows) = (STOPPING_SECONDS, Vec::new());
    let mut record = Single { date, command, machine, kubernetes, nodes, tools, stopping_s, rows };
    single::run(cluster, args, |rows| {
        record.rows.extend(rows);
        record::write(&path, &record)
    })
    .await?;
    eprintln!("wrote {}", path.display());
    let broken = record.rows.iter().any(Row::is_broken);
    Ok(ExitCode::from(if broken { FAILED } else { 0 }))
}

/// Tries one variant after the other, and writes down what came of those so far after each.
async fn all(cluster: &Cluster, args: &Args) -> Result<ExitCode> {
    let path = args.output.clone().unwrap_or_else(|| workspace().join("target/e2e.json"));
    // First, so that a machine that cannot be told is not found out about after half an hour.
    let mut run = if args.verify { None } else { Some(begin(cluster)?) };
    let mut unexpected = Vec::new();
    for variant in args.variants() {
        let tried = run::variant(cluster, args, variant).await;
        unexpected.extend(failures(variant, &tried));
        if let Some(run) = &mut run {
            run.variants.insert(variant.to_string(), tried);
            run.write(&path)?;
        }
    }
    if run.is_some() {
        eprintln!("wrote {}", path.display());
    }
    for failure in &unexpected {
        eprintln!("not as expected: {failure}");
    }
    Ok(ExitCode::from(if unexpected.is_empty() { 0 } else { FAILED }))
}

/// A record of nothing, yet.
fn begin(cluster: &Cluster) -> Result<Run> {
    let machine::Machine { cpus, memory_gib, os } = machine::Machine::here()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    Ok(Run {
        date: Timestamp::now().strftime("%F").to_string(),
        command: format!("just e2e {}", words.join(" ")).trim().to_owned(),
        machine: Machine { cpus, memory_gib, os },
        kubernetes: cluster.kubernetes.clone(),
        nodes: cluster.nodes,
        tools: cluster.tools.clone(),
        variants: BTreeMap::new(),
    })
}

/// Ends with the first signal that asks for the end. Further ones change nothing: what is broken has to be healed.
async fn interrupted() -> Result<()> {
    let listen = |kind| signal(kind).context("listening for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
