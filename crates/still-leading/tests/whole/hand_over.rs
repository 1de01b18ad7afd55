//! Hand-overs among three replicas of one process, against the embedded API server: who leads next, in which order, and that
//! nobody acts beside the leader.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use still_leading::{Config, HandOver, Status, Term};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::common::{ApiServer, BOUND};

const NAMES: [&str; 3] = ["web-1", "web-10", "web-2"];
const HAND_OVER_TO: &str = "still-leading.dev/hand-over-to";
const HAND_OVERS: usize = 20;

/// A term that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Began {
    name: &'static str,
    epoch: u64,
}

struct Fleet {
    api: ApiServer,
    leases: Api<Lease>,
    began: UnboundedReceiver<Began>,
    hand_over: HashMap<&'static str, HandOver>,
    status: HashMap<&'static str, watch::Receiver<Status>>,
    /// How many work at once, at most.
    most: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    epoch: u64,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Fleet {
    /// Three replicas that work for a moment more when they are asked to stop; the generation of each is given.
    fn start(generations: [Option<&str>; 3]) -> Self {
        let api = ApiServer::start();
        let leases = Api::default_namespaced(Client::try_from(api.config()).unwrap());
        let (tell, began) = mpsc::unbounded_channel();
        let (most, working) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(0)));
        let (mut tasks, mut hand_over, mut status) = (Vec::new(), HashMap::new(), HashMap::new());
        for (name, generation) in NAMES.into_iter().zip(generations) {
            let elector = api.elector_with(name, |config: &mut Config| {
                (config.lease_duration, config.renew_deadline) = (Duration::from_secs(8), Duration::from_secs(6));
                (config.retry_period, config.generation) = (Duration::from_secs(2), generation.map(str::to_owned));
            });
            hand_over.insert(name, elector.hand_over());
            status.insert(name, elector.status());
            let (tell, most, working) = (tell.clone(), Arc::clone(&most), Arc::clone(&working));
            let work = move |term: Term| {
                let (tell, most, working) = (tell.clone(), Arc::clone(&most), Arc::clone(&working));
                async move {
                    {
                        let mut now = working.lock().unwrap();
                        *now += 1;
                        most.fetch_max(*now, Ordering::SeqCst);
                    }
                    tell.send(Began { name, epoch: term.epoch() }).unwrap();
                    term.cancelled().await;
                    sleep(Duration::from_millis(20)).await;
                    assert!(!term.is_over(), "the Lease is kept while the work ends");
                    *working.lock().unwrap() -= 1;
                }
            };
            tasks.push(tokio::spawn(async move { drop(elector.lead(pending(), work).await) }));
        }
        Self { api, leases, began, hand_over, status, most, tasks, epoch: 0 }
    }

    /// The next term of anybody. Its epoch is larger than those before.
    async fn next(&mut self) -> &'static str {
        let Began { name, epoch } = timeout(BOUND, self.began.recv()).await.expect("nobody leads").unwrap();
        assert!(epoch > self.epoch, "{name} leads in epoch {epoch} after {}", self.epoch);
        self.epoch = epoch;
        name
    }

    async fn annotate(&self, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {HAND_OVER_TO: value}}}));
        self.leases.patch("my-lease", &PatchParams::default(), &patch).await.unwrap();
    }

    async fn annotations(&self) -> std::collections::BTreeMap<String, String> {
        self.leases.get("my-lease").await.unwrap().metadata.annotations.unwrap_or_default()
    }

    /// Waits until the Lease does not ask for anything any more.
    async fn wait_until_answered(&self) {
        let answered = async {
            while self.annotations().await.contains_key(HAND_OVER_TO) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(BOUND, answered).await.expect("the request still stands there");
    }

    fn nobody_worked_beside(&self) {
        assert_eq!(self.most.load(Ordering::SeqCst), 1, "two worked at once");
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn the_pod_that_an_annotation_names_leads_next_each_time() {
    let mut fleet = Fleet::start([None; 3]);
    let mut leader = fleet.next().await;
    // Each standby has to have seen the leader.
    sleep(Duration::from_secs(1)).await;
    for number in 0..HAND_OVERS {
        let others: Vec<_> = NAMES.into_iter().filter(|name| *name != leader).collect();
        let chosen = others[number % 2];
        fleet.annotate(chosen).await;
        let next = fleet.next().await;
        assert_eq!(next, chosen, "hand-over {number} from {leader}");
        leader = next;
    }
    assert!(fleet.api.holder().unwrap().starts_with(&format!("{leader}_")));
    assert!(!fleet.annotations().await.contains_key("still-leading.dev/successor"), "the new leader has cleared it");
    fleet.nobody_worked_beside();
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn a_name_that_nobody_bears_is_dropped_and_the_leader_goes_on() {
    let mut fleet = Fleet::start([None; 3]);
    let leader = fleet.next().await;
    for name in ["web", "web-3", "", leader] {
        fleet.annotate(name).await;
        fleet.wait_until_answered().await;
    }
    assert_eq!(fleet.began.try_recv(), Err(mpsc::error::TryRecvError::Empty), "another term has begun");
    assert!(fleet.api.holder().unwrap().starts_with(&format!("{leader}_")));
    // What was dropped is over: the next request is answered.
    let chosen = NAMES.into_iter().find(|name| *name != leader).unwrap();
    fleet.annotate(chosen).await;
    assert_eq!(fleet.next().await, chosen);
    fleet.nobody_worked_beside();
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn a_program_hands_over_to_a_name_or_to_anybody_else() {
    let mut fleet = Fleet::start([Some("same"); 3]);
    let mut leader = fleet.next().await;
    sleep(Duration::from_secs(1)).await;
    for number in 0..HAND_OVERS / 2 {
        let standby = NAMES.into_iter().find(|name| *name != leader).unwrap();
        // Whoever does not lead has nothing to hand over.
        fleet.hand_over[standby].to_anybody();
        fleet.hand_over[standby].to(leader);
        match number % 3 {
            0 => fleet.hand_over[leader].to_anybody(),
            1 => fleet.hand_over[leader].to(standby),
            // Not the work says so, and it goes on for a moment.
            _ => fleet.status[leader].borrow().term.clone().unwrap().hand_over(),
        }
        let next = fleet.next().await;
        assert!(if number % 3 == 1 { next == standby } else { next != leader }, "{number}: {next} after {leader}");
        leader = next;
    }
    fleet.nobody_worked_beside();
}

/// As in a rollout with `maxSurge: 1`: one replica of the new generation is there when an old leader ends.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn a_standby_of_another_generation_leads_after_a_release() {
    for _ in 0..3 {
        let mut fleet = Fleet::start([Some("old"), Some("old"), Some("new")]);
        let leader = fleet.next().await;
        sleep(Duration::from_secs(1)).await;
        if leader != NAMES[2] {
            fleet.hand_over[leader].to_anybody();
            assert_eq!(fleet.next().await, NAMES[2]);
            fleet.nobody_worked_beside();
        }
        let generation = fleet.annotations().await.remove("still-leading.dev/generation");
        assert_eq!(generation.as_deref(), Some("new"));
    }
}
