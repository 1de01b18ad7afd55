//! The deployment kit does what it says: its files agree with each other, a Role grants what its variant uses, the real API
//! server takes every choice of components, and the policy of the component fencing refuses what it is there to refuse.
//!
//! A case that this machine lacks something for shows as ignored, never as passed. See `own.rs` for what each look at the
//! files is there to find.

mod accepted;
mod admission;
mod belonging;
mod case;
mod checklist;
mod fencing;
mod findings;
mod kubectl;
mod layered;
mod lists;
mod look;
mod lost_lease;
mod objects;
mod overlay;
mod own;
mod permissions;
mod pods;
mod refusals;
mod rendered;
mod rights;
mod server;
mod used;
mod world;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use still_leading_testbed::{Assets, Variant};

use case::{Case, Need, Run};
use kubectl::Kubectl;
use lists::Sources;
use look::look;
use objects::Objects;
use overlay::Overlay;
use world::World;

/// The cases mostly wait, so more of them than processors can run side by side.
const THREADS: usize = 12;

/// The long ones first.
fn cases() -> Vec<Case> {
    use Need::{Kubectl, Program, RealServer};
    let each = |name, needs, run| Case { name, needs, run: Run::Each(run) };
    let each_variant = |name, needs, run| Case { name, needs, run: Run::EachVariant(run) };
    let once = |name, run| Case { name, needs: &[], run: Run::Once(run) };
    let with = |name, needs, run| Case { name, needs, run: Run::Once(run) };
    vec![
        each(
            "real::every_choice_of_components_is_accepted_and_changes_nothing_the_second_time",
            &[Kubectl, RealServer],
            |world, overlay| world.run(accepted::is_accepted_and_changes_nothing_the_second_time(world, overlay)),
        ),
        each_variant("embedded::what_a_life_takes_is_what_its_role_grants", &[Program], |world, variant| {
            world.run(used::is_what_its_role_grants(world, variant))
        }),
        each_variant(
            "real::a_deleted_lease_comes_back_if_its_role_lets_it",
            &[Kubectl, RealServer, Program],
            |world, it| world.run(lost_lease::comes_back_if_its_role_lets_it(world, it)),
        ),
        each_variant(
            "real::a_deleted_lease_is_missed_by_a_line_that_says_what_to_do",
            &[Kubectl, RealServer, Program],
            |world, variant| world.run(lost_lease::is_missed_by_a_line_that_says_what_to_do(world, variant)),
        ),
        each("rendered::every_choice_of_components_belongs_together", &[Kubectl], every_choice_belongs_together),
        each("real::its_rights_are_those_of_its_role_and_no_others", &[RealServer], |world, overlay| {
            world.run(rights::are_those_of_its_role_and_no_others(world, overlay))
        }),
        each("real::its_namespace_lets_its_pods_in_and_none_that_may_do_more", &[RealServer], |world, overlay| {
            world.run(admission::lets_its_pods_in_and_none_that_may_do_more(world, overlay))
        }),
        with("real::the_policy_refuses_what_a_former_leader_writes", &[Kubectl, RealServer], |world| {
            world.run(fencing::refuses_what_a_former_leader_writes(world))
        }),
        with("real::the_rule_for_a_resource_of_ones_own_refuses_an_older_epoch", &[RealServer], |world| {
            world.run(fencing::rule_in_a_definition_refuses_an_older_epoch(world))
        }),
        with("rendered::the_policy_follows_the_account_into_another_installation", &[Kubectl], |world| {
            fencing::follows_the_account(world)
        }),
        each("files::what_is_shipped_belongs_together", &[], |_, overlay| {
            look(overlay, &Objects::shipped(overlay)?, &[]).into_result()
        }),
        once("files::nobody_finds_the_pods_of_another", |_| {
            let workload = |overlay| Ok((overlay, Objects::shipped(overlay)?.workload()?));
            let workloads = Overlay::all().map(workload).collect::<Result<Vec<_>>>()?;
            belonging::look_at_strangers(&workloads).into_result()
        }),
        once("files::every_image_has_a_user_by_its_number", |_| pods::look_at_images()?.into_result()),
        once("files::every_list_has_the_same_variants", |_| lists::look_at_lists(&Sources::read()?).into_result()),
        once("files::skaffold_builds_and_deploys_each_variant_by_its_name", |_| {
            lists::look_at_skaffold(&Sources::read()?).into_result()
        }),
        once("files::what_cannot_be_done_on_a_cluster_is_said_in_one_line", |_| refusals::look()?.into_result()),
        once("files::every_component_is_one_that_is_tried", |_| rendered::look_at_components()?.into_result()),
    ]
}

