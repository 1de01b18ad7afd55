//! The same cases for every form of every variant, with the shipped manifests and their least privilege. They run on the embedded
//! API server, which every machine has, and on a real kube-apiserver.
//!
//! A case whose API server or toolchain is missing shows as ignored, never as passed. A case that a variant cannot pass is not
//! skipped: `expected/` has it with the reason, and the suite fails when it passes after all.
//!
//! With `STILL_LEADING_RECORD=<file>` a run of the whole suite records its results on the real one; see [`record`].

mod alone;
mod api_server;
mod election;
mod expected;
mod fixture;
mod foreign;
mod observe;
mod own;
mod privileges;
mod promise;
mod record;
mod slow;
mod traffic;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use still_leading_testbed::{Assets, Form, ServerKind, Variant};

use expected::{Row, Verdict};
use fixture::{Fixture, World};
use promise::Violation;
use record::Recorder;

/// The cases mostly wait, so many more of them than processors can run side by side. On two processors all take 125 s with ten,
/// 97 s with 14 and 91 s with twenty. With twenty the processors are busy, which begins to affect what a case measures.
const THREADS: usize = 12;

type Outcome = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One case: the sentence that it proves, and its code.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    needs_api_server: bool,
    /// Whether it is run for the template only: it does not depend on the code, or shows nothing new for the other form.
    template_only: bool,
    run: fn(Fixture) -> Outcome,
}

macro_rules! cases {
    ($needs_api_server:literal, $template_only:literal: $($module:ident :: $name:ident),+ $(,)?) => {
        [$(Case {
            name: stringify!($name),
            needs_api_server: $needs_api_server,
            template_only: $template_only,
            run: |fixture| Box::pin($module::$name(fixture)),
        }),+]
    };
}

fn cases() -> Vec<Case> {
    let elections = cases! { true, false:
        election::exactly_one_of_three_leads_and_ticks,
        election::sigterm_of_the_leader_hands_over_after_its_last_act,
        election::sigkill_of_the_leader_is_survived_after_expiry_and_never_before,
        election::a_leader_stopped_beyond_its_lease_acts_not_once_more,
        election::sigterm_of_a_standby_changes_nothing,
        api_server::a_leader_cut_off_stops_before_a_successor_starts,
        api_server::a_leader_in_a_black_hole_stops_before_a_successor_starts,
        api_server::a_restart_of_the_api_server_makes_no_second_leader,
        api_server::a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader,
        foreign::a_stolen_lease_ends_the_term_and_is_led_again_after_the_thief,
        foreign::an_emptied_holder_leaves_two_leaders_for_less_than_half_a_renew_deadline,
        foreign::a_count_of_transitions_at_its_end_hinders_nobody,
        foreign::a_holder_that_asked_for_eleven_days_and_vanished_is_got_rid_of_by_hand,
        traffic::a_leader_sends_one_write_per_retry_period_and_nothing_else,
        traffic::a_standby_sends_nothing_while_somebody_leads,
    };
    let of_the_template = cases! { true, true:
        election::every_replica_names_the_leader,
        privileges::the_role_lacks_nothing_and_every_verb_of_it_is_needed,
        slow::work_that_drains_for_longer_than_a_renew_deadline_keeps_the_lease_until_it_has_ended,
        slow::an_act_that_blocks_beyond_the_lease_ends_the_process_before_another_leads,
    };
    let alone = cases! { false, false:
        alone::a_bad_flag_is_one_line_and_exit_code_2,
        alone::without_an_election_it_leads_for_life,
        alone::without_an_api_server_it_keeps_trying_and_is_not_ready,
    };
    elections.into_iter().chain(of_the_template).chain(alone).collect()
}

/// One case of one form of one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id {
    variant: Variant,
    form: Form,
    case: &'static str,
}

/// Its name in the list of tests, after the API server.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::Template => write!(f, "{}::{}", self.variant, self.case),
            Form::AsDocumented => write!(f, "{}/{}::{}", self.variant, self.form, self.case),
        }
    }
}

/// A case to run, on an API server if it needs one.
#[derive(Clone, Copy)]
struct Planned {
    id: Id,
    case: Case,
    server: Option<ServerKind>,
}

impl Planned {
    fn name(&self) -> String {
        match self.server {
            Some(server) => format!("{server}::{}", self.id),
            None => self.id.to_string(),
        }
    }

    /// Whether the record includes it. Results on the embedded server depend on that server too, so they are left out.
    fn is_recorded(&self) -> bool {
        self.server != Some(ServerKind::Embedded)
    }
}

