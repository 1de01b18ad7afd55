//! Tests for kube-coordinate 2.0.0-rc.0. Each says in its name what should hold. Needs `lease.rs`, at `tests/lease/mod.rs`.

mod lease;

use std::time::Duration;

use kube_coordinate::{Config, LeaderElector, LeaderElectorHandle, LeaderState};
use lease::{Fault, Link, NAME, Server};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// The shortest durations that the crate takes.
fn spawn(link: &Link, identity: &str) -> LeaderElectorHandle {
    let second = Duration::from_secs(1);
    let config = Config::default().name(NAME).namespace("default").identity(identity).manager("test");
    let config = config.lease_duration(3 * second).renew_deadline(2 * second).retry_period(second).api_timeout(second);
    LeaderElector::spawn(config, link.client()).expect("a valid configuration")
}

/// A candidate that leads.
async fn leader(server: &Server) -> LeaderElectorHandle {
    let handle = spawn(&server.link(), "a");
    assert!(leads_within(&handle, 5).await, "the test is wrong: the candidate does not lead");
    handle
}

/// Whether it announces `Leading` within so many seconds.
async fn leads_within(handle: &LeaderElectorHandle, seconds: u64) -> bool {
    let mut state = handle.state();
    let led = timeout(Duration::from_secs(seconds), state.wait_for(LeaderState::is_leader)).await;
    led.is_ok_and(|led| led.is_ok())
}

#[tokio::test]
async fn the_state_is_not_leading_after_the_handle_is_dropped() {
    let handle = leader(&Server::default()).await;
    let state = handle.state();
    drop(handle);
    // The lease has expired by then.
    sleep(Duration::from_secs(4)).await;
    assert!(!state.borrow().is_leader(), "the handle is dropped, the lease has expired, and the state is Leading");
}

#[tokio::test]
async fn the_state_is_not_leading_after_a_shutdown() {
    let handle = leader(&Server::default()).await;
    let state = handle.state();
    handle.shutdown().await.expect("the task ends");
    assert!(!state.borrow().is_leader(), "the task has ended, and the state is Leading");
}

#[tokio::test]
async fn a_shutdown_releases_the_lease() {
    let server = Server::default();
    leader(&server).await.shutdown().await.expect("the task ends");
    let holder = server.spec("holderIdentity");
    assert!(holder.is_null() || holder == "", "the lease is still held by {holder} after the shutdown");
}

/// Starts two candidates, one of which writes later than the other. Returns whether both lead at the same time.
async fn two_lead(server: &Server) -> bool {
    let (slow, fast) = (server.link(), server.link());
    slow.set_writes(Fault::Late(Duration::from_millis(300)));
    let (slow, fast) = (spawn(&slow, "slow"), spawn(&fast, "fast"));
    assert!(leads_within(&fast, 5).await, "the test is wrong: the first candidate does not lead");
    for _ in 0..20 {
        sleep(Duration::from_millis(50)).await;
        if slow.state().borrow().is_leader() && fast.state().borrow().is_leader() {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn one_of_two_candidates_creates_a_missing_lease() {
    assert!(!two_lead(&Server::default()).await, "two candidates created the lease, and both lead");
}

#[tokio::test]
async fn one_of_two_candidates_acquires_a_released_lease() {
    let server = Server::default();
    server.put(json!({ "holderIdentity": "", "leaseTransitions": 0 }));
    assert!(!two_lead(&server).await, "two candidates acquired the lease, and both lead");
}

#[tokio::test]
async fn a_candidate_does_not_lead_on_its_own_expired_lease_before_it_has_written() {
    let server = Server::default();
    let renewed = "2020-01-01T00:00:00.000000Z";
    server
        .put(json!({ "holderIdentity": "a", "renewTime": renewed, "leaseDurationSeconds": 3, "leaseTransitions": 0 }));
    let link = server.link();
    link.set_writes(Fault::Silent);
    let handle = spawn(&link, "a");
    let leads = leads_within(&handle, 3).await;
    assert_eq!(server.spec("renewTime"), Value::from(renewed), "the test is wrong: the lease was renewed");
    assert!(!leads, "the state is Leading before any write succeeded");
}
