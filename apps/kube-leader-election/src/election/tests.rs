//! What the template adds to the crate, against an API server with one Lease, on paused time.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::service_fn;

use super::*;

const ME: &str = "me_1";
const BOUND: Duration = Duration::from_secs(60);

/// How the API server treats requests.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Hanging,
    Failing,
    /// The next write fails, later ones do not.
    FailingOnce,
    /// Writes are done, but their answers are lost.
    Deaf,
    /// Somebody else takes the Lease right before each write.
    Robbed,
}

/// The spec of the Lease, once there is one; how many requests came so far; the uid of the Lease.
type Server = Arc<Mutex<(Mood, Option<Value>, u64, u64)>>;

async fn answer(server: Server, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let is_write = request.method() != Method::GET;
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mood = server.lock().unwrap().0;
    if mood == Mood::Hanging {
        std::future::pending::<()>().await;
    }
    let (status, answer) = decide(&mut server.lock().unwrap(), is_write, &body);
    if mood == Mood::Deaf && is_write {
        std::future::pending::<()>().await;
    }
    let answer = Body::from(serde_json::to_vec(&answer).unwrap());
    Ok(Response::builder().status(status).body(answer).unwrap())
}

fn decide(
    (mood, lease, version, uid): &mut (Mood, Option<Value>, u64, u64),
    is_write: bool,
    body: &[u8],
) -> (u16, Value) {
    *version += 1;
    if *mood == Mood::Failing || *mood == Mood::FailingOnce && is_write {
        if *mood == Mood::FailingOnce {
            *mood = Mood::Well;
        }
        return (500, json!({"kind": "Status", "status": "Failure", "code": 500}));
    }
    if lease.is_none() && !is_write {
        return (404, json!({"kind": "Status", "status": "Failure", "code": 404}));
    }
    if is_write {
        let lease = lease.get_or_insert_default();
        let written: Value = serde_json::from_slice(body).unwrap();
        if *mood == Mood::Robbed {
            lease["holderIdentity"] = json!("other_2");
        }
        for (key, value) in written["spec"].as_object().unwrap() {
            lease[key] = value.clone();
        }
    }
    let metadata = json!({"name": "my-lease", "uid": uid.to_string(), "resourceVersion": version.to_string()});
    (200, json!({"metadata": metadata, "spec": lease}))
}

