//! `cargo simulate`.

mod args;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use args::{Args, one_line};
use still_leading_simulation::check::Violation;
use still_leading_simulation::control::Control;
use still_leading_simulation::picture;
use still_leading_simulation::plan::Plan;
use still_leading_simulation::run::{Summary, many};
use still_leading_simulation::shrink::shrink;
use still_leading_simulation::time::seconds;
use still_leading_simulation::world::World;

/// More failing seeds than this are counted, not listed.
const LISTED_MAX: usize = 10;
const BAD_COMMAND_LINE: u8 = 2;

fn main() -> ExitCode {
    let args = match Args::try_from_words(std::env::args_os()) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            eprintln!("{}", one_line(&error));
            return ExitCode::from(BAD_COMMAND_LINE);
        }
        Err(help) => {
            // Nobody may be reading it.
            help.print().ok();
            return ExitCode::SUCCESS;
        }
    };
    let mut out = io::stdout().lock();
    let result = match args.seed {
        Some(seed) => replay(&mut out, &args, seed),
        None => search(&mut out, &args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs many seeds, and explains the first one that fails.
fn search(out: &mut impl Write, args: &Args) -> Result<bool> {
    let start = Instant::now();
    let bar = progress(args.seeds);
    let summary = many(args.from, args.seeds, args.control, || bar.inc(1));
    let took = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    if let Some((seed, violation)) = summary.failures.first() {
        explain(out, args, *seed, violation)?;
    }
    for (seed, violation) in summary.failures.iter().take(LISTED_MAX) {
        writeln!(out, "seed {seed}: {violation}")?;
    }
    let unlisted = summary.failures.len().saturating_sub(LISTED_MAX);
    if unlisted > 0 {
        writeln!(out, "and {unlisted} seeds more")?;
    }
    describe(out, &summary)?;
    let (seeds, overlaps, stuck) = (summary.seeds, summary.overlaps(), summary.stuck());
    writeln!(out, "{seeds} seeds, {overlaps} overlaps, {stuck} stuck, {took:.1} s")?;
    Ok(summary.failures.is_empty())
}

fn describe(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let ((took, seed, bound), (percent, tightest)) = (summary.slowest, summary.tightest);
    let (took, bound) = (seconds(took), seconds(bound));
    writeln!(
        out,
        "{} terms; the longest recovery after the last fault took {took} s of at most {bound} s (seed {seed}),",
        summary.terms
    )?;
    writeln!(out, "and seed {tightest} used {percent} percent of its bound")
}

/// What is needed to understand the seed, and to see it again.
fn explain(out: &mut impl Write, args: &Args, seed: u64, violation: &Violation) -> Result<()> {
    let smallest = shrink(&Plan::of(seed), args.control, violation.kind);
    let mut world = World::new(&smallest, args.control, true);
    let found = world.run();
    for line in &world.record.lines {
        writeln!(out, "{line}")?;
    }
    plan(out, &smallest)?;
    writeln!(out, "the trace above is that of the smallest set of faults that fails; all of seed {seed}:")?;
    let control = args.control.map_or(String::new(), |control| format!(" --control {control}"));
    writeln!(out, "  cargo simulate --seed {seed}{control} --svg target/seed-{seed}.svg")?;
    if let Some(file) = &args.svg {
        draw(file, &world, found.as_ref(), seed, args.control)?;
    }
    Ok(())
}

/// One seed with all that happens in it.
fn replay(out: &mut impl Write, args: &Args, seed: u64) -> Result<bool> {
    let start = Instant::now();
    let whole = Plan::of(seed);
    let mut world = World::new(&whole, args.control, true);
    let violation = world.run();
    for line in &world.record.lines {
        writeln!(out, "{line}")?;
    }
    plan(out, &whole)?;
    if let Some(file) = &args.svg {
        draw(file, &world, violation.as_ref(), seed, args.control)?;
        writeln!(out, "the timeline is in {}", file.display())?;
    }
    let mut summary = Summary::default();
    summary.add(seed, violation.clone(), &world);
    if let Some(violation) = violation {
        writeln!(out, "{violation}")?;
        writeln!(out, "the smallest set of faults that fails in the same way:")?;
        for fault in &shrink(&whole, args.control, violation.kind).faults {
            writeln!(out, "  {fault}")?;
        }
    }
    describe(out, &summary)?;
    let (overlaps, stuck, took) = (summary.overlaps(), summary.stuck(), start.elapsed().as_secs_f64());
    writeln!(out, "1 seeds, {overlaps} overlaps, {stuck} stuck, {took:.1} s")?;
    Ok(summary.failures.is_empty())
}

fn plan(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    for spec in &plan.replicas {
        let timing = &spec.timing;
        writeln!(
            out,
            "{} {:?}, renew deadline {:.1?}, retry period {:.1?}, clock rate {:.3}",
            timing.identity, timing.lease_duration, timing.renew_deadline, timing.retry_period, spec.rate
        )?;
    }
    for fault in &plan.faults {
        writeln!(out, "{fault}")?;
    }
    let (healed, bound) = (seconds(plan.healed), seconds(plan.bound));
    writeln!(
        out,
        "the Lease is {:?} at first; all is well at {healed} s, and somebody must lead {bound} s later",
        plan.initially
    )
}

fn draw(file: &Path, world: &World, violation: Option<&Violation>, seed: u64, control: Option<Control>) -> Result<()> {
    let broken = control.map_or(String::new(), |control| format!(", {control}"));
    let found = violation.map_or(String::new(), |violation| format!(": {violation}"));
    let title = format!("seed {seed}{broken}{found}");
    fs::write(file, picture::draw(world, violation, &title)).with_context(|| format!("writing {}", file.display()))
}

/// Seconds matter only to a person who waits.
fn progress(seeds: u64) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {eta} left");
    ProgressBar::with_draw_target(Some(seeds), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
