//! Tests for kubert 0.25.0, feature `lease`. Each says in its name what should hold. Needs `lease.rs`, at
//! `tests/lease/mod.rs`.

mod lease;

use std::time::Duration;

use kube::Api;
use kubert::lease::{ClaimParams, LeaseManager};
use lease::{Fault, Link, NAME, Server};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const PARAMS: ClaimParams =
    ClaimParams { lease_duration: Duration::from_secs(2), renew_grace_period: Duration::from_secs(1) };

async fn manager(link: &Link) -> LeaseManager {
    LeaseManager::init(Api::namespaced(link.client(), "default"), NAME).await.expect("the lease exists")
}

fn empty_lease() -> Server {
    let server = Server::default();
    server.put(json!({}));
    server
}

#[tokio::test]
async fn the_task_goes_on_after_an_outage_of_the_api_server() {
    let link = empty_lease().link();
    let (claim, task) = manager(&link).await.spawn("a", PARAMS).await.expect("a task");
    link.set(Fault::Refused);
    sleep(Duration::from_secs(6)).await;
    link.set(Fault::None);
    sleep(Duration::from_secs(2)).await;
    assert!(!task.is_finished(), "the task ended during an outage of 6 s: {:?}", task.await);
    assert!(claim.borrow().is_current_for("a"), "the lease is not claimed 2 s after the outage");
}

#[tokio::test]
async fn a_renewal_that_fails_once_is_repeated_within_the_grace_period() {
    let link = empty_lease().link();
    let (claim, _task) = manager(&link).await.spawn("a", PARAMS).await.expect("a task");
    // The renewal is due after 1 s, and the claim expires after 2 s.
    link.set_writes(Fault::Status(500));
    sleep(Duration::from_millis(1300)).await;
    link.set_writes(Fault::Late(Duration::from_millis(100)));
    for _ in 0..100 {
        assert!(claim.borrow().is_current_for("a"), "the claim expired, although the API server was back 0.7 s before");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_lease_that_is_deleted_is_claimed_again() {
    let server = empty_lease();
    let (_claim, task) = manager(&server.link()).await.spawn("a", PARAMS).await.expect("a task");
    server.delete();
    sleep(Duration::from_secs(6)).await;
    assert!(!task.is_finished(), "the task ended after the deletion of the lease: {:?}", task.await);
    assert_eq!(server.spec("holderIdentity"), "a", "nobody claimed the lease again");
}

#[tokio::test]
async fn writes_that_meet_conflicts_are_repeated_with_a_pause() {
    let link = empty_lease().link();
    let manager = manager(&link).await;
    link.set_writes(Fault::Status(409));
    let before = link.requests();
    // A request takes 5 ms here.
    let _unclaimed = timeout(Duration::from_secs(2), manager.ensure_claimed("a", &PARAMS)).await;
    let sent = link.requests() - before;
    assert!(sent <= 20, "{sent} requests in 2 s");
}

#[tokio::test]
async fn the_count_of_transitions_grows_by_one_beyond_65535() {
    let server = Server::default();
    server.put(json!({ "leaseTransitions": 70_000 }));
    manager(&server.link()).await.ensure_claimed("a", &PARAMS).await.expect("a claim");
    assert_eq!(server.spec("leaseTransitions"), Value::from(70_001), "the count of transitions fell");
}
