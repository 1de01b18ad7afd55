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
}

/// The spec of the Lease, which is shipped empty, and its version.
type Server = Arc<Mutex<(Mood, Value, u64)>>;

async fn answer(server: Server, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let method = request.method().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if server.lock().unwrap().0 == Mood::Hanging {
        std::future::pending::<()>().await;
    }
    let is_deaf = server.lock().unwrap().0 == Mood::Deaf && method != Method::GET;
    let answer = decide(&mut server.lock().unwrap(), &method, &body);
    if is_deaf {
        std::future::pending::<()>().await;
    }
    Ok(answer)
}

fn decide((mood, lease, version): &mut (Mood, Value, u64), method: &Method, body: &[u8]) -> Response<Body> {
    let fails = *mood == Mood::Failing || *mood == Mood::FailingOnce && method != Method::GET;
    if fails && *mood == Mood::FailingOnce {
        *mood = Mood::Well;
    }
    let written: Value = serde_json::from_slice(body).unwrap_or_default();
    let expected = written["metadata"]["resourceVersion"].as_str();
    let stale = expected.is_some_and(|expected| expected != version.to_string());
    let conflict = method != Method::GET && stale;
    if method != Method::GET && !fails && !conflict {
        *version += 1;
        for (key, value) in written["spec"].as_object().unwrap() {
            lease[key] = value.clone();
        }
    }
    let failure = |reason, code| json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code});
    let (status, answer) = match mood {
        _ if fails => (500, failure("InternalError", 500)),
        _ if conflict => (409, failure("Conflict", 409)),
        _ => (200, json!({"metadata": {"name": "my-lease", "resourceVersion": version.to_string()}, "spec": lease})),
    };
    let answer = Body::from(serde_json::to_vec(&answer).unwrap());
    Response::builder().status(status).body(answer).unwrap()
}

struct Running {
    server: Server,
    status: watch::Receiver<Status>,
    release: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Running {
    fn start() -> Self {
        let server: Server = Arc::new(Mutex::new((Mood::Well, json!({}), 1)));
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

    fn give_to(&self, holder: &str) {
        let (_, lease, version) = &mut *self.server.lock().unwrap();
        lease["holderIdentity"] = json!(holder);
        *version += 1;
    }

    fn holder(&self) -> Value {
        self.server.lock().unwrap().1["holderIdentity"].clone()
    }
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
async fn a_request_that_hangs_is_given_up_in_time_for_another_try() {
    let mut running = Running::start();
    let term = running.term().await;
    running.set(Mood::Hanging);
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.set(Mood::Well);
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(!term.remaining().is_zero(), "the term ended");
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_within_a_retry_period_of_a_release() {
    let mut running = Running::start();
    running.term().await;
    running.give_to("other_2");
    running.lost(Instant::now()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.server.lock().unwrap().1 = json!({});
    let released = Instant::now();
    running.term().await;
    assert!(released.elapsed().as_secs() <= 2, "it took {:?}", released.elapsed());
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
}

#[tokio::test(start_paused = true)]
async fn more_errors_than_the_crate_takes_do_not_end_the_elector() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::Failing);
    tokio::time::sleep(Duration::from_secs(60)).await;
    // The claim has expired meanwhile; the wall clock of a test does not know that.
    running.server.lock().unwrap().1["renewTime"] = json!("2020-01-01T00:00:00.000000Z");
    running.set(Mood::Well);
    running.lost(Instant::now()).await;
    running.term().await;
    assert!(!running.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn another_holder_ends_the_term_at_the_next_renewal() {
    let mut running = Running::start();
    let term = running.term().await;
    running.give_to("other_2");
    let (reason, took) = running.lost(Instant::now()).await;
    assert_eq!(reason, "the lease is held by other_2");
    assert!(took.as_secs() <= 2, "it took {took:?}");
    assert!(term.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_release_vacates_the_lease_and_a_dead_elector_leaves_no_term() {
    let mut running = Running::start();
    let term = running.term().await;
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert!(term.remaining().is_zero());
    assert!(running.server.lock().unwrap().1["holderIdentity"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_release_of_a_lease_that_was_lost_writes_nothing() {
    let mut running = Running::start();
    running.term().await;
    running.give_to("other_2");
    running.release.cancel();
    // It may learn of the loss here only; either way the Lease stays with the other one.
    let _outcome = timeout(BOUND, &mut running.task).await.expect("it does not end");
    assert_eq!(running.holder(), "other_2");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_once_is_tried_again() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::FailingOnce);
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert!(running.server.lock().unwrap().1["holderIdentity"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_released_too() {
    let running = Running::start();
    running.set(Mood::Deaf);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(running.server.lock().unwrap().1["holderIdentity"], ME);
    running.release.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.set(Mood::Well);
    running.task.await.unwrap().unwrap();
    assert!(running.server.lock().unwrap().1["holderIdentity"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_its_name_that_it_did_not_write_has_to_expire_first() {
    let mut running = Running::start();
    // Somebody names this replica, in a claim that lasts for long.
    running.server.lock().unwrap().1 = json!({
        "holderIdentity": ME, "renewTime": "2999-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15, "leaseTransitions": 3
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(running.status.borrow_and_update().term.is_none());
    assert_eq!(running.server.lock().unwrap().1["leaseTransitions"], 3);
    running.server.lock().unwrap().1["renewTime"] = json!("2020-01-01T00:00:00.000000Z");
    running.term().await;
}

/// As after the wall clock was set back: the manager remembers a claim that expires in a far future, and renews nothing.
#[tokio::test(start_paused = true)]
async fn a_claim_that_lasts_longer_than_a_renewal_could_make_it_is_no_renewal() {
    let mut running = Running::start();
    let term = running.term().await;
    {
        let (_, lease, version) = &mut *running.server.lock().unwrap();
        lease["renewTime"] = json!("2999-01-01T00:00:00.000000Z");
        *version += 1;
    }
    let (reason, took) = running.lost(Instant::now()).await;
    assert_eq!(reason, "the renew deadline has passed");
    assert!(took <= Duration::from_secs(10), "it took {took:?}");
    assert!(term.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_never_led_has_lost_nothing() {
    let mut running = Running::start();
    running.server.lock().unwrap().1 = json!({
        "holderIdentity": "other_2", "renewTime": "2999-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = running.status.borrow_and_update().clone();
    assert_eq!((status.leader.as_deref(), status.lost), (Some("other_2"), None));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_read_counts_as_seen_although_no_write_succeeds_and_an_error_does_not() {
    let running = Running::start();
    running.set(Mood::Failing);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!running.status.borrow().synced);
    running.set(Mood::Deaf);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(running.status.borrow().synced);
}

#[test]
fn a_term_that_was_over_once_stays_over() {
    let (now, long) = (Instant::now(), Duration::from_secs(60));
    // A wall clock that is set back, and a renewal that was answered in the same moment.
    let held = Held::new(None, End(now + long, SystemTime::now()));
    assert!(held.term.remaining().is_zero());
    assert!(!held.renew(End::after(long)), "renewed a term that is over");
    assert!(held.term.remaining().is_zero(), "{:?} remaining", held.term.remaining());
    assert!(held.end.lock().unwrap().is_none());
}
