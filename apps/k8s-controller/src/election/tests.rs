//! What the template adds to the crate, against an API server with one Lease: on paused time, or where the crate asks the
//! clock of the operating system, in real time with short durations.

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
    let is_deaf = server.lock().unwrap().0 == Mood::Deaf && method != Method::GET;
    let answer = decide(&mut server.lock().unwrap(), &method, &body);
    if is_deaf {
        std::future::pending::<()>().await;
    }
    Ok(answer)
}

fn decide((mood, lease, version): &mut (Mood, Value, u64), method: &Method, body: &[u8]) -> Response<Body> {
    let fails = *mood == Mood::Failing || *mood == Mood::FailingOnce && *method != Method::GET;
    if fails && *mood == Mood::FailingOnce {
        *mood = Mood::Well;
    }
    let written: Value = serde_json::from_slice(body).unwrap_or_default();
    let expected = written["metadata"]["resourceVersion"].as_str();
    let stale = expected.is_some_and(|expected| expected != version.to_string());
    let conflict = *method != Method::GET && (*mood == Mood::Conflicting || stale);
    if *method != Method::GET && !fails && !conflict {
        *version += 1;
        *lease = written["spec"].clone();
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
        Self::with([15_000, 10_000, 2_000])
    }

    /// In real time a test cannot wait so long.
    fn hurried() -> Self {
        Self::with([3_000, 1_500, 300])
    }

    fn with(durations: [u64; 3]) -> Self {
        let server: Server = Arc::new(Mutex::new((Mood::Well, json!({}), 1)));
        let serving = Arc::clone(&server);
        let client = Client::new(service_fn(move |request| answer(Arc::clone(&serving), request)), "default");
        let [lease_duration, renew_deadline, retry_period] = durations.map(Duration::from_millis);
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

    async fn standing_by() -> Self {
        let running = Self::start();
        running.give_to("other_2");
        tokio::time::sleep(Duration::from_secs(3)).await;
        running
    }

    fn holder(&self) -> Value {
        self.server.lock().unwrap().1["holderIdentity"].clone()
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

#[tokio::test]
async fn a_hanging_api_server_ends_the_term_within_the_renew_deadline() {
    let mut running = Running::hurried();
    let term = running.term().await;
    running.set(Mood::Hanging);
    let (reason, took) = running.lost(Instant::now()).await;
    assert!(took >= Duration::from_millis(500), "it took {took:?}");
    assert_eq!(reason, "the lease is held by another, or no renewal succeeded");
    assert!(term.remaining().is_zero());
}

#[tokio::test]
async fn a_failed_renewal_does_not_end_a_term_and_many_do() {
    let mut running = Running::hurried();
    let term = running.term().await;
    running.set(Mood::FailingOnce);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!term.remaining().is_zero(), "the term ended");
    running.set(Mood::Failing);
    running.lost(Instant::now()).await;
    assert!(term.remaining().is_zero());
}

#[tokio::test]
async fn the_elector_contends_again_after_a_loss() {
    let mut running = Running::hurried();
    let term = running.term().await;
    running.set(Mood::Failing);
    running.lost(Instant::now()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    running.set(Mood::Well);
    running.term().await;
    assert!(term.remaining().is_zero(), "a term came back");
}

#[tokio::test(start_paused = true)]
async fn another_holder_ends_the_term_at_the_next_renewal_and_is_not_released() {
    let mut running = Running::start();
    let term = running.term().await;
    running.give_to("other_2");
    let (_, took) = running.lost(Instant::now()).await;
    assert!(took <= Duration::from_secs(3), "it took {took:?}");
    assert!(term.remaining().is_zero());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(running.holder(), "other_2");
}

#[tokio::test(start_paused = true)]
async fn a_standby_asks_every_one_and_a_half_retry_periods_or_sooner() {
    let mut running = Running::standing_by().await;
    running.server.lock().unwrap().1 = json!({});
    let released = Instant::now();
    running.term().await;
    assert!(released.elapsed() <= Duration::from_millis(3_300), "it took {:?}", released.elapsed());
}

#[tokio::test]
async fn a_standby_waits_for_a_lease_duration_without_a_change() {
    let mut running = Running::hurried();
    running.give_to("other_2");
    let started = Instant::now();
    running.term().await;
    assert!(started.elapsed() >= Duration::from_secs(3), "led after {:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_standby_has_seen_the_lease_has_lost_nothing_and_ends_without_complaint() {
    let mut running = Running::standing_by().await;
    let status = running.status.borrow_and_update().clone();
    assert!(status.synced && status.leader.is_none() && status.term.is_none());
    assert_eq!(status.lost, None);
    running.release.cancel();
    (&mut running.task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_is_not_the_sight_of_the_lease() {
    let running = Running::start();
    running.set(Mood::Failing);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!running.status.borrow().synced);
}

#[tokio::test(start_paused = true)]
async fn a_release_clears_the_lease_and_a_dead_elector_leaves_no_term() {
    let mut running = Running::start();
    let term = running.term().await;
    running.release.cancel();
    (&mut running.task).await.unwrap().unwrap();
    assert!(term.remaining().is_zero());
    assert!(running.holder().is_null());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_once_is_tried_again() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::FailingOnce);
    running.release.cancel();
    (&mut running.task).await.unwrap().unwrap();
    assert!(running.holder().is_null());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_never_accepted_is_an_error() {
    let mut running = Running::start();
    running.term().await;
    running.set(Mood::Conflicting);
    running.release.cancel();
    let error = timeout(BOUND, &mut running.task).await.expect("it does not end").unwrap().unwrap_err();
    assert!(format!("{error:#}").starts_with("releasing the lease"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn a_release_of_a_lease_that_was_lost_writes_nothing() {
    let mut running = Running::start();
    running.term().await;
    running.give_to("other_2");
    running.release.cancel();
    (&mut running.task).await.unwrap().unwrap();
    assert_eq!(running.holder(), "other_2");
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_released_too() {
    let mut running = Running::start();
    running.set(Mood::Deaf);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(running.holder(), ME);
    running.release.cancel();
    running.set(Mood::Well);
    (&mut running.task).await.unwrap().unwrap();
    assert!(running.holder().is_null());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_told() {
    let attempts: Arc<Mutex<Vec<bool>>> = Arc::default();
    let told = Arc::clone(&attempts);
    let server: Server = Arc::new(Mutex::new((Mood::Well, json!({}), 1)));
    let client = Client::new(service_fn(move |request| answer(Arc::clone(&server), request)), "default");
    let bounded = bounded(
        client,
        Duration::from_secs(1),
        Arc::new(move |took| told.lock().unwrap().push(took.is_some())),
        Arc::default(),
    );
    let api: Api<Lease> = Api::namespaced(bounded, "default");
    let mut lease = api.get("my-lease").await.unwrap();
    api.replace("my-lease", &Default::default(), &lease).await.unwrap();
    lease.metadata.resource_version = Some("0".to_owned());
    api.replace("my-lease", &Default::default(), &lease).await.unwrap_err();
    assert_eq!(*attempts.lock().unwrap(), [true, false]);
}

#[tokio::test]
async fn what_the_crate_would_panic_at_is_refused() {
    let refused = async |edit: fn(&mut Params), expected: &str| {
        let api = Client::new(
            service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>()),
            "default",
        );
        let [lease_duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
        let (namespace, lease_name, identity) = ("default".to_owned(), "my-lease".to_owned(), ME.to_owned());
        let on_attempt = Box::new(|_| {});
        let mut params =
            Params { namespace, lease_name, identity, lease_duration, renew_deadline, retry_period, on_attempt };
        edit(&mut params);
        let (publish, _status) = watch::channel(Status::default());
        let error = run(api, params, publish, CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(|it| it.identity.clear(), "the identity is empty").await;
    refused(|it| it.retry_period = Duration::from_secs(5), "more than two retry periods").await;
    refused(|it| it.renew_deadline = Duration::from_secs(15), "1s below the lease").await;
    refused(|it| it.lease_duration = Duration::from_secs(1 << 31), "is too long").await;
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