fn plan() -> Vec<Planned> {
    let mut plan = Vec::new();
    for server in [Some(ServerKind::Embedded), Some(ServerKind::Real), None] {
        for variant in Variant::ALL {
            for form in variant.forms() {
                let cases = cases().into_iter().filter(|case| form == Form::Template || !case.template_only);
                let cases = cases.filter(|case| case.needs_api_server == server.is_some());
                plan.extend(cases.map(|case| Planned {
                    id: Id { variant: *variant, form, case: case.name },
                    case,
                    server,
                }));
            }
        }
    }
    plan
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let (plan, table) = (plan(), expected::table());
    let ids: Vec<Id> = plan.iter().filter(|it| it.is_recorded()).map(|it| it.id).collect();
    let defects = expected::defects(&table, &ids);
    if !defects.is_empty() {
        eprintln!("error: the table of expected failures: {}", defects.join("; "));
        return ExitCode::FAILURE;
    }

    let world = Arc::new(World::new());
    let recorder = Arc::new(Recorder::new(&ids));
    let missing = Missing::look();
    let trial = |planned: &Planned| {
        let row = expected::row(&table, planned.id).copied();
        trial(*planned, row, &world, &recorder).with_ignored_flag(missing.hinders(planned))
    };
    let mut trials: Vec<Trial> = plan.iter().map(trial).collect();
    if !arguments.list {
        missing.tell();
        let runs = |trial: &Trial| !arguments.is_filtered_out(trial) && !arguments.is_ignored(trial);
        let wanted = trials.iter().zip(&plan).filter(|(trial, _)| runs(trial));
        world.build(wanted.map(|(_, planned)| (planned.id.variant, planned.id.form)).collect::<BTreeSet<_>>());
    }
    trials.extend(own::trials());
    let file = std::env::var_os(record::VARIABLE).filter(|file| !file.is_empty() && !arguments.list);
    // A run that makes the record cannot be compared with the old one. The table judges each of its cases.
    if file.is_none() {
        let (table, ids) = (table.clone(), ids.clone());
        let agrees = move || record::agrees(&table, &ids).map_err(Failed::from);
        trials.push(Trial::test("the_record_agrees_with_the_table", agrees));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let recorded = file.map(|file| write_record(Path::new(&file), &conclusion, &world, &table, &recorder));
    world.end();
    if let Some(Err(error)) = recorded {
        eprintln!("error: nothing was recorded: {error:#}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn trial(planned: Planned, row: Option<Row>, world: &Arc<World>, recorder: &Arc<Recorder>) -> Trial {
    let (world, recorder) = (Arc::clone(world), Arc::clone(recorder));
    let note = move |outcome| {
        if planned.is_recorded() {
            recorder.note(planned.id, outcome);
        }
    };
    Trial::test(planned.name(), move || {
        // In case the next line panics.
        note(record::Outcome::Error("the case panicked".to_owned()));
        let end = world.run((planned.id.variant, planned.id.form), planned.server, planned.case.run);
        note(record::Outcome::of(&end));
        judge(end, row.as_ref())
    })
}

/// Only a broken promise can be expected. A case that could not be run has failed.
fn judge(end: Result<()>, row: Option<&Row>) -> Result<(), Failed> {
    match (end, row) {
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(Failed::from(format!("{error:#}"))),
        (Err(error), Some(_)) if error.is::<Violation>() => Ok(()),
        (Err(error), Some(_)) => Err(Failed::from(format!("expected to fail, but not like this: {error:#}"))),
        (Ok(()), Some(row)) if row.verdict == Verdict::Races => Ok(()),
        (Ok(()), Some(row)) => {
            Err(Failed::from(format!("passes, although expected/ says it cannot ({}): take it out there", row.reason)))
        }
    }
}

fn write_record(file: &Path, conclusion: &Conclusion, world: &World, table: &[Row], recorder: &Recorder) -> Result<()> {
    anyhow::ensure!(conclusion.num_filtered_out == 0, "only a run of the whole suite is a record");
    let kubernetes = world.kubernetes().context("there was no API server")?;
    record::write(file, &record::document(&kubernetes, table, &recorder.outcomes())?)
}

/// What this machine lacks, and so which cases cannot run.
struct Missing {
    api_server: Option<String>,
    toolchains: Vec<(Variant, String)>,
}

impl Missing {
    fn look() -> Self {
        let api_server = Assets::find().err().map(|missing| missing.to_string());
        let lacking = |variant: &Variant| Some((*variant, variant.missing_toolchain()?));
        Self { api_server, toolchains: Variant::ALL.iter().filter_map(lacking).collect() }
    }

    fn hinders(&self, planned: &Planned) -> bool {
        let no_toolchain = self.toolchains.iter().any(|(variant, _)| *variant == planned.id.variant);
        no_toolchain || (planned.server == Some(ServerKind::Real) && self.api_server.is_some())
    }

    fn tell(&self) {
        for (variant, reason) in &self.toolchains {
            eprintln!("note: the cases of {variant} are ignored: {reason}");
        }
        if let Some(reason) = &self.api_server {
            eprintln!("note: the cases on a real API server are ignored: {reason}");
        }
    }
}