struct Running {
    server: Server,
    status: watch::Receiver<Status>,
    release: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Running {
    fn start() -> Self {
        let server: Server = Arc::new(Mutex::new((Mood::Well, None, 0, 1)));
        let serving = Arc::clone(&server);
        let client = Client::new(service_fn(move |request| answer(Arc::clone(&serving), request)), "default");
        let [lease_duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
        let (publish, status) = watch::channel(Status::default());
        let params = Params {
            namespace: "default".to_owned(),
            lease_name: "my-lease".to_owned(),
            identity: ME.to_owned(),
            lease_duration,
            renew_deadline,
            retry_period,
            on_attempt: Box::new(|_| {}),
        };
        let release = CancellationToken::new();
        let task = tokio::spawn(run(client, params, publish, release.clone()));
        Self { server, status, release, task }
    }

    fn set(&self, mood: Mood) {
        self.server.lock().unwrap().0 = mood;
    }

    async fn term(&mut self) -> Term {
        let status = timeout(BOUND, self.status.wait_for(|status| status.term.is_some())).await;
        status.expect("never led").unwrap().term.clone().unwrap()
    }

    /// Waits for the end of the term; why, and how long it lasted since `from`.
    async fn lost(&mut self, from: Instant) -> (String, Duration) {
        let status = timeout(BOUND, self.status.wait_for(|status| status.term.is_none())).await;
        (status.expect("still leads").unwrap().lost.clone().unwrap(), from.elapsed())
    }

    /// The Lease of another holder, who has just renewed it.
    fn give_to(&self, holder: &str) {
        let now = "2999-01-01T00:00:00.000000Z";
        let spec = json!({
            "holderIdentity": holder, "renewTime": now, "acquireTime": now, "leaseDurationSeconds": 15, "leaseTransitions": 3
        });
        self.server.lock().unwrap().1 = Some(spec);
    }

    /// Somebody writes this replica's name into the Lease, as with `kubectl patch`.
    fn name_by_hand(&self, holder: &str) {
        self.server.lock().unwrap().1.as_mut().unwrap()["holderIdentity"] = json!(holder);
    }

    async fn standing_by() -> Self {
        let mut running = Self::start();
        running.give_to("other_2");
        let seen = timeout(BOUND, running.status.wait_for(|status| status.leader.as_deref() == Some("other_2"))).await;
        seen.unwrap().unwrap();
        running
    }

    fn holder(&self) -> Value {
        self.server.lock().unwrap().1.as_ref().unwrap()["holderIdentity"].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_win_counts_when_it_has_been_kept_for_two_retry_periods() {
    let mut running = Running::start();
    let started = Instant::now();
    let first =
        timeout(BOUND, running.status.wait_for(|status| status.leader.is_some())).await.unwrap().unwrap().clone();
    assert_eq!(first.leader.as_deref(), Some(ME));
    assert!(first.term.is_none(), "led on the acquiring write alone");
    running.term().await;
    assert_eq!(started.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_win_that_was_not_confirmed_does_not_count() {
    let mut running = Running::start();
    timeout(BOUND, running.status.wait_for(|status| status.leader.is_some())).await.unwrap().unwrap();
    running.set(Mood::Failing);
    tokio::time::sleep(Duration::from_secs(3)).await;
    running.set(Mood::Well);
    let healed = Instant::now();
    running.term().await;
    assert!(healed.elapsed().as_secs() >= 4, "led {:?} after an attempt had failed", healed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_api_server_ends_the_term_one_renew_deadline_after_the_last_renewal_was_begun() {
    let mut running = Running::start();
    let term = running.term().await;
    let renewed = Instant::now();
    running.set(Mood::Hanging);
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    assert!(!term.remaining().is_zero());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(term.remaining().is_zero(), "{:?} remaining", term.remaining());
    let (reason, _) = running.lost(renewed).await;
    assert_eq!(reason, "the renew deadline has passed");
}

#[tokio::test(start_paused = true)]
async fn errors_do_not_end_a_term_before_the_renew_deadline() {
    let mut running = Running::start();
    let term = running.term().await;
    running.set(Mood::Failing);
    tokio::time::sleep(Duration::from_secs(8)).await;
    running.set(Mood::Well);
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(!term.remaining().is_zero(), "the term ended");
    assert_eq!(running.status.borrow().term.as_ref().unwrap().epoch(), term.epoch());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_meets_the_lease_of_another_ends_the_term_at_once() {
    let mut running = Running::start();
    let term = running.term().await;
    running.set(Mood::Robbed);
    let (reason, took) = running.lost(Instant::now()).await;
    assert_eq!(reason, "the lease is held by other_2");
    assert!(took.as_secs() <= 2, "it took {took:?}");
    assert!(term.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_release_steps_down_and_a_dead_elector_leaves_no_term() {
    let mut running = Running::start();
    let term = running.term().await;
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert!(term.remaining().is_zero());
    let server = running.server.lock().unwrap();
    assert_eq!(server.1.as_ref().unwrap()["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_has_released_has_no_leader() {
    let mut running = Running::start();
    // Not expired for a long time, so that it can be looked at.
    let renewed = "2999-01-01T00:00:00.000000Z";
    let released = json!({
        "holderIdentity": "",
        "renewTime": renewed,
        "acquireTime": renewed,
        "leaseDurationSeconds": 1,
        "leaseTransitions": 3,
    });
    running.server.lock().unwrap().1 = Some(released);
    let status = timeout(BOUND, running.status.wait_for(|status| status.synced)).await.unwrap().unwrap().clone();
    assert_eq!(status.leader, None);
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_never_led_has_lost_nothing() {
    let mut running = Running::standing_by().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = running.status.borrow_and_update().clone();
    assert_eq!((status.leader.as_deref(), status.lost), (Some("other_2"), None));
}

#[tokio::test(start_paused = true)]
async fn a_release_of_a_lease_that_was_lost_writes_nothing() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::Robbed);
    running.lost(Instant::now()).await;
    running.release.cancel();
    assert_eq!(running.holder(), "other_2");
    running.task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_its_name_that_it_did_not_write_counts_only_after_a_lease_duration() {
    let mut running = Running::standing_by().await;
    running.name_by_hand(ME);
    let named = Instant::now();
    running.term().await;
    assert!(named.elapsed() >= Duration::from_secs(15), "led after {:?}", named.elapsed());
}

#[tokio::test(start_paused = true)]
async fn another_lease_than_before_counts_only_after_a_lease_duration_and_is_not_released_before() {
    let mut running = Running::standing_by().await;
    (running.server.lock().unwrap().1, running.server.lock().unwrap().3) = (None, 2);
    let replaced = Instant::now();
    running.term().await;
    assert!(replaced.elapsed() >= Duration::from_secs(15), "led after {:?}", replaced.elapsed());

    let mut running = Running::standing_by().await;
    (running.server.lock().unwrap().1, running.server.lock().unwrap().3) = (None, 2);
    timeout(BOUND, running.status.wait_for(|status| status.leader.as_deref() == Some(ME))).await.unwrap().unwrap();
    running.release.cancel();
    let kept = running.task.await.unwrap().unwrap_err();
    assert_eq!(kept.to_string(), "a leader that is cut off may still act");
    assert_eq!(running.server.lock().unwrap().1.as_ref().unwrap()["holderIdentity"], ME);
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_its_own_counts_as_before_after_an_outage() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::Failing);
    running.lost(Instant::now()).await;
    running.set(Mood::Well);
    let healed = Instant::now();
    running.term().await;
    assert!(healed.elapsed() <= Duration::from_secs(6), "led after {:?}", healed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_once_is_tried_again() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::FailingOnce);
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.server.lock().unwrap().1.as_ref().unwrap()["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_released_too() {
    let running = Running::start();
    running.set(Mood::Deaf);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(running.holder(), ME);
    running.release.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.set(Mood::Well);
    running.task.await.unwrap().unwrap();
    assert_eq!(running.server.lock().unwrap().1.as_ref().unwrap()["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_writes_are_done_but_never_answered_leaves_the_lease_to_others() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::Deaf);
    running.lost(Instant::now()).await;
    let renewed = running.server.lock().unwrap().1.clone();
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(running.server.lock().unwrap().1, renewed, "renewed by a replica that does not lead");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_not_the_sight_of_the_lease() {
    let running = Running::start();
    running.set(Mood::Failing);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!running.status.borrow().synced);
}

#[test]
fn a_term_that_was_over_once_stays_over() {
    let (now, long) = (Instant::now(), Duration::from_secs(60));
    // A wall clock that is set back, and a renewal that was answered in the same moment.
    let held = Held::new(now, None, End(now + long, SystemTime::now()));
    assert!(held.term.remaining().is_zero());
    assert!(!held.renew(End::after(long)), "renewed a term that is over");
    assert!(held.term.remaining().is_zero(), "{:?} remaining", held.term.remaining());
    assert!(held.end.lock().unwrap().is_none());
}
