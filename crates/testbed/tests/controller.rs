//! The example `controller` as a black box, on either API server. It copies ConfigMaps with a label, on the leader only.
//!
//! The tests on the real one are ignored where its binaries are missing.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Event as CoreEvent};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use still_leading_testbed::{
    ApiServer, Assets, Event, Fleet, FleetOptions, Profile, ServerKind, Timings, Variant, fencing, manifests,
};
use tokio::time::{Instant, sleep};

/// Many times as long as anything here takes.
const LONG: Duration = Duration::from_secs(120);
const MIRROR: &str = "still-leading.dev/mirror";
const EPOCH: &str = "still-leading.dev/epoch";

type Case = (&'static str, fn(ServerKind, PathBuf) -> Result<()>);

const CASES: [Case; 7] = [
    ("copies_are_made_and_kept_as_they_should_be", |kind, program| run(copies(kind, program, &[]))),
    ("caches_that_are_kept_on_standbys_change_nothing_of_that", |kind, program| {
        run(copies(kind, program, &["--warm"]))
    }),
    ("what_happens_while_nobody_leads_is_made_up_for", |kind, program| run(gap(kind, program, &[]))),
    ("what_happens_while_nobody_leads_is_made_up_for_by_a_warm_standby", |kind, program| {
        run(gap(kind, program, &["--warm"]))
    }),
    ("both_ends_of_a_term_are_events_of_the_lease", |kind, program| run(events(kind, program))),
    ("without_the_right_to_events_one_line_says_so", |kind, program| run(without_events(kind, program))),
    ("with_fencing_a_new_leader_writes_every_copy_and_without_a_policy_nobody_starts", |kind, program| {
        run(fenced(kind, program))
    }),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = Assets::find().err();
    if let Some(reason) = missing.as_ref().filter(|_| !arguments.list) {
        eprintln!("note: the tests on a real API server are ignored: {reason}");
    }
    let program = if arguments.list { Ok(PathBuf::new()) } else { Variant::Controller.build(Profile::Debug) };
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            eprintln!("error: building the example: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    for kind in ServerKind::ALL {
        for (name, case) in CASES {
            let program = program.clone();
            let case = move || case(kind, program).map_err(|error| Failed::from(format!("{error:#}")));
            let is_ignored = kind == ServerKind::Real && missing.is_some();
            trials.push(Trial::test(format!("{kind}::{name}"), case).with_ignored_flag(is_ignored));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(case: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(case)
}

fn options(program: PathBuf, args: &[&str]) -> FleetOptions {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    FleetOptions { timings: Timings::SHORT, args, ..FleetOptions::new(Variant::Controller, program) }
}

fn maps(fleet: &Fleet) -> Api<ConfigMap> {
    Api::namespaced(fleet.client().clone(), fleet.namespace())
}

async fn create(maps: &Api<ConfigMap>, name: &str) -> Result<()> {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some([(MIRROR.to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    };
    let data = Some([("key".to_owned(), "a".to_owned())].into());
    Ok(maps.create(&PostParams::default(), &ConfigMap { metadata, data, ..ConfigMap::default() }).await.map(drop)?)
}

async fn set(maps: &Api<ConfigMap>, name: &str, value: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"data": {"key": value}}));
    Ok(maps.patch(name, &PatchParams::default(), &patch).await.map(drop)?)
}

/// Waits until the copy of `source` has this value, and returns it.
async fn copied(maps: &Api<ConfigMap>, source: &str, value: &str) -> Result<ConfigMap> {
    let (deadline, name) = (Instant::now() + LONG, format!("{source}-mirror"));
    loop {
        let copy = maps.get_opt(&name).await?;
        let has = |copy: &ConfigMap| copy.data.as_ref().and_then(|data| data.get("key")).is_some_and(|it| it == value);
        match copy {
            Some(copy) if has(&copy) => return Ok(copy),
            copy => ensure!(Instant::now() < deadline, "{name} is not {value}: {copy:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn epoch(copy: &ConfigMap) -> Result<u64> {
    Ok(copy.annotations().get(EPOCH).context("a copy without an epoch")?.parse()?)
}

async fn copies(kind: ServerKind, program: PathBuf, args: &[&str]) -> Result<()> {
    let server = ApiServer::start(kind).await?;
    let fleet = Fleet::start(&server, options(program, args)).await?;
    let maps = maps(&fleet);
    create(&maps, "one").await?;
    let made = copied(&maps, "one", "a").await?;
    let source = maps.get("one").await?;
    ensure!(made.owner_references().iter().any(|owner| Some(&owner.uid) == source.meta().uid.as_ref()), "{made:?}");
    set(&maps, "one", "b").await?;
    copied(&maps, "one", "b").await?;
    set(&maps, "one-mirror", "edited by hand").await?;
    copied(&maps, "one", "b").await?;
    maps.delete("one-mirror", &DeleteParams::default()).await?;
    copied(&maps, "one", "b").await?;
    let leader = fleet.wait_for_leader(LONG).await?;
    let wrote = |event: &Event| event.message == "reconciled" && event.replica != fleet.replica(leader).name();
    ensure!(!fleet.history().events().iter().any(wrote), "a standby has written\n{}", fleet.history().table());
    Ok(())
}

async fn gap(kind: ServerKind, program: PathBuf, args: &[&str]) -> Result<()> {
    let server = ApiServer::start(kind).await?;
    let fleet = Fleet::start(&server, options(program, args)).await?;
    let maps = maps(&fleet);
    for name in ["changed", "deleted", "edited"] {
        create(&maps, name).await?;
        copied(&maps, name, "a").await?;
    }
    let old = fleet.wait_for_leader(LONG).await?;
    fleet.replica(old).kill()?;
    set(&maps, "changed", "b").await?;
    set(&maps, "edited-mirror", "edited by hand").await?;
    for name in ["deleted", "deleted-mirror"] {
        maps.delete(name, &DeleteParams::default()).await?;
    }
    create(&maps, "created").await?;
    fleet.wait_for_successor(old, LONG).await?;
    for (name, value) in [("changed", "b"), ("edited", "a"), ("created", "a")] {
        copied(&maps, name, value).await?;
    }
    ensure!(maps.get_opt("deleted-mirror").await?.is_none(), "the copy of a source that is gone was made again");
    Ok(())
}

/// Returns the Events about the Lease: each message, and the uid of its object.
async fn recorded(fleet: &Fleet) -> Result<Vec<(String, Option<String>)>> {
    let events: Api<CoreEvent> = Api::namespaced(fleet.client().clone(), fleet.namespace());
    let events = events.list(&ListParams::default()).await?.items.into_iter();
    let of_lease = events.filter(|event| event.reason.as_deref() == Some("LeaderElection"));
    Ok(of_lease.map(|event| (event.message.unwrap_or_default(), event.involved_object.uid)).collect())
}

async fn events(kind: ServerKind, program: PathBuf) -> Result<()> {
    let server = ApiServer::start(kind).await?;
    let fleet = Fleet::start(&server, options(program, &[])).await?;
    let old = fleet.wait_for_leader(LONG).await?;
    let lease = fleet.lease().await?;
    let identity = lease.spec.and_then(|spec| spec.holder_identity).context("nobody holds the Lease")?;
    fleet.replica(old).terminate()?;
    ensure!(fleet.replica(old).wait(LONG).await?.success());
    for what in ["became leader", "stopped leading"] {
        let (deadline, message) = (Instant::now() + LONG, format!("{identity} {what}"));
        while !recorded(&fleet).await?.contains(&(message.clone(), lease.metadata.uid.clone())) {
            ensure!(Instant::now() < deadline, "no Event says `{message}`: {:?}", recorded(&fleet).await?);
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

async fn without_events(kind: ServerKind, program: PathBuf) -> Result<()> {
    let server = ApiServer::start(kind).await?;
    let mut objects = manifests::parse(&std::fs::read_to_string(Variant::Controller.install_yaml())?)?;
    for rules in objects.iter_mut().filter_map(|object| object.data.get_mut("rules")).filter_map(Value::as_array_mut) {
        rules.retain(|rule| rule["apiGroups"] != json!(["events.k8s.io"]));
    }
    let options = FleetOptions { manifests: Some(objects), replicas: 1, ..options(program, &[]) };
    let fleet = Fleet::start(&server, options).await?;
    let maps = maps(&fleet);
    create(&maps, "one").await?;
    copied(&maps, "one", "a").await?;
    let said = |events: &[Event]| events.iter().filter(|event| event.message == "no Events are recorded").count();
    fleet.history().wait_for(LONG, |events| (said(events) > 0).then_some(())).await?;
    fleet.replica(0).terminate()?;
    ensure!(fleet.replica(0).wait(LONG).await?.success());
    ensure!(said(&fleet.history().events()) == 1, "{}", fleet.history().table());
    ensure!(recorded(&fleet).await?.is_empty());
    Ok(())
}

async fn fenced(kind: ServerKind, program: PathBuf) -> Result<()> {
    let server = ApiServer::start(kind).await?;
    let options = FleetOptions { replicas: 0, ..options(program, &["--require-fencing"]) };
    let mut fleet = Fleet::start(&server, options).await?;
    let early = fleet.start_replica(&server).await?;
    let ended = fleet.replica(early).wait(LONG).await?;
    ensure!(ended.code() == Some(1), "without a policy it ended with {ended}");
    let reason = |event: &Event| {
        event.message == "exiting" && event.fields["reason"].to_string().contains("deploy/components/fencing")
    };
    ensure!(fleet.history().events().iter().any(reason), "{}", fleet.history().table());

    let (fence, policy) = fencing::component(&Variant::Controller.full_name(), fleet.namespace())?;
    server.fence(&fence, &policy).await?;
    for _ in 0..3 {
        fleet.start_replica(&server).await?;
    }
    let maps = maps(&fleet);
    let mut first = Vec::new();
    for name in ["one", "two", "three"] {
        create(&maps, name).await?;
        first.push((name, epoch(&copied(&maps, name, "a").await?)?));
    }
    let old = fleet.wait_for_leader(LONG).await?;
    fleet.replica(old).terminate()?;
    fleet.wait_for_successor(old, LONG).await?;
    for (name, before) in first {
        let deadline = Instant::now() + LONG;
        while epoch(&copied(&maps, name, "a").await?)? <= before {
            ensure!(Instant::now() < deadline, "the new leader has not written the copy of {name}");
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}
