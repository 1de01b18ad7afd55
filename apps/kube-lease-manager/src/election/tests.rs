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
    /// Every write conflicts.
    Conflicting,
}

/// The spec of the Lease, which is shipped empty, and its version.
type Server = Arc<Mutex<(Mood, Value, u64)>>;

async fn answer(server: Server, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let method = request.method().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if server.lock().unwrap().0 == Mood::Hanging {
        std::future::pending::<()>().await;
    }
    let (mood, lease, version) = &mut *server.lock().unwrap();
    let fails = *mood == Mood::Failing || *mood == Mood::FailingOnce && method != Method::GET;
    if fails && *mood == Mood::FailingOnce {
        *mood = Mood::Well;
    }
    let written: Value = serde_json::from_slice(&body).unwrap_or_default();
    let expected = written["metadata"]["resourceVersion"].as_str();
    let stale = expected.is_some_and(|expected| expected != version.to_string());
    let conflict = method != Method::GET && (*mood == Mood::Conflicting || stale);
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
    Ok(Response::builder().status(status).body(answer).unwrap())
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
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_never_led_has_lost_nothing() {
    let mut running = Running::start();
    running.server.lock().unwrap().1 = json!({
        "holderIdentity": "other_2", "renewTime": "2999-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15,
        "leaseTransitions": 3
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = running.status.borrow_and_update().clone();
    assert!(status.synced && status.term.is_none());
    assert_eq!(status.lost, None);
}

#[tokio::test(start_paused = true)]
async fn a_win_counts_when_it_has_lasted_for_a_renewal_and_a_time_out() {
    let mut running = Running::start();
    timeout(BOUND, running.status.wait_for(|status| status.leader.is_some())).await.unwrap().unwrap();
    let won = Instant::now();
    assert!(running.status.borrow().term.is_none(), "led at once");
    running.term().await;
    assert!(won.elapsed() >= Duration::from_millis(4_500), "led after {:?}", won.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_first_request_that_fails_ends_the_term_and_the_elector_contends_again() {
    let mut running = Running::start();
    let term = running.term().await;
    running.set(Mood::Failing);
    let (reason, took) = running.lost(Instant::now()).await;
    assert_eq!(reason, "a request failed");
    assert!(took <= Duration::from_secs(3), "it took {took:?}");
    assert!(term.remaining().is_zero());
    tokio::time::sleep(Duration::from_secs(20)).await;
    running.set(Mood::Well);
    running.term().await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_ends_the_term_as_any_failure_does() {
    let mut running = Running::start();
    let term = running.term().await;
    running.set(Mood::Conflicting);
    let (reason, took) = running.lost(Instant::now()).await;
    assert_eq!(reason, "a request failed");
    assert!(took <= Duration::from_secs(3), "it took {took:?}");
    assert!(term.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn another_holder_ends_the_term_at_the_next_renewal() {
    let mut running = Running::start();
    let term = running.term().await;
    running.give_to("other_2");
    let (reason, took) = running.lost(Instant::now()).await;
    assert_eq!(reason, "another holds it");
    assert!(took <= Duration::from_secs(3), "it took {took:?}");
    assert!(term.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_standby_asks_every_retry_period() {
    let mut running = Running::start();
    running.term().await;
    running.give_to("other_2");
    running.lost(Instant::now()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.server.lock().unwrap().1 = json!({});
    let released = Instant::now();
    timeout(BOUND, running.status.wait_for(|status| status.leader.is_some())).await.unwrap().unwrap();
    assert!(released.elapsed().as_secs() <= 3, "it took {:?}", released.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_release_clears_the_lease_and_a_dead_elector_leaves_no_term() {
    let mut running = Running::start();
    let term = running.term().await;
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert!(term.remaining().is_zero());
    assert!(running.server.lock().unwrap().1["holderIdentity"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_during_the_release_is_an_error_and_no_panic_of_the_elector() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::Conflicting);
    running.release.cancel();
    let error = running.task.await.expect("the elector panicked").unwrap_err();
    assert!(format!("{error:#}").starts_with("releasing the lease"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn a_release_of_a_lease_that_was_lost_writes_nothing() {
    let mut running = Running::start();
    running.term().await;
    running.give_to("other_2");
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.server.lock().unwrap().1["holderIdentity"], "other_2");
}

#[tokio::test]
async fn durations_that_the_crate_cannot_count_are_refused() {
    let api = Client::new(
        service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>()),
        "default",
    );
    let [lease_duration, renew_deadline, retry_period] = [1_000, 900, 100].map(Duration::from_millis);
    let (publish, _status) = watch::channel(Status::default());
    let (namespace, lease_name, identity) = ("default".to_owned(), "my-lease".to_owned(), ME.to_owned());
    let on_attempt = Box::new(|_| {});
    let params = Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt };
    let error = run(api, params, publish, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("needs a renew deadline of 2s"), "{error}");
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
async fn a_claim_that_a_failed_round_left_behind_is_released_too() {
    let running = Running::start();
    running.set(Mood::Failing);
    tokio::time::sleep(Duration::from_secs(5)).await;
    // As the write leaves it whose answer was lost.
    running.server.lock().unwrap().1 = json!({
        "holderIdentity": ME, "renewTime": "2999-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15, "leaseTransitions": 3
    });
    running.release.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.set(Mood::Well);
    running.task.await.unwrap().unwrap();
    assert!(running.server.lock().unwrap().1["holderIdentity"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_its_name_that_it_did_not_write_counts_as_late_as_a_win() {
    let mut running = Running::start();
    running.server.lock().unwrap().1 = json!({
        "holderIdentity": ME, "renewTime": "2999-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15, "leaseTransitions": 3
    });
    let named = Instant::now();
    running.term().await;
    assert!(named.elapsed() >= Duration::from_millis(4_500), "led after {:?}", named.elapsed());
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
