//! Tests for the leader election of k8s-controller 0.15.0. Each says in its name what should hold. Needs `lease.rs`, at
//! `tests/lease/mod.rs`.

mod lease;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_controller::LeaderElection;
use lease::{Fault, Link, NAME, Server};
use tokio::time::sleep;

const LEASE: Duration = Duration::from_secs(3);

/// The defaults, 15, 10 and 2 s, at a fifth.
fn election(link: &Link, identity: &str) -> LeaderElection {
    LeaderElection::new(link.client(), "default", NAME, identity)
        .with_lease_duration(LEASE)
        .with_renew_deadline(LEASE * 10 / 15)
        .with_retry_period(LEASE * 2 / 15)
}

/// Whether the future that it guards runs.
struct Leads(Arc<AtomicBool>);

impl Leads {
    fn now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    async fn wait(&self) {
        for _ in 0..100 {
            if self.now() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the test is wrong: the candidate does not lead");
    }
}

/// Sets the flag for as long as it exists.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Contends once. The guarded future runs until the election drops it.
fn contend(election: LeaderElection) -> Leads {
    let leads = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&leads);
    tokio::spawn(async move {
        let guarded = async move {
            flag.store(true, Ordering::Relaxed);
            let _flag = Flag(flag);
            pending::<()>().await;
        };
        election.with_lease(guarded).await;
    });
    Leads(leads)
}

/// Looks for this time whether both lead at once.
async fn overlap(a: &Leads, b: &Leads, time: Duration) -> bool {
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < time {
        if a.now() && b.now() {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_a_standby_takes_the_lease_over() {
    let server = Server::default();
    let (link_a, link_b) = (server.link(), server.link());
    // Durations that `validate` accepts: the retry period is longer than what the lease lasts beyond the deadline.
    let of = |link: &Link, identity: &str, retry| {
        let election = election(link, identity).with_renew_deadline(LEASE * 9 / 10);
        election.with_retry_period(Duration::from_millis(retry))
    };
    let a = contend(of(&link_a, "a", 2500));
    a.wait().await;
    let b = contend(of(&link_b, "b", 200));
    sleep(Duration::from_millis(500)).await;
    link_a.set(Fault::Refused);
    assert!(!overlap(&a, &b, 2 * LEASE).await, "the standby leads, and the leader that is cut off has not stopped");
    assert!(b.now(), "the test is wrong: the standby does not lead");
}

#[tokio::test]
async fn a_standby_waits_when_the_lease_of_a_leader_that_is_cut_off_is_deleted() {
    let server = Server::default();
    let (link_a, link_b) = (server.link(), server.link());
    let a = contend(election(&link_a, "a"));
    a.wait().await;
    let b = contend(election(&link_b, "b"));
    sleep(LEASE / 3).await;
    link_a.set(Fault::Refused);
    server.delete();
    assert!(!overlap(&a, &b, LEASE).await, "the standby leads at once, beside the leader that is cut off");
}

#[tokio::test]
async fn a_candidate_that_once_gets_no_answer_tries_again() {
    let link = Server::default().link();
    link.set(Fault::Silent);
    let candidate = contend(election(&link, "a"));
    sleep(LEASE / 3).await;
    link.set(Fault::None);
    sleep(2 * LEASE).await;
    assert!(candidate.now(), "the candidate waits for the answer to its first request, and nobody leads");
}

#[tokio::test]
async fn an_acquisition_that_is_answered_after_the_lease_has_expired_does_not_count() {
    let server = Server::default();
    let (link_a, link_b) = (server.link(), server.link());
    // Only the first write is answered late.
    link_a.set_writes(Fault::AnsweredLate(LEASE * 2));
    let a = contend(election(&link_a, "a"));
    sleep(Duration::from_millis(200)).await;
    link_a.set(Fault::None);
    let b = contend(election(&link_b, "b"));
    assert!(!overlap(&a, &b, LEASE * 3).await, "the answer came after the lease had passed to another, and both lead");
    assert!(a.now() || b.now(), "the test is wrong: nobody leads");
}

#[tokio::test]
async fn a_release_that_gets_no_answer_ends() {
    let link = Server::default().link();
    let election = election(&link, "a");
    let work = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&work);
    let cut = link.clone();
    let run = tokio::time::timeout(
        2 * LEASE,
        election.with_lease(async move {
            cut.set(Fault::Silent);
            done.store(true, Ordering::Relaxed);
        }),
    );
    let ended = run.await.is_ok();
    assert!(work.load(Ordering::Relaxed), "the test is wrong: the candidate did not lead");
    assert!(ended, "`with_lease` has not returned twice the lease duration after its future ended");
}
