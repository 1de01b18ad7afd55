//! One variant on the cluster: what is done to it, and what is waited for.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod as Object};
use kube::Api;
use kube::api::LogParams;
use serde_json::{Map, Value};
use still_leading_testbed::history::judge::{Term, frozen, terms};
use still_leading_testbed::history::{FROZEN, HARNESS, THAWED};
use still_leading_testbed::{Event, History, Timings, Variant};
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Cluster;
use super::command::Command;
use super::faults::NodeFault;
use super::pod::{CONTAINER, Pod};
use super::pods::{self, Pods};
use super::{Stop, now};
use crate::stats::phase;

/// Replicas of the Deployment as it is shipped.
pub(super) const REPLICAS: usize = 3;
/// More than any hand-over and any start of a pod takes: what takes longer is a failure, not a figure.
pub(super) const BOUND: Duration = Duration::from_secs(120);
/// How long a log may lag before its stream is taken for dead.
const LAG: Duration = Duration::from_secs(3);
/// More than it takes to read a log of some hundred lines.
const READ_BOUND: Duration = Duration::from_secs(5);
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// A deployed variant under observation.
pub(super) struct Fixture<'a> {
    pub(super) cluster: &'a Cluster,
    /// Of all its objects, and of their namespace.
    pub(super) name: String,
    pub(super) history: History,
    pods: Pods,
    leases: Api<Lease>,
    objects: Api<Object>,
}

impl<'a> Fixture<'a> {
    /// Begins to observe.
    pub(super) async fn observe(cluster: &'a Cluster, variant: Variant) -> Result<Self> {
        let name = variant.full_name();
        let history = History::default();
        let objects: Api<Object> = Api::namespaced(cluster.client.clone(), &name);
        let selector = format!("app.kubernetes.io/instance={name}");
        let pods = Pods::watch(objects.clone(), &selector, history.clone()).await?;
        let leases = Api::namespaced(cluster.client.clone(), &name);
        Ok(Self { cluster, name, history, pods, leases, objects })
    }

    /// Runs `kubectl` with these words, and returns when it was called.
    pub(super) async fn kubectl(&self, words: &[&str]) -> Result<u64> {
        let all = ["kubectl", "--context", &self.cluster.target.context, "--namespace", &self.name];
        self.run(Command::new(all.iter().chain(words).copied())).await
    }

    /// Injects `fault` and returns the time at which the injection started.
    pub(super) async fn inject(&self, fault: &NodeFault) -> Result<u64> {
        let command = fault.inject_command().context("no command injects this fault")?;
        self.cluster.active_faults.add(fault);
        let at = self.run(command).await?;
        if let NodeFault::Frozen(node) = fault {
            self.pods().iter().filter(|pod| pod.node == *node).for_each(|pod| self.note_to(at, FROZEN, &pod.replica));
        }
        Ok(at)
    }

    /// Heals `fault` and returns the time at which the healing started.
    pub(super) async fn heal(&self, fault: &NodeFault) -> Result<u64> {
        let at = self.note(&fault.heal_command().to_string());
        self.note_thaw(at);
        self.cluster.active_faults.heal(fault).await?;
        Ok(at)
    }

    /// Heals whatever a step has left.
    pub(super) async fn heal_all(&self) -> Result<()> {
        self.note_thaw(now());
        self.cluster.active_faults.heal_all().await
    }

    /// Only one node is ever frozen at a time.
    fn note_thaw(&self, at: u64) {
        let frozen = frozen(&self.history.events());
        frozen.iter().filter(|it| it.until.is_none()).for_each(|it| self.note_to(at, THAWED, &it.replica));
    }

    /// What was done to one pod, so that the judge knows when it could not act.
    fn note_to(&self, at: u64, what: &str, pod: &str) {
        let to = Map::from_iter([("to".to_owned(), Value::from(pod))]);
        self.history.record_at(at, HARNESS, what, to);
    }

    async fn run(&self, command: Command) -> Result<u64> {
        let at = self.note(&command.to_string());
        command.run().await?;
        Ok(at)
    }

