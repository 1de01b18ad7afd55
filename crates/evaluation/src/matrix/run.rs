//! Everything that was asked for, as many trials side by side as the machine bears.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Error, Result};
use futures::{StreamExt, stream};
use still_leading_testbed::{ApiServer, Timings};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::fault::Fault;
use super::judge::{Judgement, judge};
use super::record::Trial;
use super::store::Store;
use super::subject::Subject;
use super::trial::{self, Plan};

/// An API server is as heavy as so many fleets of three.
const SERVER_WEIGHT: usize = 3;

/// What is to be tried.
pub struct Order<'a> {
    /// What is tried, each with its executable.
    pub subjects: &'a [(Subject, PathBuf)],
    /// What happens.
    pub faults: &'a [Box<dyn Fault>],
    /// Which subject is tried under which fault.
    pub wants: &'a dyn Fn(Subject, &str) -> bool,
    /// How often each.
    pub trials: usize,
    /// The election's durations.
    pub timings: Timings,
    /// What decides moments and jitter.
    pub seed: u64,
    /// How many trials side by side.
    pub parallel: usize,
}

/// Trials that are run together: of one subject, or of all where the fault is the API server's.
#[derive(Clone, Debug)]
struct Job {
    fault: usize,
    number: usize,
    /// Of the order.
    subjects: Vec<usize>,
}

impl Order<'_> {
    /// How many trials it has that `store` has not.
    #[must_use]
    pub fn missing(&self, store: &Store) -> usize {
        self.jobs(store).iter().map(|job| job.subjects.len()).sum()
    }

    /// The jobs, first one trial of everything, then a second one, so that an interrupted run has something of all.
    fn jobs(&self, store: &Store) -> Vec<Job> {
        let mut jobs = Vec::new();
        for number in 1..=self.trials {
            for (fault, what) in self.faults.iter().enumerate() {
                let is_missing = |index: &usize| {
                    let subject = self.subjects[*index].0;
                    (self.wants)(subject, &what.name()) && !store.has(&subject.to_string(), &what.name(), number)
                };
                let missing: Vec<usize> = (0..self.subjects.len()).filter(is_missing).collect();
                if what.needs().own_server {
                    // No more than the machine bears.
                    let together = self.parallel.saturating_sub(SERVER_WEIGHT).max(1);
                    let groups = missing.chunks(together);
                    jobs.extend(groups.map(|group| Job { fault, number, subjects: group.to_vec() }));
                } else {
                    jobs.extend(missing.into_iter().map(|subject| Job { fault, number, subjects: vec![subject] }));
                }
            }
        }
        jobs
    }

    /// How much of the machine a job takes, where a fleet of three is one.
    fn weight(&self, job: &Job) -> usize {
        let fault = &self.faults[job.fault];
        let server = if fault.needs().own_server { SERVER_WEIGHT } else { 0 };
        (job.subjects.len() * fault.weight() + server).min(self.parallel)
    }
}

/// Runs what is missing. Each trial is kept as soon as it is over, and then handed to `note` with what it shows.
///
/// # Errors
/// A trial cannot be kept.
pub async fn run(
    server: &ApiServer,
    order: &Order<'_>,
    store: &Store,
    note: &dyn Fn(&Trial, &Judgement),
) -> Result<()> {
    let room = Semaphore::new(order.parallel);
    let (room, failed) = (&room, &std::cell::RefCell::new(None));
    stream::iter(order.jobs(store))
        .for_each_concurrent(order.parallel, |job| async move {
            let weight = u32::try_from(order.weight(&job)).unwrap_or(1);
            let Ok(_permit) = room.acquire_many(weight).await else { return };
            if failed.borrow().is_some() {
                return;
            }
            for trial in run_job(server, order, &job).await {
                // Packing takes a while, in which the other trials would stand still.
                let store = store.clone();
                let keep = move || store.add(&trial).map(|_| (judge(&trial), trial));
                match spawn_blocking(keep).await.map_err(Error::from).flatten() {
                    Ok((judged, trial)) => note(&trial, &judged),
                    Err(error) => drop(failed.borrow_mut().get_or_insert(error)),
                }
            }
        })
        .await;
    failed.borrow_mut().take().map_or(Ok(()), Err)
}

async fn run_job(server: &ApiServer, order: &Order<'_>, job: &Job) -> Vec<Trial> {
    let subjects: Vec<(Subject, PathBuf)> = job.subjects.iter().map(|index| order.subjects[*index].clone()).collect();
    let plan = Plan {
        server: server.kind(),
        subjects: &subjects,
        fault: order.faults[job.fault].as_ref(),
        timings: order.timings,
        number: job.number,
        seed: order.seed.wrapping_add(job.number as u64).wrapping_mul(31).wrapping_add(job.fault as u64),
    };
    trial::run(server, &plan).await
}

/// Judges all trials of a run, by subject and fault.
///
/// # Errors
/// One cannot be read.
pub fn cells(store: &Store) -> Result<BTreeMap<(String, String), Vec<Judgement>>> {
    let mut cells: BTreeMap<(String, String), Vec<Judgement>> = BTreeMap::new();
    for trial in store.each()? {
        cells.entry((trial.subject.clone(), trial.fault.clone())).or_default().push(judge(&trial));
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use still_leading_testbed::guard::TempDir;

    use super::*;
    use crate::matrix::faults;

    fn jobs(parallel: usize, trials: usize) -> Vec<Job> {
        let dir = TempDir::new("still-leading-run-").unwrap();
        let store = Store::of(dir.path());
        let subjects: Vec<(Subject, PathBuf)> =
            Subject::variants().into_iter().map(|subject| (subject, PathBuf::new())).collect();
        let faults = ["sigterm", "etcd-restart"].map(|name| faults::find(name).unwrap());
        let seconds = std::time::Duration::from_secs;
        let timings = Timings { lease_duration: seconds(5), renew_deadline: seconds(3), retry_period: seconds(1) };
        let wants = |subject: Subject, fault: &str| fault != "sigterm" || subject == subjects[0].0;
        let order = Order { subjects: &subjects, faults: &faults, wants: &wants, trials, timings, seed: 1, parallel };
        order.jobs(&store)
    }

    #[test]
    fn a_group_on_one_server_is_no_larger_than_the_machine_bears() {
        let sizes = |parallel| jobs(parallel, 1).iter().map(|job| job.subjects.len()).collect::<Vec<_>>();
        assert_eq!(sizes(16), [1, 12]);
        assert_eq!(sizes(8), [1, 5, 5, 2]);
        assert_eq!(sizes(2), [1; 13]);
    }

    #[test]
    fn the_second_trial_of_anything_comes_after_the_first_of_everything() {
        let numbers: Vec<usize> = jobs(16, 2).iter().map(|job| job.number).collect();
        assert_eq!(numbers, [1, 1, 2, 2]);
    }
}
