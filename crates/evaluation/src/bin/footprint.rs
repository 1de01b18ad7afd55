//! Prints what each variant weighs: the size of its executable, its resident memory, and its requests while nothing
//! happens.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use still_leading_evaluation::footprint::{Footprint, Window, weigh};
use still_leading_evaluation::prepare;
use still_leading_evaluation::stats::median;
use still_leading_testbed::Variant;

const MB: f64 = 1e6;

/// What each variant weighs: executable, resident memory, and requests per retry period while nothing happens. Three
/// replicas on a real kube-apiserver, 15/10/2 s, release builds. Ends with 1 if native is heavier than promised
#[derive(Debug, Parser)]
#[command(name = "footprint", max_term_width = 120)]
struct Args {
    /// Variants to weigh [default: all]
    variants: Vec<Variant>,

    /// Renewals to wait for
    #[arg(long, value_name = "N", default_value_t = 10)]
    renewals: usize,

    /// What native may have resident at the median of its replicas, in megabytes (1e6 bytes)
    #[arg(long, value_name = "MB", default_value_t = 12.0)]
    resident_max: f64,

    /// What the executable of native may measure, in megabytes (1e6 bytes)
    #[arg(long, value_name = "MB", default_value_t = 12.0)]
    executable_max: f64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let variants = if args.variants.is_empty() { Variant::ALL } else { &args.variants };
    let (server, options) = prepare(variants).await?;
    let window = Window { renewals: args.renewals, at_least: Duration::ZERO };
    println!("{:<22}{:>12}{:>18}{:>30}", "variant", "executable", "resident (max)", "requests per retry period");
    println!("{:<22}{:>12}{:>18}{:>18}{:>12}", "", "MB", "MB", "leader", "standby");
    let mut heavy = false;
    for options in options {
        let name = options.variant;
        let footprint = weigh(&server, options, window).await?;
        let (executable, median, most) = megabytes(&footprint);
        let [leader, standby] = [footprint.leader_requests(), footprint.standby_requests()];
        let resident = format!("{median:.1} ({most:.1})");
        println!("{name:<22}{executable:>12.1}{resident:>18}{leader:>18.2}{standby:>12.2}");
        heavy |= name == Variant::Native && (median > args.resident_max || executable > args.executable_max);
    }
    if heavy {
        eprintln!(
            "native is heavier than {} MB resident or a {} MB executable",
            args.resident_max, args.executable_max
        );
    }
    Ok(ExitCode::from(u8::from(heavy)))
}

/// The executable, and of the replicas' resident memory the median and the most.
fn megabytes(footprint: &Footprint) -> (f64, f64, f64) {
    let resident: Vec<f64> = footprint.resident_bytes().map(|bytes| bytes as f64 / MB).collect();
    (footprint.executable_bytes as f64 / MB, median(&resident), resident.iter().copied().fold(0.0, f64::max))
}
