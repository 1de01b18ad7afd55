//! What a story is played on: an API server, the replicas, and somebody who replaces those that end, as a Deployment
//! would.

mod build;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use still_leading_testbed::history::judge::{leader_at, leading};
use still_leading_testbed::history::now;
use still_leading_testbed::{ApiServer, Assets, Event, Fleet, FleetOptions, ServerKind, Timings, Variant, fencing};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::args::Args;
use crate::faults::Fault;
use crate::print::{Output, progress, seconds};
use crate::report::{Episode, Patience};
use sources::Sources;

/// How often a wait looks again.
pub const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// A wait for a leader that is longer says that it still goes on.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// A replica that ends by itself so soon will not do better a second time: a flag that it refuses, for instance.
const LIFE_MIN: Duration = Duration::from_secs(2);
/// From the end of a replica to the start of its replacement. A pod takes no less; and one that came at once would be
/// the quickest to ask for the lease, so that an election would look better than it is.
const REPLACEMENT_DELAY: Duration = Duration::from_secs(2);

/// The running demo. Dropping it ends everything it started.
pub struct Stage {
    // The fleet first: replicas are to end before the API server does.
    fleet: Fleet,
    server: ApiServer,
    output: Output,
    printing: AbortHandle,
    /// What an example has to do.
    _sources: Option<Sources>,
    timings: Timings,
    tick: Duration,
    /// By index: when it was started.
    started: Vec<Instant>,
    /// Who was asked to end.
    asked: BTreeSet<usize>,
    /// When somebody's end was noticed.
    ended: BTreeMap<usize, Instant>,
    /// Who has ended and been replaced.
    replaced: BTreeSet<usize>,
    /// When it was last said that nobody leads, or when that began.
    silent_since: Option<Instant>,
}

impl Stage {
    /// Builds the variant, starts the API server and the replicas, and says how to watch them.
    ///
    /// # Errors
    /// When something is missing or does not start; in one line, with what to do.
    pub async fn set_up(args: &Args, output: &Output) -> Result<Self> {
        let (variant, kind) = (args.variant, args.server());
        if kind == ServerKind::Real {
            // Before a build that may take minutes.
            Assets::find().context("--real needs a control plane")?;
        }
        let program = build::build(variant, !args.without_gate).await.with_context(|| format!("building {variant}"))?;
        if kind == ServerKind::Real {
            progress("starting etcd and kube-apiserver, which takes some seconds");
        }
        let server = ApiServer::start(kind).await?;
        let (timings, tick) = (args.timings(), args.tick);
        // The replicas come last: a fence has to be in force by then.
        let more = args.fencing.then(|| "--require-fencing".to_owned()).into_iter().collect();
        let options = FleetOptions { replicas: 0, timings, tick, args: more, ..FleetOptions::new(variant, program) };
        output.begin();
        let mut fleet = Fleet::start(&server, options).await?;
        if args.fencing {
            let (fence, policy) = fencing::component(fleet.lease_name(), fleet.namespace())?;
            server.fence(&fence, &policy).await.context("putting up the fence")?;
        }
        introduce(output, args, &fleet, &server)?;
        let sources = match variant.is_example() {
            true => Some(Sources::keep_changing(&fleet, output, tick, args.without_gate).await?),
            false => None,
        };
        let printing = tokio::spawn(output.clone().follow(fleet.history().follow())).abort_handle();
        for _ in 0..args.replicas {
            fleet.start_replica(&server).await?;
        }
        let started = vec![Instant::now(); fleet.len()];
        let (asked, ended, replaced) = Default::default();
        let output = output.clone();
        let (_sources, silent_since) = (sources, None);
        Ok(Self {
            fleet,
            server,
            output,
            printing,
            _sources,
            timings,
            tick,
            started,
            asked,
            ended,
            replaced,
            silent_since,
        })
    }

    /// The replicas.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Where the story is told.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Stops printing the lines of the replicas: their end is not part of the demo.
    pub fn stop_printing(&self) {
        self.printing.abort();
    }

