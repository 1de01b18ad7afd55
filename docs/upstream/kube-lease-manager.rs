//! Tests for kube-lease-manager 0.13.1. Each says in its name what should hold. Needs `lease.rs`, at `tests/lease/mod.rs`.

mod lease;

use std::time::Duration;

use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, Result};
use lease::{Fault, Link, NAME, Server};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{sleep, timeout};

/// The lease lasts 2 s and is renewed 1 s before its end.
async fn manager(link: &Link, identity: &str) -> Result<LeaseManager> {
    let builder = LeaseManagerBuilder::new(link.client(), NAME).with_identity(identity);
    builder.with_duration(2).with_grace(1).build().await
}

/// Waits until the channel says `true`.
async fn leads(state: &mut Receiver<bool>) {
    let led = timeout(Duration::from_secs(10), state.wait_for(|leads| *leads)).await;
    assert!(led.is_ok_and(|led| led.is_ok()), "the test is wrong: the manager did not become the holder");
}

#[tokio::test]
async fn a_holder_that_is_cut_off_stops_leading_when_its_lease_has_expired() {
    let link = Server::default().link();
    let (mut state, _task) = manager(&link, "a").await.expect("a manager").watch().await;
    leads(&mut state).await;
    link.set(Fault::Refused);
    sleep(Duration::from_secs(4)).await;
    assert!(!*state.borrow(), "requests are refused, and the channel says `true` 2 s after the lease expired");
}

#[tokio::test]
async fn a_holder_that_gets_no_answer_stops_leading_when_its_lease_has_expired() {
    let link = Server::default().link();
    let (mut state, _task) = manager(&link, "a").await.expect("a manager").watch().await;
    leads(&mut state).await;
    link.set(Fault::Silent);
    sleep(Duration::from_secs(4)).await;
    assert!(!*state.borrow(), "requests get no answer, and the channel says `true` 2 s after the lease expired");
}

#[tokio::test]
async fn a_lease_that_is_deleted_is_held_again_in_the_mode_auto_create() {
    let server = Server::default();
    let (mut state, _task) = manager(&server.link(), "a").await.expect("a manager").watch().await;
    leads(&mut state).await;
    server.delete();
    sleep(Duration::from_secs(6)).await;
    assert_ne!(server.spec("holderIdentity"), Value::Null, "nobody holds the lease three durations after its deletion");
}

#[tokio::test]
async fn a_release_of_an_expired_lease_that_arrives_late_leaves_a_new_holder_alone() {
    let server = Server::default();
    server
        .put(json!({ "holderIdentity": "old", "renewTime": "2020-01-01T00:00:00.000000Z", "leaseDurationSeconds": 2 }));
    let (slow, fast) = (server.link(), server.link());
    // "b" reads that the lease of "old" has expired. Its release is on its way for 2.5 s.
    slow.set_writes(Fault::Late(Duration::from_millis(2500)));
    let (_b, _task) = manager(&slow, "b").await.expect("a manager").watch().await;
    let (mut c, _task) = manager(&fast, "c").await.expect("a manager").watch().await;
    leads(&mut c).await;
    // "c" renews within a second, so it holds a lease that is valid when the release arrives.
    for _ in 0..30 {
        assert_eq!(server.spec("holderIdentity"), "c", "a late release took the lease from its new holder");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_conflict_during_a_release_is_an_error_and_not_a_panic() {
    let link = Server::default().link();
    let manager = manager(&link, "a").await.expect("a manager");
    assert!(manager.changed().await.expect("no fault yet"), "the test is wrong: the manager is not the holder");
    link.set_writes(Fault::Status(409));
    let release = tokio::spawn(async move { manager.release().await }).await;
    assert!(release.is_ok(), "release() panicked: {release:?}");
}
