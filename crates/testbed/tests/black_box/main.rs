//! The same cases for every variant, on a real kube-apiserver, with the shipped manifests and their least privilege.
//!
//! A case whose API server or toolchain is missing shows as ignored, never as passed. A case that a variant cannot pass
//! is not skipped: it stands in `expected.rs` with the reason, and the suite fails when it passes after all.

mod alone;
mod election;
mod expected;
mod ground;
mod privileges;
mod traffic;

use std::future::Future;
use std::pin::Pin;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use still_leading_testbed::{Assets, Variant};

use ground::{Ground, Violation, World};

type Outcome = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One case: the sentence that it shows, and how.
struct Case {
    name: &'static str,
    needs_api_server: bool,
    run: fn(Ground) -> Outcome,
}

macro_rules! cases {
    ($needs_api_server:literal: $($module:ident :: $name:ident),+ $(,)?) => {
        [$(Case {
            name: stringify!($name),
            needs_api_server: $needs_api_server,
            run: |ground| Box::pin($module::$name(ground)),
        }),+]
    };
}

fn cases() -> Vec<Case> {
    let with_api_server = cases! { true:
        election::exactly_one_of_three_leads_and_ticks,
        election::sigterm_of_the_leader_hands_over_after_its_last_act,
        election::sigkill_of_the_leader_is_survived_after_expiry_and_never_before,
        election::a_leader_stopped_beyond_its_lease_acts_not_once_more,
        election::sigterm_of_a_standby_changes_nothing,
        election::a_leader_cut_off_stops_before_a_successor_starts,
        election::a_restart_of_the_api_server_makes_no_second_leader,
        election::a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader,
        privileges::the_role_lacks_nothing_and_every_verb_of_it_is_needed,
        traffic::a_leader_sends_one_write_per_retry_period,
        traffic::a_standby_sends_nothing_while_somebody_leads,
    };
    let alone = cases! { false:
        alone::a_bad_flag_is_one_line_and_exit_code_2,
        alone::without_an_election_it_leads_for_life,
        alone::without_an_api_server_it_keeps_trying_and_is_not_ready,
    };
    with_api_server.into_iter().chain(alone).collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The cases mostly wait, so more of them than processors can run side by side.
    arguments.test_threads.get_or_insert(6);
    let missing = Assets::find().err().map(|missing| missing.to_string());
    let world = Arc::new(World::new());
    let mut trials = Vec::new();
    for variant in Variant::ALL {
        let toolchain = missing_toolchain(*variant);
        for case in cases() {
            let api_server = missing.clone().filter(|_| case.needs_api_server);
            let ignored = toolchain.is_some() || api_server.is_some();
            trials.push(trial(case, *variant, &world).with_ignored_flag(ignored));
        }
        if let Some(reason) = toolchain.filter(|_| !arguments.list) {
            eprintln!("note: the cases of {variant} are ignored: {reason}");
        }
    }
    if let Some(reason) = missing.filter(|_| !arguments.list) {
        eprintln!("note: the cases on a real API server are ignored: {reason}");
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    world.end();
    conclusion.exit_code()
}

fn trial(case: Case, variant: Variant, world: &Arc<World>) -> Trial {
    let world = Arc::clone(world);
    Trial::test(format!("{variant}::{}", case.name), move || {
        let run = case.run;
        let outcome = world.run(variant, case.needs_api_server, run);
        judge(outcome, expected::failure(variant, case.name))
    })
}

/// Only a broken promise can be an expected failure: a case that could not even be tried has failed.
fn judge(outcome: Result<()>, expected: Option<&str>) -> Result<(), Failed> {
    match (outcome, expected) {
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(Failed::from(format!("{error:?}"))),
        (Err(error), Some(_)) if error.is::<Violation>() => Ok(()),
        (Err(error), Some(_)) => Err(Failed::from(format!("expected to fail, but not like this: {error:?}"))),
        (Ok(()), Some(reason)) => {
            Err(Failed::from(format!("passes, although expected.rs says it cannot ({reason}): take it out there")))
        }
    }
}

/// Asked in the folder of the variant, so that Go itself says whether it is new enough for its go.mod.
fn missing_toolchain(variant: Variant) -> Option<String> {
    if variant != Variant::ClientGo {
        return None;
    }
    let mut command = Command::new("go");
    command.args(["env", "GOVERSION"]).current_dir(variant.folder()).stdout(Stdio::null()).stderr(Stdio::null());
    let suits = command.status().is_ok_and(|status| status.success());
    (!suits).then(|| "Go 1.26 or newer is not installed (https://go.dev/dl)".to_owned())
}
