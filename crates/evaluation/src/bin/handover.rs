//! Prints how long each variant takes to hand over, and writes the trials as JSON.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use futures::future::try_join_all;
use still_leading_evaluation::handover::{Fault, Series, measure};
use still_leading_evaluation::prepare;
use still_leading_evaluation::stats::{median, percentile};
use still_leading_evaluation::table::plain;
use still_leading_testbed::Variant;

/// How long nobody leads after a leader was asked to stop (SIGTERM) or killed (SIGKILL): all variants at the same time
/// on one real kube-apiserver, three replicas each, 15/10/2 s, release builds
#[derive(Debug, Parser)]
#[command(name = "handover", max_term_width = 120)]
struct Args {
    /// Variants to measure [default: all]
    variants: Vec<Variant>,

    /// Trials with SIGTERM, per variant
    #[arg(long, value_name = "N", default_value_t = 12)]
    sigterm: usize,

    /// Trials with SIGKILL, per variant; each takes about as long as the lease
    #[arg(long, value_name = "N", default_value_t = 6)]
    sigkill: usize,

    /// Where to write the trials
    #[arg(long, value_name = "FILE", default_value = "target/handover.json")]
    output: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let variants = if args.variants.is_empty() { Variant::ALL } else { &args.variants };
    let (server, options) = prepare(variants).await?;
    let faults = [(Fault::Sigterm, args.sigterm), (Fault::Sigkill, args.sigkill)];
    let mut running = Vec::new();
    for (fault, trials) in faults {
        for options in &options {
            running.push(measure(&server, options.clone(), fault, trials));
        }
    }
    let series = try_join_all(running).await?;
    drop(server);

    print!("{}", table(&series));
    let json = serde_json::to_string_pretty(&series)? + "\n";
    fs::write(&args.output, json).with_context(|| format!("writing {}", args.output.display()))?;
    eprintln!("wrote {}", args.output.display());
    Ok(())
}

fn table(series: &[Series]) -> String {
    let row = |one: &Series| {
        let [min, p95, max] = [0.0, 95.0, 100.0].map(|percent| percentile(&one.trials_ms, percent));
        let figures = [min, median(&one.trials_ms), p95, max].map(|figure| format!("{figure:.1}"));
        let name = [one.variant.clone(), format!("{:?}", one.fault), one.trials_ms.len().to_string()];
        name.into_iter().chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = series.iter().map(row).collect();
    let header = ["variant", "fault", "n", "min", "median", "p95", "max"];
    let mut text = String::from("from the signal to the successor's `leading`, in ms\n") + &plain(&header, 2, &rows);
    for one in series.iter().filter(|one| !one.after_expiry_ms.is_empty()) {
        let [median, p95] = [50.0, 95.0].map(|percent| percentile(&one.after_expiry_ms, percent));
        text += &format!("{}: {median:.1} ms after expiry at the median, {p95:.1} ms p95\n", one.variant);
    }
    let of = |variant: Variant| {
        let found = series.iter().find(|one| one.variant == variant.name() && one.fault == Fault::Sigterm);
        found.map(|one| median(&one.trials_ms)).filter(|median| median.is_finite())
    };
    if let (Some(native), Some(yardstick)) = (of(Variant::Native), of(Variant::ClientGo)) {
        text += &format!("SIGTERM, ratio of the medians client-go : native = {:.0} : 1\n", yardstick / native);
    }
    text
}
