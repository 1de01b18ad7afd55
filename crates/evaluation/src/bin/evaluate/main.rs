//! `cargo evaluate`: puts subjects under faults, judges what was recorded, and repeats single trials.

mod args;
mod expect;
mod progress;
mod report;
mod show;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use still_leading_evaluation::artefact::{commit, measured};
use still_leading_evaluation::matrix::calibrate::calibrate;
use still_leading_evaluation::matrix::fault::Fault;
use still_leading_evaluation::matrix::faults;
use still_leading_evaluation::matrix::judge::{Judgement, judge};
use still_leading_evaluation::matrix::record::{Millis, Trial};
use still_leading_evaluation::matrix::run::{Order, cells, run};
use still_leading_evaluation::matrix::store::{self, Run, Store};
use still_leading_evaluation::matrix::subject::Subject;
use still_leading_testbed::{ApiServer, Assets, Profile, ServerKind, Timings};

use args::{Args, Command, NATIVE, RunArgs};
use expect::unexpected;
use progress::Progress;

/// So few trials need no calibration.
const FEW: usize = 6;
/// Of so few everything is shown, and a picture.
const SINGLE: usize = 4;
/// Exit code when something was found: a promise broken by what must not break it.
const FOUND: u8 = 3;

/// An error is one line.
#[tokio::main]
async fn main() -> ExitCode {
    command().await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn command() -> Result<ExitCode> {
    match Args::parse().command {
        Command::Run(args) => run_order(args).await,
        Command::Judge { dir } => judge_again(&dir),
        Command::Replay { trial, only_show, release } => replay(&trial, only_show, release).await,
        Command::Report { check: true, .. } => report::check().map(|()| ExitCode::SUCCESS),
        Command::Report { dirs, .. } => report::write(&dirs).map(|()| ExitCode::SUCCESS),
        Command::List => {
            show::list();
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn run_order(args: RunArgs) -> Result<ExitCode> {
    let (subjects, faults) = (args.subjects()?, args.faults()?);
    let kind = args.server();
    if kind == ServerKind::Real {
        // First, so that it is not found missing after minutes of building.
        Assets::find()?;
    }
    let timings = args.timings();
    let profile = if args.release { Profile::Release } else { Profile::Debug };
    let subjects = build(&subjects, profile)?;
    let (trials, seed) = (args.trials, args.seed);
    let order =
        Order { subjects: &subjects, faults: &faults, wants: &RunArgs::wants, trials, timings, seed, parallel: 1 };
    eprintln!("starting the API server ({kind})");
    let server = ApiServer::start(kind).await?;
    let mut description = describe(&args, &server, timings).await?;
    let store = Store::begin(&args.out, &mut description)?;
    let missing = order.missing(&store);
    let (parallel, calibration) = match missing {
        0..=FEW => (args.parallel.min(FEW), description.calibration.take()),
        _ => {
            eprintln!("calibrating: how many trials does this machine bear side by side?");
            let native = NATIVE.build(profile)?;
            let tell = |said: String| eprintln!("  {said}");
            let (parallel, calibration) = calibrate(&server, &native, timings, args.parallel, &tell).await?;
            (parallel, Some(calibration))
        }
    };
    (description.parallel, description.calibration) = (parallel, calibration);
    store.keep(&description)?;
    let order = Order { parallel, ..order };
    let bar = Progress::of(missing);
    let note = |trial: &Trial, judged: &Judgement| bar.note(&show::line(trial, judged));
    let done = run(&server, &order, &store, &note).await;
    bar.finish();
    done?;
    drop(server);
    let cells = cells(&store)?;
    if args.trials * subjects.len() * faults.len() <= SINGLE {
        for (subject, _) in &subjects {
            faults.iter().try_for_each(|fault| show_one(&store, *subject, fault.as_ref(), args.trials))?;
        }
    } else {
        print!("{}", show::table(&cells));
    }
    eprintln!(
        "{} trials in {}; `cargo evaluate judge {}` judges them again",
        cells.values().map(Vec::len).sum::<usize>(),
        args.out.display(),
        args.out.display()
    );
    match args.expect {
        true => expect(&cells, &faults),
        false => Ok(ExitCode::SUCCESS),
    }
}

/// Everything about each of them, and a picture.
fn show_one(store: &Store, subject: Subject, fault: &dyn Fault, trials: usize) -> Result<()> {
    for number in 1..=trials {
        let path = store.path(&subject.to_string(), &fault.name(), number);
        if !path.is_file() {
            // It could not be tried, and its line has said why.
            continue;
        }
        let trial = store::read(&path)?;
        print!("{}", show::whole(&trial, &judge(&trial)));
        let picture = path.with_extension("").with_extension("svg");
        std::fs::write(&picture, show::picture(&trial)).with_context(|| format!("writing {}", picture.display()))?;
        println!("  timeline: {}", picture.display());
    }
    Ok(())
}

/// Native has to hold everything, and each control has to be caught by what it is made for.
fn expect(
    cells: &std::collections::BTreeMap<(String, String), Vec<Judgement>>,
    faults: &[Box<dyn Fault>],
) -> Result<ExitCode> {
    let wrong = unexpected(cells, faults);
    for line in &wrong {
        eprintln!("unexpected: {line}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn build(subjects: &[Subject], profile: Profile) -> Result<Vec<(Subject, std::path::PathBuf)>> {
    let mut built = Vec::new();
    for subject in subjects {
        if let Some(missing) = subject.missing_toolchain() {
            eprintln!("note: {subject} is left out: {missing}");
            continue;
        }
        eprintln!("building {subject}");
        built.push((*subject, subject.build(profile)?));
    }
    ensure!(!built.is_empty(), "there is nothing to be tried");
    Ok(built)
}

async fn describe(args: &RunArgs, server: &ApiServer, timings: Timings) -> Result<Run> {
    let kubernetes = server.client()?.apiserver_version().await?.git_version;
    Ok(Run {
        server: server.kind().to_string(),
        seed: args.seed,
        profile: if args.release { "release" } else { "debug" }.to_owned(),
        timings: Millis::from(timings),
        commit: commit(),
        measured: measured(args.command(), true, Some(kubernetes))?,
        parallel: args.parallel,
        calibration: None,
    })
}

fn judge_again(dir: &Path) -> Result<ExitCode> {
    print!("{}", show::table(&cells(&Store::open(dir)?)?));
    Ok(ExitCode::SUCCESS)
}

async fn replay(path: &Path, only_show: bool, release: bool) -> Result<ExitCode> {
    let recorded = store::read(path)?;
    println!("recorded:");
    print!("{}", show::whole(&recorded, &judge(&recorded)));
    if only_show {
        return Ok(ExitCode::SUCCESS);
    }
    let subject: Subject = recorded.subject.parse().map_err(anyhow::Error::msg)?;
    let what = faults::find(&recorded.fault).map_err(anyhow::Error::msg)?;
    let kind = ServerKind::ALL.into_iter().find(|kind| kind.name() == recorded.server).context("no such server")?;
    if kind == ServerKind::Real {
        Assets::find()?;
    }
    let profile = if release { Profile::Release } else { Profile::Debug };
    let Some(built) = build(&[subject], profile)?.pop() else { bail!("{subject} cannot be built here") };
    let server = ApiServer::start(kind).await?;
    let plan = still_leading_evaluation::matrix::trial::Plan {
        server: kind,
        subjects: &[built],
        fault: what.as_ref(),
        timings: args::timings_of(recorded.timings),
        number: recorded.number,
        seed: recorded.seed,
    };
    println!("again:");
    for trial in still_leading_evaluation::matrix::trial::run(&server, &plan).await {
        print!("{}", show::whole(&trial, &judge(&trial)));
    }
    Ok(ExitCode::SUCCESS)
}