/// What readers do to an overlay.
fn layered_cases() -> Vec<Case> {
    let each = |name, run| Case { name, needs: &[Need::Kubectl], run: Run::Each(run) };
    vec![
        each("rendered::its_election_stays_on_under_an_everyday_patch", |world, overlay| {
            layered::keeps_its_election_under_an_everyday_patch(world, overlay)
        }),
        each("rendered::its_names_agree_through_layers", |world, overlay| {
            layered::keeps_its_names_together(world, overlay)
        }),
        each("rendered::it_is_let_out_to_another_port_by_one_patch", |world, overlay| {
            layered::is_let_out_to_another_port(world, overlay)
        }),
        each("rendered::its_image_is_set_in_one_place", |world, overlay| {
            layered::gets_its_image_in_one_place(world, overlay)
        }),
        Case {
            name: "rendered::what_the_operator_reads_gets_the_label_of_its_release",
            needs: &[Need::Kubectl],
            run: Run::Once(layered::gets_the_label_of_a_release),
        },
        Case {
            name: "rendered::the_checklist_of_the_page_does_what_its_rows_say",
            needs: &[Need::Kubectl],
            run: Run::Once(checklist::does_what_its_rows_say),
        },
        Case {
            name: "real::the_checklist_of_the_page_is_accepted",
            needs: &[Need::Kubectl, Need::RealServer],
            run: Run::Once(|world| world.run(checklist::is_accepted(world))),
        },
    ]
}

fn every_choice_belongs_together(world: &World, overlay: Overlay) -> Result<()> {
    let rendered = world.rendered(overlay)?;
    for it in rendered {
        look(overlay, &it.objects, &it.components).into_result().with_context(|| format!("with {}", it.name()))?;
    }
    let is_shipped = rendered[0].objects.0 == Objects::shipped(overlay)?.0;
    ensure!(is_shipped, "{} is not what the overlay renders to: run deploy/render", overlay.install_yaml().display());
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let missing = Missing::look();
    let world = Arc::new(World::new(missing.kubectl.clone().ok()));
    let (mut trials, mut built) = (Vec::new(), BTreeSet::new());
    for case in cases().iter().chain(&layered_cases()).chain(&own::cases()) {
        for (trial, variant) in tried(case, &world) {
            let trial = trial.with_ignored_flag(missing.hinders(case, variant));
            let runs = !arguments.is_filtered_out(&trial) && !arguments.is_ignored(&trial);
            built.extend(variant.filter(|_| runs && case.needs.contains(&Need::Program)));
            trials.push(trial);
        }
    }
    if !arguments.list {
        missing.tell();
        world.build(built);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    world.end();
    conclusion.exit_code()
}

/// The case with each overlay or variant, or once.
fn tried(case: &Case, world: &Arc<World>) -> Vec<(Trial, Option<Variant>)> {
    let (place, name) = case.name.split_once("::").unwrap_or(("", case.name));
    let name = |of: &str| format!("{place}::{of}::{name}");
    match case.run {
        Run::Each(run) => {
            let with = |overlay: Overlay| trial(name(overlay.name()), world, move |world| run(world, overlay));
            Overlay::all().map(|overlay| (with(overlay), None)).collect()
        }
        Run::EachVariant(run) => {
            let with = |variant: Variant| trial(name(variant.name()), world, move |world| run(world, variant));
            Variant::ALL.iter().map(|variant| (with(*variant), Some(*variant))).collect()
        }
        Run::Once(run) => vec![(trial(case.name.to_owned(), world, run), None)],
    }
}

fn trial(name: String, world: &Arc<World>, run: impl FnOnce(&World) -> Result<()> + Send + 'static) -> Trial {
    let world = Arc::clone(world);
    Trial::test(name, move || run(&world).map_err(failed))
}

fn failed(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}

/// What this machine lacks.
struct Missing {
    kubectl: Result<Kubectl, &'static str>,
    api_server: Option<String>,
    toolchains: Vec<(Variant, String)>,
}

impl Missing {
    fn look() -> Self {
        let kubectl = Kubectl::find().ok_or("there is no kubectl: control-plane/build makes one, or install it");
        let api_server = Assets::find().err().map(|missing| missing.to_string());
        let lacking = |variant: &Variant| Some((*variant, variant.missing_toolchain()?));
        Self { kubectl, api_server, toolchains: Variant::ALL.iter().filter_map(lacking).collect() }
    }

    fn hinders(&self, case: &Case, variant: Option<Variant>) -> bool {
        case.needs.iter().any(|need| match need {
            Need::Kubectl => self.kubectl.is_err(),
            Need::RealServer => self.api_server.is_some(),
            Need::Program => self.toolchains.iter().any(|(lacking, _)| Some(*lacking) == variant),
        })
    }

    fn tell(&self) {
        for (variant, reason) in &self.toolchains {
            eprintln!("note: what {variant} uses is not looked at: {reason}");
        }
        if let Err(reason) = &self.kubectl {
            eprintln!("note: the cases that render overlays are ignored: {reason}");
        }
        if let Some(reason) = &self.api_server {
            eprintln!("note: the cases on a real API server are ignored: {reason}");
        }
    }
}