    /// The election's durations.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// How long to look at a new state of things: long enough for whoever leads to act, twice.
    pub fn settling(&self) -> Duration {
        (self.tick.saturating_mul(5) / 2).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// Longer than any take-over: nobody who waits for the lease to run out, and some time more, takes so long.
    pub fn bound(&self) -> Duration {
        self.timings.lease_duration.saturating_mul(4).saturating_add(Duration::from_secs(20))
    }

    /// How long to keep up a fault that the leader survives: after this time it would have lost its lease.
    pub fn holding(&self) -> Duration {
        self.timings.lease_duration.saturating_add(self.timings.retry_period.saturating_mul(2))
    }

    /// All of this, for a verdict.
    pub fn patience(&self) -> Patience {
        Patience { settling: self.settling(), holding: self.holding(), bound: self.bound() }
    }

    /// Whether everybody who has ended has been replaced, and everybody who has not takes part in the election.
    pub fn is_complete(&self) -> bool {
        (0..self.fleet.len()).all(|index| match self.fleet.replica(index).exit_status() {
            Some(_) => self.replaced.contains(&index),
            None => {
                let requests = self.fleet.proxy(index).requests();
                requests.iter().any(|request| request.path.contains("/leases") && request.succeeded())
            }
        })
    }

    /// Who leads now and is not frozen.
    pub fn leader(&self) -> Option<usize> {
        leader_at(&leading(&self.fleet.history().events()), now()).and_then(|it| self.index(&it.replica))
    }

    /// Which replica is called so.
    pub fn index(&self, name: &str) -> Option<usize> {
        (0..self.fleet.len()).find(|index| self.fleet.replica(*index).name() == name)
    }

    /// Lets a fault happen to a replica.
    ///
    /// # Errors
    /// When the replica has ended already.
    pub fn inject(&mut self, fault: Fault, victim: usize) -> Result<Episode> {
        if fault.ends_the_process() {
            self.asked.insert(victim);
        }
        let at = fault.inject(&self.fleet, victim)?;
        let victim = self.fleet.replica(victim).name().to_owned();
        Ok(Episode { fault, victim, at, healed: None, until: None, told: None })
    }

    /// Undoes a fault where that can be done, once.
    pub fn heal(&self, episode: &mut Episode) {
        if episode.healed.is_none() {
            episode.healed = self.index(&episode.victim).and_then(|victim| episode.fault.heal(&self.fleet, victim));
        }
    }

    /// Waits until `find`, which is shown the events and the time, finds something; for at most `bound`. Looks after the
    /// replicas meanwhile.
    ///
    /// # Errors
    /// When a replica cannot be kept running.
    pub async fn until<T>(
        &mut self,
        bound: Duration,
        mut find: impl FnMut(&Self, &[Event], u64) -> Option<T>,
    ) -> Result<Option<T>> {
        let start = Instant::now();
        loop {
            let events = self.tend().await?;
            if let Some(found) = find(self, &events, now()) {
                return Ok(Some(found));
            }
            if start.elapsed() >= bound {
                return Ok(None);
            }
            sleep(LOOK_PERIOD).await;
        }
    }

    /// Looks after the replicas: replaces those that have ended, and says so when nobody leads for long. Returns the
    /// events.
    ///
    /// # Errors
    /// When a replica cannot be kept running.
    pub async fn tend(&mut self) -> Result<Vec<Event>> {
        self.replace_ended().await?;
        let (events, now) = (self.fleet.history().events(), now());
        let leading = leading(&events);
        if leader_at(&leading, now).is_some() {
            self.silent_since = None;
        } else if self.silent_since.get_or_insert_with(Instant::now).elapsed() >= SILENCE_MAX {
            self.silent_since = None;
            let last = leading.iter().filter_map(|it| it.until).max().unwrap_or(self.output.start());
            let nobody = Duration::from_nanos(now.saturating_sub(last)).as_secs();
            self.output.note(&format!("... nobody has led for {nobody} s"));
        }
        Ok(events)
    }

    /// Starts a new replica for each that has ended, as a Deployment would. Fails when one ends as soon as it is
    /// started: it would do so for ever.
    async fn replace_ended(&mut self) -> Result<()> {
        for index in 0..self.fleet.len() {
            let Some(status) = self.fleet.replica(index).exit_status() else { continue };
            let (name, said) = (self.fleet.replica(index).name().to_owned(), self.fleet.replica(index).stderr());
            let said = said.lines().last().unwrap_or("it did not say why").trim_start_matches("error: ").to_owned();
            let is_unasked = !self.asked.contains(&index);
            if is_unasked && self.started[index].elapsed() < LIFE_MIN {
                bail!("{name} ended as soon as it was started ({status}): {said}");
            }
            let ended = *self.ended.entry(index).or_insert_with(Instant::now);
            if ended.elapsed() < REPLACEMENT_DELAY || self.replaced.contains(&index) {
                continue;
            }
            let new = self.fleet.start_replica(&self.server).await?;
            // Not before: a story may be broken off while this waits, and whoever comes next has to start it.
            self.replaced.insert(index);
            self.started.push(Instant::now());
            let why = if is_unasked { format!(", which ended by itself: {said}") } else { String::new() };
            self.output.note(&format!("{} replaces {name}, as in a Deployment{why}", self.fleet.replica(new).name()));
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop_printing();
    }
}

/// Says what is on the stage, before the replicas speak.
fn introduce(output: &Output, args: &Args, fleet: &Fleet, server: &ApiServer) -> Result<()> {
    let tick = seconds(args.tick);
    let on = match server.kind() {
        ServerKind::Embedded => "an API server inside this process, which knows little more than Leases",
        ServerKind::Real => "a real kube-apiserver",
    };
    let (variant, n) = (args.variant, args.replicas);
    let acts = if variant.is_example() { "copies ConfigMaps".to_owned() } else { format!("acts every {tick}") };
    output.announce(&format!("{variant}: {n} replicas compete for one Lease; its holder leads, and {acts}"));
    output.note(&format!("{}; on {on}", durations(args)));
    if args.without_gate {
        output.note("built without its gate: the end of its term does not stop its writes");
    }
    if args.fencing {
        output
            .note("fencing is in force: the API server refuses a write whose epoch is older than the last one written");
    }
    output.note("to watch the Lease:");
    // In one piece whatever the width, to be copied.
    let kubeconfig = fleet.admin_kubeconfig(server)?;
    output.text(&format!("kubectl --kubeconfig {} get lease -w\n", kubeconfig.display()));
    Ok(())
}

/// The election's, for a person.
pub fn durations(args: &Args) -> String {
    let Timings { lease_duration, renew_deadline, retry_period } = args.timings();
    let [lease, deadline, retry] = [lease_duration, renew_deadline, retry_period].map(seconds);
    format!("lease duration {lease}, renew deadline {deadline}, retry period {retry}")
}

/// What is played, for a title.
pub fn played(args: &Args) -> String {
    let gate = if args.without_gate { " without its gate" } else { "" };
    let fencing = if args.fencing { " with fencing" } else { "" };
    format!("{}{gate}{fencing}", args.variant)
}

/// Where to read why a replica acted after the end of its term.
pub fn why_stale(args: &Args) -> String {
    if args.without_gate && !args.fencing {
        return "without its gate nothing stops an old leader; with --fencing the API server refuses its writes"
            .to_owned();
    }
    let kind = if args.variant.is_example() { "examples" } else { "apps" };
    // The example controller tells it where it elects.
    let file = if args.variant == Variant::Controller { "src/election.rs" } else { "README.md" };
    format!("what {0} promises, and what it does not: {kind}/{0}/{file}", args.variant)
}

/// Whether a file can be written in the end: better known before than after the story.
///
/// # Errors
/// When there is no folder for it, or it is one.
pub fn check_writable(file: &Path) -> Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let is_there = parent.is_none_or(Path::is_dir);
    ensure!(is_there && !file.is_dir(), "--svg {}: there is no such folder, or it is a folder itself", file.display());
    Ok(())
}
