//! `cargo demo`: three replicas, one leader; the leader is asked to stop, then another one is killed. Each time the
//! output tells who leads and how long nobody did.

mod print;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use still_leading_testbed::{Assets, ControlPlane, Fleet, FleetOptions, Profile, Timings, Variant};
use tokio::select;
use tokio::time::sleep;

/// Longer than any take-over: what takes longer is a failure of the demo.
const BOUND: Duration = Duration::from_secs(60);

/// Three replicas, one leader: it is asked to stop, then its successor is killed
#[derive(Debug, Parser)]
#[command(name = "cargo demo", max_term_width = 120)]
struct Args {
    /// Which variant to show
    #[arg(default_value = "native")]
    variant: Variant,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let end = select! {
        end = story(args.variant) => end,
        // Returning ends every process that was started.
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn story(variant: Variant) -> Result<()> {
    let assets = Assets::find()?;
    eprintln!("building {variant}");
    let program = variant.build(Profile::Debug).with_context(|| format!("building {variant}"))?;
    eprintln!("starting etcd and kube-apiserver");
    let control_plane = ControlPlane::start(&assets).await?;
    // A third of what one would run: what takes time here is waiting for a lease to run out.
    let timings = Timings::short_for(variant);
    let options = FleetOptions { timings, tick: Duration::from_secs(1), ..FleetOptions::new(variant, program) };
    let fleet = Fleet::start(&control_plane, options).await?;
    let printing = tokio::spawn(print::follow(fleet.history().follow()));

    let first = fleet.wait_for_leader(BOUND).await?;
    for index in 0..fleet.len() {
        // Not until it knows the leader: not every crate tells a standby.
        fleet.wait_until_taking_part(index, 0, BOUND).await?;
    }
    sleep(Duration::from_secs(4)).await;
    print::announce(&format!(
        "SIGTERM to {}: it stops its work, releases the lease if its election can, and exits",
        fleet.replica(first).name()
    ));
    let at = fleet.replica(first).terminate()?;
    let second = taken_over(&fleet, first, at).await?;
    print::announce(&format!(
        "SIGKILL to {}: it releases nothing, its lease has to run out",
        fleet.replica(second).name()
    ));
    let at = fleet.replica(second).kill()?;
    taken_over(&fleet, second, at).await?;
    printing.abort();
    fleet.stop().await;
    control_plane.stop();
    Ok(())
}

async fn taken_over(fleet: &Fleet, old: usize, since: u64) -> Result<usize> {
    let (new, leading) = fleet.wait_for_successor(old, BOUND).await?;
    let nobody = Duration::from_nanos(leading.saturating_sub(since));
    sleep(Duration::from_secs(4)).await;
    let name = fleet.replica(new).name();
    print::announce(&format!("{name} led {:.3} s after the signal", nobody.as_secs_f64()));
    Ok(new)
}
