//! One trial: a fleet in health, the fault, its end, and what comes after.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use futures::future::join_all;
use still_leading_testbed::history::now;
use still_leading_testbed::{ApiServer, FleetOptions, ServerKind, Timings};
use tokio::time::{Instant, timeout};

use super::fault::Fault;
use super::needs::Start;
use super::record::{Exit, LeaseState, Line, Marks, Millis, Replica, Request, Trial};
use super::scene::{Scene, TICK};
use super::subject::Subject;
use crate::stats::phase;

/// Whoever leads again acts so often before that counts.
const ACTS: usize = 5;
/// So long nobody may lead before it counts as for good: half as long again as the longest pause between two attempts that a
/// crate makes, which is 30 s.
const FOR_GOOD: Duration = Duration::from_secs(45);
const DEAF: &str = "the clock of this program cannot be set: it does not ask the C library";
/// A fleet is set up within this, however many others are.
const SETUP_BOUND: Duration = Duration::from_secs(180);

/// What is to be tried, once for each subject.
pub struct Plan<'a> {
    /// `embedded` or `real`.
    pub server: ServerKind,
    /// What is tried, each with its executable. More than one only where the fault is the API server's.
    pub subjects: &'a [(Subject, PathBuf)],
    /// What happens.
    pub fault: &'a dyn Fault,
    /// The election's durations.
    pub timings: Timings,
    /// The how manieth trial of these it is, from 1.
    pub number: usize,
    /// What decides the moment of the fault.
    pub seed: u64,
}

/// Tries it on `server`, or on one of the same kind where the fault needs its own. A subject that cannot be tried leaves a
/// record that says so.
pub async fn run(server: &ApiServer, plan: &Plan<'_>) -> Vec<Trial> {
    let needs = plan.fault.needs();
    if needs.real_server && server.kind() != ServerKind::Real {
        return plan.all_failed("it needs the real API server (control-plane/build)");
    }
    if needs.clock.is_some()
        && let Err(missing) = crate::clock::library()
    {
        return plan.all_failed(&format!("{missing:#}"));
    }
    if !needs.own_server {
        return try_on(server, plan).await;
    }
    match ApiServer::start(server.kind()).await {
        Ok(own) => try_on(&own, plan).await,
        Err(error) => plan.all_failed(&format!("{error:#}")),
    }
}

async fn try_on(server: &ApiServer, plan: &Plan<'_>) -> Vec<Trial> {
    let setting_up = plan.subjects.iter().map(|(subject, program)| async move {
        let scene = timeout(SETUP_BOUND, set_up(server, plan, *subject, program.clone())).await;
        scene.context("it takes too long to set up").flatten().map_err(|error| (*subject, format!("{error:#}")))
    });
    let (mut scenes, mut trials) = (Vec::new(), Vec::new());
    for scene in join_all(setting_up).await {
        match scene {
            Ok(scene) => scenes.push(scene),
            Err((subject, why)) => trials.push(plan.failed(subject, why)),
        }
    }
    trials.extend(go_through(server, plan, &mut scenes).await);
    for scene in scenes {
        scene.fleet.stop().await;
    }
    trials
}

async fn set_up<'a>(server: &'a ApiServer, plan: &Plan<'_>, subject: Subject, program: PathBuf) -> Result<Scene<'a>> {
    let mut options = FleetOptions::new(subject.manifest(), program);
    (options.timings, options.tick, options.args) = (plan.timings, TICK, subject.args());
    let options = plan.fault.prepare(subject, options)?;
    let mut scene = Scene::start(server, options, subject, plan.fault.needs()).await?;
    for index in 0..scene.fleet.len() {
        scene.fleet.proxy(index).seed(plan.seed.wrapping_add(index as u64));
    }
    if plan.fault.needs().start != Start::Nobody {
        // Some elections do nothing for most of a lease duration. The fault is to meet each moment of it.
        scene.pass(plan.timings.lease_duration.mul_f64(phase(plan.number + (plan.seed % 8) as usize))).await?;
        scene.leader = scene.fleet.leader_index().context("nobody leads before the fault")?;
    }
    Ok(scene)
}

/// The fault comes to all of them, lasts, and goes; each is watched by itself. What fails one leaves the others as they are.
async fn go_through(server: &ApiServer, plan: &Plan<'_>, scenes: &mut [Scene<'_>]) -> Vec<Trial> {
    let fault = plan.fault;
    scenes.iter_mut().for_each(Scene::note_cpu_time);
    let injected = now();
    scenes.iter().for_each(|scene| scene.note("the fault comes"));
    let struck = fault.strike(server).await;
    let lasting = scenes.iter_mut().map(|scene| async move {
        fault.inject(scene).await?;
        scene.pass(fault.lasts(plan.timings)).await
    });
    let lasted = join_all(lasting).await;
    let mended = struck.and(fault.mend(server).await).map_err(|error| format!("{error:#}"));
    let ending = scenes.iter_mut().zip(lasted).map(|(scene, lasted)| {
        let mended = mended.clone();
        async move {
            let watched = async {
                mended.map_err(Error::msg)?;
                lasted?;
                fault.heal(scene).await?;
                let healed = now();
                scene.note("the fault has gone");
                watch(plan, scene, healed).await?;
                Ok(Marks { injected, healed, ended: now() })
            };
            let marks = timeout(SETUP_BOUND + FOR_GOOD, watched).await.context("it takes too long").flatten();
            match marks {
                Ok(marks) => {
                    let trial = observed(plan, scene, marks);
                    Trial { failed: unreached(plan, scene, &trial), ..trial }
                }
                Err(error) => plan.failed(scene.subject, format!("{error:#}")),
            }
        }
    });
    join_all(ending).await
}