    fn note(&self, command: &str) -> u64 {
        if self.cluster.verbose {
            eprintln!("    $ {command}");
        }
        self.history.record_at(now(), HARNESS, command, Map::new())
    }

    /// Three are Ready, and one of them leads.
    pub(super) async fn calm(&self) -> Result<Pod> {
        self.ready(REPLICAS).await?;
        self.leader().await
    }

    /// Waits until there are just so many pods, all of them Ready.
    pub(super) async fn ready(&self, replicas: usize) -> Result<()> {
        let all_ready = |pods: &Vec<Pod>| pods.len() == replicas && pods.iter().all(Pod::is_available);
        let mut now = self.pods.now.clone();
        let reached = timeout(BOUND, now.wait_for(all_ready)).await.map(|reached| reached.is_ok());
        match reached {
            Ok(true) => Ok(()),
            Ok(false) => bail!("the watch of pods ended"),
            Err(_) => {
                let pods = self.pods();
                let available = pods.iter().filter(|pod| pod.is_available()).count();
                let said = format!("{available} of {} pods Ready after {BOUND:?}, not {replicas}", pods.len());
                Err(Stop::Broken(said).into())
            }
        }
    }

    /// Waits until one leads: by the logs that one alone, and by the Lease too.
    pub(super) async fn leader(&self) -> Result<Pod> {
        let deadline = Instant::now() + BOUND;
        loop {
            // One answer that fails to come is no reason to give up.
            let pod = match self.holder().await {
                Ok(holder) => leads(&self.terms(), &self.pods(), &holder).map_err(|said| Stop::Broken(said).into()),
                Err(error) => Err(error),
            };
            if pod.is_ok() || Instant::now() > deadline {
                return pod;
            }
            sleep(LOOK_PERIOD).await;
        }
    }

