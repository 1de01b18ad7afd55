//! The stage of a story: an API server, the replicas, and a replacement for each replica that ends, as a Deployment would start
//! it.

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

/// The pause between two checks of a wait.
pub const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// A wait for a leader that is longer prints that it goes on.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// A replica that ends by itself within this time would end again, for instance because it refuses a flag.
const LIFE_MIN: Duration = Duration::from_secs(2);
/// The time from the end of a replica to the start of its replacement, as a pod takes at least. Without it the replacement
/// would be the first to ask for the lease, and the election would look better than it is.
const REPLACEMENT_DELAY: Duration = Duration::from_secs(2);

/// The running demo. Dropping it ends everything that it started.
pub struct Stage {
    // First, so that replicas end before the API server.
    fleet: Fleet,
    server: ApiServer,
    output: Output,
    printing: AbortHandle,
    /// Changes the ConfigMaps that an example copies.
    _sources: Option<Sources>,
    timings: Timings,
    tick: Duration,
    /// When each replica was started, by its index.
    started: Vec<Instant>,
    /// Replicas that were asked to end.
    asked: BTreeSet<usize>,
    /// When the end of a replica was noticed.
    ended: BTreeMap<usize, Instant>,
    /// Replicas that have ended and been replaced.
    replaced: BTreeSet<usize>,
    /// When nobody began to lead, or when that was last printed.
    silent_since: Option<Instant>,
}

impl Stage {
    /// Builds the variant, starts the API server and the replicas, and prints how to watch the Lease.
    ///
    /// # Errors
    /// Something is missing or does not start. One line with what to do.
    pub async fn set_up(args: &Args, output: &Output) -> Result<Self> {
        let (variant, kind) = (args.variant, args.server());
        if kind == ServerKind::Real {
            // Before the build, which may take minutes.
            Assets::find().context("--real needs a control plane")?;
        }
        let program = build::build(variant, !args.without_gate).await.with_context(|| format!("building {variant}"))?;
        if kind == ServerKind::Real {
            progress("starting etcd and kube-apiserver, which takes some seconds");
        }
        let server = ApiServer::start(kind).await?;
        let (timings, tick) = (args.timings(), args.tick);
        // The replicas come last, since a fence has to be in force by then.
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

    /// The output of the demo.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Stops printing the replicas' lines. Their end is not part of the demo.
    pub fn stop_printing(&self) {
        self.printing.abort();
    }

    /// The durations of the election.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// How long to watch a new leader: long enough for two acts.
    pub fn settling(&self) -> Duration {
        (self.tick.saturating_mul(5) / 2).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// Longer than any failover. Nobody waits this long for a lease to expire.
    pub fn bound(&self) -> Duration {
        self.timings.lease_duration.saturating_mul(4).saturating_add(Duration::from_secs(20))
    }

    /// How long to keep up a fault that the leader survives. By then it would have lost its lease.
    pub fn holding(&self) -> Duration {
        self.timings.lease_duration.saturating_add(self.timings.retry_period.saturating_mul(2))
    }

    /// These three, for a verdict.
    pub fn patience(&self) -> Patience {
        Patience { settling: self.settling(), holding: self.holding(), bound: self.bound() }
    }

    /// Whether every replica that ended has been replaced, and every other one takes part in the election.
    pub fn is_complete(&self) -> bool {
        (0..self.fleet.len()).all(|index| match self.fleet.replica(index).exit_status() {
            Some(_) => self.replaced.contains(&index),
            None => {
                let requests = self.fleet.proxy(index).requests();
                requests.iter().any(|request| request.path.contains("/leases") && request.succeeded())
            }
        })
    }

    /// The leader, unless it is frozen.
    pub fn leader(&self) -> Option<usize> {
        leader_at(&leading(&self.fleet.history().events()), now()).and_then(|it| self.index(&it.replica))
    }

    /// The index of the replica with this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        (0..self.fleet.len()).find(|index| self.fleet.replica(*index).name() == name)
    }

    /// Injects a fault into a replica.
    ///
    /// # Errors
    /// The replica has ended already.
    pub fn inject(&mut self, fault: Fault, victim: usize) -> Result<Episode> {
        if fault.ends_the_process() {
            self.asked.insert(victim);
        }
        let at = fault.inject(&self.fleet, victim)?;
        let victim = self.fleet.replica(victim).name().to_owned();
        Ok(Episode { fault, victim, at, healed: None, until: None, told: None })
    }

    /// Heals a fault once, if it can be healed.
    pub fn heal(&self, episode: &mut Episode) {
        if episode.healed.is_none() {
            episode.healed = self.index(&episode.victim).and_then(|victim| episode.fault.heal(&self.fleet, victim));
        }
    }

    /// Waits until `find` returns something, for at most `bound`. `find` gets the events and the time. Replaces replicas that end
    /// meanwhile.
    ///
    /// # Errors
    /// A replica cannot be kept running.
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

    /// Replaces the replicas that have ended, and prints when nobody has led for long. Returns the events.
    ///
    /// # Errors
    /// A replica cannot be kept running.
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

    /// Starts a new replica for each that has ended, as a Deployment would. Fails if one ends as soon as it is started, since its
    /// replacements would too.
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
            // Not earlier: a story may be broken off during this wait, and the next call then has to start it.
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

/// Prints what is on the stage, before the replicas log anything.
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
    // Not wrapped at any width, so that it can be copied.
    let kubeconfig = fleet.admin_kubeconfig(server)?;
    output.text(&format!("kubectl --kubeconfig {} get lease -w\n", kubeconfig.display()));
    Ok(())
}

/// The durations of the election, for people.
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
    // The example documents it in its election.rs.
    let file = if args.variant == Variant::Controller { "src/election.rs" } else { "README.md" };
    format!("what {0} promises, and what it does not: {kind}/{0}/{file}", args.variant)
}

/// Checks that a file can be written, before the story and not after it.
///
/// # Errors
/// Its folder does not exist, or it is a folder itself.
pub fn check_writable(file: &Path) -> Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let is_there = parent.is_none_or(Path::is_dir);
    ensure!(is_there && !file.is_dir(), "--svg {}: there is no such folder, or it is a folder itself", file.display());
    Ok(())
}