/// Until somebody leads and goes on to do so for a lease duration: in that time whoever has lost its Lease, was frozen or cut
/// off finds out, and does what it still does.
async fn watch(plan: &Plan<'_>, scene: &mut Scene<'_>, healed: u64) -> Result<()> {
    let longest = FOR_GOOD.max(plan.fault.bound(plan.timings) + plan.timings.lease_duration);
    let end = Instant::now() + longest;
    let mut since = healed;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        scene.pass_until_led(since, ACTS, left).await?;
        since = now();
        scene.pass(plan.timings.lease_duration).await?;
        if Instant::now() >= end || scene.was_led_since(since, plan.timings.retry_period) {
            return Ok(());
        }
    }
}

/// Why the fault did not reach the subject, if so.
fn unreached(plan: &Plan<'_>, scene: &Scene<'_>, trial: &Trial) -> Option<String> {
    let during = |at: u64| trial.marks.injected < at && at < trial.marks.healed;
    if let Some(status) = plan.fault.needs().answered {
        let mut requests = trial.replicas.iter().flat_map(|replica| &replica.requests);
        let is_met = requests.any(|request| during(request.at) && request.status == Some(status));
        return (!is_met).then(|| format!("no request was answered with {status} while it lasted"));
    }
    let whose = scene.fleet.replica(plan.fault.needs().clock?).name();
    if scene.subject.is_go() {
        return Some(DEAF.to_owned());
    }
    // Whoever's clock was set stamps its log lines by it.
    let offset = |line: &Line| {
        let stamp: jiff::Timestamp = line.fields.get("timestamp")?.as_str()?.parse().ok()?;
        Some(stamp.as_millisecond() - i64::try_from(line.at / 1_000_000).ok()?)
    };
    let own = || trial.events.iter().filter(|line| line.replica == whose);
    let before = own().filter(|line| line.at < trial.marks.injected).find_map(offset)?;
    let offsets: Vec<i64> = own().filter(|line| during(line.at)).filter_map(offset).collect();
    // A standby may say nothing meanwhile.
    let moved = offsets.is_empty() || offsets.iter().any(|offset| (offset - before).abs() > 500);
    (!moved).then(|| DEAF.to_owned())
}

fn observed(plan: &Plan<'_>, scene: &Scene<'_>, marks: Marks) -> Trial {
    let events = scene.fleet.history().events();
    let start = events.first().map_or(marks.injected, |event| event.at).min(marks.injected);
    let since = |at: u64| at.saturating_sub(start);
    let lines = events.into_iter().map(|event| Line {
        at: since(event.at),
        replica: event.replica,
        message: event.message,
        fields: event.fields,
    });
    let lease = scene.fleet.lease_history().into_iter().map(|state| LeaseState {
        at: since(state.at),
        holder: state.holder,
        transitions: state.transitions,
        version: state.resource_version,
        deleted: state.deleted,
    });
    Trial {
        marks: Marks { injected: since(marks.injected), healed: since(marks.healed), ended: since(marks.ended) },
        events: lines.collect(),
        malformed: scene.fleet.history().malformed().into_iter().map(|it| it.line).collect(),
        lease: lease.collect(),
        replicas: (0..scene.fleet.len()).map(|index| replica(scene, index, start)).collect(),
        ..plan.empty(scene.subject)
    }
}

fn replica(scene: &Scene<'_>, index: usize, start: u64) -> Replica {
    let replica = scene.fleet.replica(index);
    let requests = scene.fleet.proxy(index).requests().into_iter().map(|request| Request {
        at: request.at.saturating_sub(start),
        verb: request.verb.name().to_owned(),
        lease: request.path.contains("/leases"),
        status: request.status,
    });
    let earlier = scene.exits.iter().filter(|exit| exit.index == index);
    let was_restarted = earlier.clone().next().is_some();
    let mut exits: Vec<Exit> = earlier
        .map(|exit| Exit { status: exit.status.clone(), by_itself: true, stderr: exit.stderr.clone() })
        .collect();
    exits.extend(replica.exit_status().map(|status| Exit {
        status: status.to_string(),
        by_itself: !scene.was_asked_to_end(index),
        stderr: replica.stderr(),
    }));
    Replica {
        name: replica.name().to_owned(),
        exits,
        // A process that was started again counts from its start.
        cpu_before_ms: scene.cpu_before.get(index).copied().flatten().filter(|_| !was_restarted).map(as_millis),
        cpu_ms: replica.cpu_time().map(as_millis),
        rss: replica.rss_bytes(),
        // That of a process that has ended is with its end.
        stderr: if replica.exit_status().is_none() { replica.stderr() } else { String::new() },
        requests: requests.collect(),
    }
}

fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Plan<'_> {
    fn all_failed(&self, why: &str) -> Vec<Trial> {
        self.subjects.iter().map(|(subject, _)| self.failed(*subject, why.to_owned())).collect()
    }

    fn failed(&self, subject: Subject, why: String) -> Trial {
        Trial { failed: Some(why), ..self.empty(subject) }
    }

    fn empty(&self, subject: Subject) -> Trial {
        Trial {
            subject: subject.to_string(),
            fault: self.fault.name(),
            number: self.number,
            seed: self.seed,
            server: self.server.to_string(),
            timings: Millis::from(self.timings),
            bound_ms: self.fault.bound(self.timings).as_millis().try_into().unwrap_or(u64::MAX),
            breaks: self.fault.breaks().map(str::to_owned),
            ..Trial::default()
        }
    }
}
