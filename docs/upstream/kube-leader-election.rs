//! Tests for kube-leader-election 0.44.0. Each says in its name what should hold. Needs `lease.rs`, at `tests/lease/mod.rs`.

mod lease;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
use lease::{Fault, Link, NAME, Server};
use serde_json::{Value, json};
use tokio::time::sleep;

const TTL: Duration = Duration::from_secs(2);

fn lock(link: &Link, holder_id: &str) -> LeaseLock {
    let params = LeaseLockParams { holder_id: holder_id.into(), lease_name: NAME.into(), lease_ttl: TTL };
    LeaseLock::new(link.client(), "default", params)
}

/// Whether one call says that the lease is acquired.
async fn acquires(lock: &LeaseLock) -> bool {
    matches!(lock.try_acquire_or_renew().await, Ok(LeaseLockResult::Acquired(_)))
}

/// The loop of `examples/shared-lease.rs`, with a time-to-live of 2 s and a pause of 0.5 s.
fn shared_lease(lock: LeaseLock) -> Arc<AtomicBool> {
    let is_leader = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_leader);
    tokio::spawn(async move {
        loop {
            match lock.try_acquire_or_renew().await {
                Ok(ll) => shared.store(matches!(ll, LeaseLockResult::Acquired(_)), Ordering::Relaxed),
                Err(err) => eprintln!("{err:?}"),
            }
            sleep(Duration::from_millis(500)).await;
        }
    });
    is_leader
}

/// Runs the loop, and puts `fault` on its link once it leads. Returns whether it still leads 2 s after the Lease expired.
async fn leads_on_after(fault: Fault) -> bool {
    let link = Server::default().link();
    let is_leader = shared_lease(lock(&link, "a"));
    sleep(Duration::from_secs(1)).await;
    assert!(is_leader.load(Ordering::Relaxed), "the test is wrong: the loop does not lead");
    link.set(fault);
    sleep(2 * TTL).await;
    is_leader.load(Ordering::Relaxed)
}

#[tokio::test]
async fn the_example_stops_leading_when_it_is_cut_off_for_longer_than_the_ttl() {
    let leads = leads_on_after(Fault::Refused).await;
    assert!(!leads, "requests are refused, and the flag is `true` 2 s after the lease expired");
}

#[tokio::test]
async fn the_example_stops_leading_when_it_gets_no_answer_for_longer_than_the_ttl() {
    let leads = leads_on_after(Fault::Silent).await;
    assert!(!leads, "requests get no answer, and the flag is `true` 2 s after the lease expired");
}

#[tokio::test]
async fn a_lease_with_an_empty_spec_is_acquired() {
    let server = Server::default();
    server.put(json!({}));
    let result = lock(&server.link(), "a").try_acquire_or_renew().await;
    assert!(result.is_ok(), "an empty lease is an error: {result:?}");
}

#[tokio::test]
async fn a_lease_that_has_no_count_of_transitions_is_acquired_when_it_has_expired() {
    let server = Server::default();
    let renewed = "2020-01-01T00:00:00.000000Z";
    server.put(json!({ "holderIdentity": "old", "renewTime": renewed, "leaseDurationSeconds": 2 }));
    let result = lock(&server.link(), "a").try_acquire_or_renew().await;
    assert!(result.is_ok(), "a lease without leaseTransitions is an error: {result:?}");
}

#[tokio::test]
async fn one_of_two_candidates_acquires_an_expired_lease() {
    let server = Server::default();
    let renewed = "2020-01-01T00:00:00.000000Z";
    let expired =
        json!({ "holderIdentity": "old", "renewTime": renewed, "leaseDurationSeconds": 2, "leaseTransitions": 0 });
    server.put(expired);
    let (slow, fast) = (server.link(), server.link());
    slow.set_writes(Fault::Late(Duration::from_millis(300)));
    let (slow, fast) = (lock(&slow, "slow"), lock(&fast, "fast"));
    let (slow, fast) = tokio::join!(acquires(&slow), acquires(&fast));
    assert!(fast, "the test is wrong: the first candidate did not acquire the lease");
    assert!(!slow, "two candidates acquired the lease at once");
}

#[tokio::test]
async fn a_late_renewal_fails_when_another_candidate_has_acquired_the_lease() {
    let server = Server::default();
    let link = server.link();
    let lock = lock(&link, "a");
    assert!(acquires(&lock).await, "the test is wrong: the lease is not acquired");
    link.set_writes(Fault::Late(Duration::from_millis(300)));
    // Between the read of the renewal and its write.
    let successor = async {
        sleep(Duration::from_millis(100)).await;
        server.put(json!({ "holderIdentity": "b", "renewTime": server.spec("renewTime"),
            "leaseDurationSeconds": 2, "leaseTransitions": 1 }));
    };
    let (renewed, ()) = tokio::join!(acquires(&lock), successor);
    assert_eq!(server.spec("holderIdentity"), Value::from("b"), "the test is wrong: the successor lost the lease");
    assert!(!renewed, "a renewal of the lease of another holder returns `Acquired`");
}
