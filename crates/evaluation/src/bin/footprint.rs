//! Prints what each variant weighs: the size of its executable, its resident memory, and its requests while nothing
//! happens.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use still_leading_evaluation::prepare;
use still_leading_evaluation::stats::median;
use still_leading_testbed::{ControlPlane, Fleet, FleetOptions, Variant, Verb, history};

/// Longer than anything here takes.
const BOUND: Duration = Duration::from_secs(120);

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

    /// What native may have resident, in megabytes (1e6 bytes)
    #[arg(long, value_name = "MB", default_value_t = 12.0)]
    resident_max: f64,

    /// What the executable of native may measure, in megabytes (1e6 bytes)
    #[arg(long, value_name = "MB", default_value_t = 10.0)]
    executable_max: f64,
}

struct Weight {
    executable_mb: f64,
    resident_mb: Vec<f64>,
    leader_requests: f64,
    standby_requests: f64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let variants = if args.variants.is_empty() { Variant::ALL } else { &args.variants };
    let (control_plane, options) = prepare(variants).await?;
    println!("{:<12}{:>14}{:>20}{:>34}", "variant", "executable", "resident (max)", "requests per retry period");
    println!("{:<12}{:>14}{:>20}{:>20}{:>14}", "", "MB", "MB", "leader", "standby");
    let mut heavy = false;
    for options in options {
        let name = options.variant;
        let weight = weigh(&control_plane, options, args.renewals).await?;
        let resident_max = weight.resident_mb.iter().copied().fold(0.0, f64::max);
        let resident = format!("{:.1} ({resident_max:.1})", median(&weight.resident_mb));
        let (executable, leader, standby) = (weight.executable_mb, weight.leader_requests, weight.standby_requests);
        println!("{name:<12}{executable:>14.1}{resident:>20}{leader:>20.2}{standby:>14.2}");
        heavy |= name == Variant::Native && (resident_max > args.resident_max || executable > args.executable_max);
    }
    if heavy {
        eprintln!(
            "native is heavier than {} MB resident or a {} MB executable",
            args.resident_max, args.executable_max
        );
    }
    Ok(ExitCode::from(u8::from(heavy)))
}

async fn weigh(control_plane: &ControlPlane, options: FleetOptions, renewals: usize) -> Result<Weight> {
    let executable = fs::metadata(&options.program)?.len();
    let retry_period = options.timings.retry_period;
    let fleet = Fleet::start(control_plane, options).await?;
    let leader = fleet.wait_for_leader(BOUND).await?;
    let sent_since = |replica: usize, since: u64| {
        let requests = fleet.proxy(replica).requests();
        requests.into_iter().filter(|it| it.at > since && it.verb != Verb::Watch).count()
    };
    // The first renewals belong to the start.
    let history = fleet.history();
    history.wait_for(BOUND, |_| (sent_since(leader, 0) > 3).then_some(())).await?;
    let from = history::now();
    history.wait_for(BOUND, |_| (sent_since(leader, from) >= renewals).then_some(())).await?;
    let periods = (history::now() - from) as f64 / retry_period.as_nanos() as f64;

    let others = (0..fleet.len()).filter(|index| *index != leader);
    let standby_requests: usize = others.map(|index| sent_since(index, from)).sum();
    let resident = |index| fleet.replica(index).rss_bytes().context("resident memory is known on Linux only");
    let resident: Vec<u64> = (0..fleet.len()).map(resident).collect::<Result<_>>()?;
    let weight = Weight {
        executable_mb: executable as f64 / MB,
        resident_mb: resident.into_iter().map(|bytes| bytes as f64 / MB).collect(),
        leader_requests: sent_since(leader, from) as f64 / periods,
        standby_requests: standby_requests as f64 / (fleet.len() - 1) as f64 / periods,
    };
    fleet.stop().await;
    Ok(weight)
}
