//! A fleet that moves from ConfigMaps to Leases: replicas of client-go 0.26 with the lock `configmapsleases` beside native
//! ones, on one Lease, and of 0.27 where it differs. docs/from-configmaps.md says of this mixture what these cases show, and nothing else.
//!
//! Without Go all of them show as ignored, and those on the real API server where its binaries are missing.

mod cases;
mod mixed;
mod world;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use still_leading_testbed::build::{self, BuildError};
use still_leading_testbed::{Assets, Profile, Program, ServerKind, Variant, workspace};

use world::{Fixture, Programs, World};

/// The cases mostly wait.
const THREADS: usize = 4;
/// What the names of replicas of an old client-go begin with.
const OLD: &str = "client-go-";

type Outcome = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type Case = (&'static str, fn(Fixture) -> Outcome);

macro_rules! cases {
    ($($name:ident),+ $(,)?) => { [$((stringify!($name), (|fixture| Box::pin(cases::$name(fixture))) as fn(Fixture) -> Outcome)),+] };
}

const CASES: [Case; 8] = cases![
    on_sigterm_the_lease_goes_from_go_to_native_and_back,
    on_sigkill_the_lease_goes_from_go_to_native_and_back_and_never_before_it_has_run_out,
    after_a_release_by_native_go_waits_for_a_lease_duration_if_the_configmap_names_somebody,
    after_a_release_by_go_a_late_renewal_of_native_is_waited_for,
    client_go_0_27_overwrites_a_lease_whose_renewal_is_late,
    go_may_overwrite_a_lease_that_native_has_just_taken_and_native_stops,
    native_leads_beside_whoever_holds_the_configmap_alone,
    the_configmap_can_go_when_go_is_gone_and_go_can_come_back,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let module = workspace().join("crates/testbed/tests/from_configmaps/old-client-go");
    let (no_go, no_server) = (build::missing_go(&module), Assets::find().err());
    if !arguments.list {
        if let Some(reason) = &no_go {
            eprintln!("note: the tests of a mixed fleet are ignored: {reason}");
        }
        if let Some(reason) = &no_server {
            eprintln!("note: the tests on a real API server are ignored: {reason}");
        }
    }
    let programs = if arguments.list || no_go.is_some() { Ok(no_programs()) } else { programs(&module) };
    let world = match programs {
        Ok(programs) => Arc::new(World::new(programs)),
        Err(error) => {
            eprintln!("error: building the replicas: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    for kind in ServerKind::ALL {
        for (name, case) in CASES {
            let world = Arc::clone(&world);
            let run = move || world.run(kind, case).map_err(|error| Failed::from(format!("{error:#}")));
            let is_ignored = no_go.is_some() || (kind == ServerKind::Real && no_server.is_some());
            trials.push(Trial::test(format!("{kind}::{name}"), run).with_ignored_flag(is_ignored));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    world.end();
    conclusion.exit_code()
}

fn programs(module: &Path) -> Result<Programs, BuildError> {
    let old = |modfile, version| {
        let name = format!("{OLD}{version}");
        Ok(Program { path: build::go_program(module, modfile, &name)?, name })
    };
    let (client_go_0_26, client_go_0_27) = (old("go.mod", "0.26")?, old("client-go-0.27.mod", "0.27")?);
    Ok(Programs { client_go_0_26, client_go_0_27, native: Variant::Native.build(Profile::Debug)? })
}

/// For cases that do not run.
fn no_programs() -> Programs {
    let none = Program { name: String::new(), path: PathBuf::new() };
    Programs { client_go_0_26: none.clone(), client_go_0_27: none, native: PathBuf::new() }
}
