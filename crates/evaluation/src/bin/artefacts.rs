//! Measures each variant as an artefact and records it under `docs/runs/`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures::future::join_all;
use still_leading_evaluation::artefact::{Built, Pace, build, examine, is_go, measured};
use still_leading_evaluation::footprint::{Footprint, Window, weigh};
use still_leading_evaluation::record::{self, ARTEFACTS, Artefact, Artefacts, ColdBuild, Measured, RECORD};
use still_leading_testbed::{ApiServer, Assets, FleetOptions, ServerKind, Variant, workspace};

/// Every crate renews several times in this time, whatever it makes of the durations.
const WINDOW: Window = Window { renewals: 10, at_least: Duration::from_secs(60) };

/// Records each variant as an artefact: dependencies, cold build, executable, memory and requests at rest, lines to copy,
/// rights. Three replicas on a real kube-apiserver, 15/10/2 s, release builds. Let nothing else run meanwhile
#[derive(Debug, Parser)]
#[command(name = "artefacts", max_term_width = 120)]
struct Args {
    /// Variants to measure; the records of the others stay [default: all]
    variants: Vec<Variant>,

    /// Cold builds, per variant
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    builds: u8,

    /// Keep the recorded build times
    #[arg(long, conflicts_with = "builds")]
    no_build_time: bool,

    /// Only look at the sources anew: lines, dependencies, rights. What was measured stays
    #[arg(long, conflicts_with_all = ["builds", "no_build_time"])]
    sources: bool,

    /// Where the record is [default: docs/runs/artefacts.json of this repository]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    fn variants(&self) -> &[Variant] {
        if self.variants.is_empty() { Variant::ALL } else { &self.variants }
    }

    fn path(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| workspace().join(ARTEFACTS))
    }

    fn pace(&self) -> Pace {
        if self.no_build_time { Pace::Warm } else { Pace::Cold(self.builds.into()) }
    }

    /// What to run for the same again.
    fn command(&self) -> String {
        let mut command = "cargo run -p still-leading-evaluation --bin artefacts --".to_owned();
        if self.no_build_time {
            command += " --no-build-time";
        } else {
            command += &format!(" --builds {}", self.builds);
        }
        for variant in &self.variants {
            command += &format!(" {variant}");
        }
        command
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.sources {
        return look_at_sources(&args);
    }
    // First, so that neither a missing control plane nor a broken record is found out after half an hour.
    Assets::find()?;
    let path = args.path();
    let mut artefacts = if path.exists() { record::read(&path, RECORD)? } else { Artefacts::default() };

    // One after the other, and before anything else runs: a build takes all processors.
    let (mut built, mut failed) = (Vec::new(), Vec::new());
    for variant in args.variants() {
        eprintln!("building {variant}");
        match build(*variant, args.pace()) {
            Ok(one) => built.push((*variant, one)),
            Err(error) => failed.push(format!("{variant}: {error:#}")),
        }
    }
    eprintln!("starting etcd and kube-apiserver");
    let server = ApiServer::start(ServerKind::Real).await?;
    let kubernetes = server.client()?.apiserver_version().await?.git_version;

    eprintln!("weighing, which takes three minutes");
    let weighing =
        built.iter().map(|(variant, built)| weigh(&server, FleetOptions::new(*variant, built.program.clone()), WINDOW));
    let footprints = join_all(weighing).await;
    drop(server);

    for ((variant, built), footprint) in built.into_iter().zip(footprints) {
        let measured = measured(args.command(), is_go(variant), Some(kubernetes.clone()))?;
        match footprint.and_then(|footprint| note(&mut artefacts, variant, built, footprint, measured)) {
            Ok(()) => eprintln!("{variant:<22} measured"),
            Err(error) => failed.push(format!("{variant}: {error:#}")),
        }
    }
    // What was measured is kept even if another variant failed.
    record::write(&path, &artefacts)?;
    eprintln!("wrote {}", path.display());
    if !failed.is_empty() {
        bail!("not measured:\n{}", failed.join("\n"));
    }
    Ok(())
}

/// Puts what the sources show into the record of variants that were measured before.
fn look_at_sources(args: &Args) -> Result<()> {
    let path = args.path();
    let mut artefacts: Artefacts = record::read(&path, RECORD)?;
    for variant in args.variants() {
        let artefact = artefacts.variants.get_mut(variant.name());
        let artefact = artefact.with_context(|| format!("{variant} was never measured: leave out --sources"))?;
        let still = examine(*variant).with_context(|| format!("looking at {variant}"))?;
        (artefact.package, artefact.lines, artefact.rules) = (still.package, still.lines, still.rules);
        artefact.lines_as_documented = still.lines_as_documented;
    }
    record::write(&path, &artefacts)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Puts what was measured into the record; a build time that was not measured stays.
fn note(
    artefacts: &mut Artefacts,
    variant: Variant,
    built: Built,
    footprint: Footprint,
    measured: Measured,
) -> Result<()> {
    let still = examine(variant).with_context(|| format!("looking at {variant}"))?;
    let name = variant.name().to_owned();
    let before = artefacts.variants.remove(&name).and_then(|before| before.cold_build);
    let cold_build = if built.seconds.is_empty() {
        before
    } else {
        let measured = Measured { kubernetes: None, ..measured.clone() };
        Some(ColdBuild { measured, build: built.command, seconds: built.seconds })
    };
    let artefact = Artefact {
        measured,
        package: still.package,
        cold_build,
        footprint,
        lines: still.lines,
        lines_as_documented: still.lines_as_documented,
        rules: still.rules,
    };
    artefacts.variants.insert(name, artefact);
    Ok(())
}
