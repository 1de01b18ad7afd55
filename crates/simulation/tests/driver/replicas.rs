//! The real drivers, one task each, and the interventions that were recorded in the simulation.

use std::sync::Arc;

use still_leading::internals::{Clock, Driver, Moment, Reporter, Requests, Timing};
use still_leading::{Status, Term};
use still_leading_simulation::intervention::Intervention;
use still_leading_simulation::plan::{Plan, identity};
use still_leading_simulation::record::Observed;
use still_leading_simulation::replica::work_takes;
use still_leading_simulation::time::Ns;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, NAME, NAMESPACE};

/// tokio's paused clock, since the process started.
#[derive(Debug)]
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Moment {
        self.0.elapsed()
    }
}

/// One running process.
struct Process {
    driver: JoinHandle<()>,
    observer: JoinHandle<()>,
    status: watch::Receiver<Status>,
    wish: mpsc::UnboundedSender<Option<String>>,
    stop: CancellationToken,
}

impl Process {
    fn start(api: &Api, slot: usize, incarnation: u64, timing: &Timing, reporter: &Reporter) -> Self {
        let timing = Timing { identity: identity(slot, incarnation), ..timing.clone() };
        let takes = work_takes(&timing);
        let client = api.client(slot, incarnation);
        let requests = Requests::new(client, NAMESPACE.to_owned(), NAME.to_owned(), timing, reporter.clone());
        let (publish, status) = watch::channel(Status::default());
        let stop = CancellationToken::new();
        let driver = Driver::new(requests, reporter.clone(), Arc::new(PausedClock(Instant::now())), publish);
        let (wish, wishes) = mpsc::unbounded_channel();
        let run = driver.with_wishes(wishes).run(stop.clone());
        let driver = tokio::spawn(async move { drop(run.await) });
        let observer = tokio::spawn(observe(api.clone(), slot, status.clone(), takes));
        Self { driver, observer, status, wish, stop }
    }

    fn has_ended(&self) -> bool {
        self.driver.is_finished()
    }

    /// SIGKILL.
    fn kill(self) {
        self.observer.abort();
        self.driver.abort();
    }
}

/// Notes each begin and end of a term, and has its work end for a hand-over.
async fn observe(api: Api, slot: usize, mut status: watch::Receiver<Status>, takes: Duration) {
    let mut known: Option<u64> = None;
    while status.changed().await.is_ok() {
        // No two terms have the same epoch.
        let present = status.borrow_and_update().term.clone();
        let term = present.as_ref().map(Term::epoch);
        if known != term && known.is_some() {
            api.note(slot, Observed::Ended);
        }
        if known != term
            && let Some(epoch) = term
        {
            api.note(slot, Observed::Began(epoch));
            present.into_iter().for_each(|term| drop(tokio::spawn(work(term, takes))));
        }
        known = term;
    }
}

/// Work that takes so long to end when it is asked to.
async fn work(term: Term, takes: Duration) {
    term.cancelled().await;
    sleep(takes).await;
    term.hand_over();
}

/// Runs the real drivers through what was done in the simulation of `plan`, and returns what they did.
pub fn run(plan: &Plan, interventions: &[(Ns, Intervention)]) -> Vec<(Ns, usize, Observed)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let reporter = Reporter::start(Duration::from_secs(60), None).unwrap();
        let api = Api::new(plan);
        let mut processes: Vec<Option<Process>> = plan.replicas.iter().map(|_| None).collect();
        let mut incarnations = vec![0; plan.replicas.len()];
        for (at, what) in interventions {
            api.until(*at).await;
            match what {
                Intervention::Start(slot) if processes[*slot].as_ref().is_none_or(Process::has_ended) => {
                    let timing = &plan.replicas[*slot].timing;
                    processes[*slot] = Some(Process::start(&api, *slot, incarnations[*slot], timing, &reporter));
                    incarnations[*slot] += 1;
                }
                Intervention::Kill(slot) => processes[*slot].take().into_iter().for_each(Process::kill),
                Intervention::Stop(slot) => {
                    if let Some(process) = &processes[*slot] {
                        process.stop.cancel();
                    }
                }
                Intervention::Wish(slot, name) => {
                    if let Some(process) = &processes[*slot] {
                        // A process that has ended wants nothing.
                        process.wish.send(Some(name.clone())).unwrap_or_default();
                    }
                }
                Intervention::Yield(slot) => {
                    let term = processes[*slot].as_ref().and_then(|process| process.status.borrow().term.clone());
                    term.iter().for_each(Term::hand_over);
                }
                _ => {}
            }
            api.intervene(what);
        }
        api.until(plan.ends).await;
        sleep(Duration::from_millis(1)).await;
        api.observed()
    })
}