    /// The holder of the Lease, or nothing.
    async fn holder(&self) -> Result<String> {
        let lease = self.leases.get(&self.name).await.with_context(|| format!("reading Lease {}", self.name))?;
        Ok(lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
    }

    /// Waits for the first term of another one that began after `from`.
    pub(super) async fn successor(&self, of: &Pod, from: u64) -> Result<Term> {
        let first = |events: &[Event]| terms(events).into_iter().find(|it| it.replica != of.name && it.from > from);
        let found = self.history.wait_for(BOUND, first).await;
        found.map_err(|_| Stop::Broken(format!("nobody took over from {} within {BOUND:?}", of.name)).into())
    }

    /// Waits until the log of every pod that is there has been read up to now.
    pub(super) async fn read_up(&self) -> Result<()> {
        for pod in self.pods() {
            let Some(log) = self.pods.log(&pod) else { continue };
            let deadline = Instant::now() + BOUND;
            let mut patience = Instant::now() + LAG;
            while self.pods().iter().any(|other| other.uid == pod.uid) {
                let params = LogParams { container: Some(CONTAINER.to_owned()), ..LogParams::default() };
                let whole = timeout(READ_BOUND, self.objects.logs(&pod.name, &params)).await;
                if let Ok(Ok(whole)) = whole
                    && log.taken() >= whole.matches('\n').count()
                {
                    break;
                }
                if Instant::now() > deadline {
                    bail!("the log of {} cannot be read up to its end", pod.name);
                }
                if Instant::now() > patience {
                    log.read_again();
                    patience = Instant::now() + LAG;
                }
                sleep(LOOK_PERIOD).await;
            }
        }
        Ok(())
    }

    /// Waits until nothing of it is left.
    pub(super) async fn gone(cluster: &Cluster, variant: Variant) -> Result<()> {
        let (namespaces, name) = (Api::<Namespace>::all(cluster.client.clone()), variant.full_name());
        let deadline = Instant::now() + BOUND;
        while namespaces.get_opt(&name).await.context("reading a namespace")?.is_some() {
            if Instant::now() > deadline {
                return Err(Stop::Broken(format!("namespace {name} is still there after {BOUND:?}")).into());
            }
            sleep(LOOK_PERIOD).await;
        }
        Ok(())
    }

    /// A time in which a leader renews and its standbys look, and which is not in step with either.
    pub(super) async fn pass_time(&self, trial: usize) {
        sleep(Timings::default().retry_period.mul_f64(1.0 + phase(trial))).await;
    }

    /// The pods as they are.
    pub(super) fn pods(&self) -> Vec<Pod> {
        self.pods.now.borrow().clone()
    }

    /// The terms so far.
    pub(super) fn terms(&self) -> Vec<Term> {
        terms(&self.history.events())
    }

    /// The fewest available replicas since `from`.
    pub(super) fn fewest_available(&self, from: u64) -> u64 {
        fewest_available(&self.history.events(), from)
    }
}

/// The one that leads, or why there is none such.
fn leads(terms: &[Term], pods: &[Pod], holder: &str) -> Result<Pod, String> {
    let open: Vec<&str> = terms.iter().filter(|term| term.until.is_none()).map(|term| term.replica.as_str()).collect();
    let name = match open[..] {
        [] => return Err("by the logs nobody leads".to_owned()),
        [name] => name,
        _ => return Err(format!("by the logs there are several leaders: {}", open.join(", "))),
    };
    if !holder.strip_prefix(name).is_some_and(|rest| rest.starts_with('_')) {
        return Err(format!("by its log {name} leads, by the Lease {holder:?}"));
    }
    let pod = pods.iter().find(|pod| pod.name == name && !pod.is_terminating);
    pod.cloned().ok_or_else(|| format!("{name} leads, and is on its way out"))
}

/// What is available at `from` counts too.
fn fewest_available(events: &[Event], from: u64) -> u64 {
    let counts = events.iter().filter(|event| event.replica == HARNESS && event.message == pods::AVAILABLE);
    let counts: Vec<(u64, u64)> =
        counts.filter_map(|event| Some((event.at, event.fields.get("n").and_then(Value::as_u64)?))).collect();
    let before = counts.iter().rfind(|(at, _)| *at <= from);
    let after = counts.iter().filter(|(at, _)| *at > from);
    before.into_iter().chain(after).map(|(_, n)| *n).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, is_terminating: bool) -> Pod {
        Pod {
            name: name.to_owned(),
            uid: name.to_owned(),
            replica: name.to_owned(),
            node: "n".to_owned(),
            is_ready: true,
            is_terminating,
            is_running: true,
            finished: None,
        }
    }

    #[test]
    fn one_leads_if_its_log_the_lease_and_its_pod_say_so() {
        let term = |replica: &str, until| Term { replica: replica.to_owned(), from: 1, until };
        let pods = [pod("a", false), pod("a-1", false), pod("b", true)];
        let open = [term("b", Some(2)), term("a", None)];
        assert_eq!(leads(&open, &pods, "a_12ab").unwrap().name, "a");
        for (terms, holder, said) in [
            (&open[..1], "a_12ab", "nobody leads"),
            (&[term("a", None), term("b", None)], "a_12ab", "several leaders: a, b"),
            (&open, "", "by its log a leads, by the Lease \"\""),
            (&open, "a-1_12ab", "by the Lease \"a-1_12ab\""),
            (&[term("b", None)], "b_12ab", "b leads, and is on its way out"),
        ] {
            let error = leads(terms, &pods, holder).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_fewest_available_are_those_of_the_time_and_of_its_begin() {
        let event = |at, n: u64| Event {
            at,
            replica: HARNESS.to_owned(),
            message: pods::AVAILABLE.to_owned(),
            fields: Map::from_iter([("n".to_owned(), Value::from(n))]),
        };
        let events = [event(1, 1), event(2, 3), event(5, 2), event(6, 3)];
        assert_eq!(fewest_available(&events, 3), 2);
        assert_eq!(fewest_available(&events, 6), 3);
        assert_eq!(fewest_available(&events, 1), 1);
    }
}
