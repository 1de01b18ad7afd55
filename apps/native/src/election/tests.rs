//! The driver against an API server that answers as each test wants, on paused time.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::client::Body;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::service_fn;

use super::*;

const ME: &str = "me_1";

fn timing() -> Timing {
    let seconds = Duration::from_secs;
    Timing {
        identity: ME.to_owned(),
        lease_duration: seconds(15),
        renew_deadline: seconds(10),
        retry_period: seconds(2),
    }
}

/// How the API server treats the requests for the Lease; watches are accepted and stay silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Hanging,
    Failing(u16, &'static str),
}

/// An API server with one Lease.
struct Server {
    mood: Mood,
    lease: Lease,
    /// Bodies of all puts, accepted or not.
    puts: Vec<Lease>,
    requests: usize,
}

impl Server {
    fn get(&self) -> (u16, String) {
        (200, serde_json::to_string(&self.lease).unwrap())
    }

    fn put(&mut self, lease: Lease) -> (u16, String) {
        self.puts.push(lease.clone());
        if lease.metadata.resource_version != self.lease.metadata.resource_version {
            return (409, r#"{"kind":"Status","status":"Failure","reason":"Conflict","code":409}"#.to_owned());
        }
        let version: u64 = self.lease.metadata.resource_version.as_ref().unwrap().parse().unwrap();
        self.lease = lease;
        self.lease.metadata.resource_version = Some((version + 1).to_string());
        self.get()
    }
}

#[derive(Clone)]
struct FakeApi(Arc<Mutex<Server>>);

impl FakeApi {
    fn new() -> Self {
        let mut lease = Lease::default();
        lease.metadata.uid = Some("uid-1".to_owned());
        lease.metadata.resource_version = Some("10".to_owned());
        Self(Arc::new(Mutex::new(Server { mood: Mood::Well, lease, puts: Vec::new(), requests: 0 })))
    }

    fn set(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    fn give_to(&self, holder: &str) {
        let mut server = self.0.lock().unwrap();
        server.lease.metadata.resource_version = Some("77".to_owned());
        server.lease.spec.as_mut().unwrap().holder_identity = Some(holder.to_owned());
    }

    fn client(&self) -> Client {
        let api = self.clone();
        Client::new(service_fn(move |request| api.clone().answer(request)), "default")
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mood = {
            let mut server = self.0.lock().unwrap();
            server.requests += 1;
            // Paused time stands still for whoever never waits: without this, such a bug would hang the test.
            assert!(server.requests < 1000, "the API server is hammered");
            server.mood
        };
        let (status, body) = match (mood, method) {
            (Mood::Hanging, _) => std::future::pending().await,
            _ if is_watch => std::future::pending().await,
            (Mood::Failing(status, body), _) => (status, body.to_owned()),
            (Mood::Well, Method::PUT) => self.0.lock().unwrap().put(serde_json::from_slice(&body).unwrap()),
            (Mood::Well, _) => self.0.lock().unwrap().get(),
        };
        let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        Ok(response.body(Body::from(body.into_bytes())).unwrap())
    }
}

struct Running {
    api: FakeApi,
    status: watch::Receiver<Status>,
    release: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Running {
    fn start(api: FakeApi) -> Self {
        let (publish, status) = watch::channel(Status::default());
        let release = CancellationToken::new();
        let params = Params {
            namespace: "default".to_owned(),
            lease_name: "my-lease".to_owned(),
            timing: timing(),
            on_attempt: Box::new(|_| {}),
        };
        let task = tokio::spawn(run(api.client(), params, publish, release.clone()));
        Self { api, status, release, task }
    }

    async fn leads(&mut self) -> Term {
        let status = timeout(Duration::from_secs(60), self.status.wait_for(|status| status.term.is_some()));
        status.await.expect("never led").unwrap().term.clone().unwrap()
    }

    async fn lost(&mut self) -> String {
        let status = timeout(Duration::from_secs(60), self.status.wait_for(|status| status.term.is_none()));
        status.await.expect("still leads").unwrap().lost.clone().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_claimed_by_compare_and_swap() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    assert_eq!(term.epoch(), "11");
    let server = running.api.0.lock().unwrap();
    let claim = &server.puts[0];
    assert_eq!(claim.metadata.resource_version.as_deref(), Some("10"));
    assert_eq!(claim.metadata.uid.as_deref(), Some("uid-1"));
    assert_eq!(claim.metadata.name.as_deref(), Some("my-lease"));
}

#[tokio::test(start_paused = true)]
async fn a_term_is_renewed_and_every_clone_of_it_knows() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(term.remaining() > Duration::from_secs(7), "{:?}", term.remaining());
    let puts = running.api.0.lock().unwrap().puts.len();
    assert!((30..=31).contains(&puts), "one write per retry period, not {puts} in 60 s");
}

#[tokio::test(start_paused = true)]
async fn a_term_is_over_at_the_renew_deadline_when_the_api_server_hangs() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.api.set(Mood::Hanging);
    let begin = Instant::now();
    let reason = running.lost().await;
    assert_eq!(reason, "the renew deadline has passed");
    assert!(term.remaining().is_zero());
    // tokio's timers are exact to a millisecond.
    assert!(begin.elapsed() <= Duration::from_millis(10_002), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_term_is_over_by_the_clock_even_if_the_elector_does_not_run() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.task.abort();
    assert!(term.remaining() > Duration::from_secs(9));
    tokio::time::advance(Duration::from_millis(10_100)).await;
    assert!(term.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn the_elector_contends_again_after_a_loss() {
    let mut running = Running::start(FakeApi::new());
    let first = running.leads().await;
    running.api.set(Mood::Hanging);
    running.lost().await;
    running.api.set(Mood::Well);
    let second = running.leads().await;
    assert_ne!(first.epoch(), second.epoch());
}

#[tokio::test(start_paused = true)]
async fn no_answer_of_an_api_server_ends_the_elector() {
    let answers = [
        (200, ""),
        (200, "<html>login</html>"),
        (200, r#"{"metadata":{},"spec":{"renewTime":"yesterday"}}"#),
        (200, r#"{"metadata":{"name":"my-lease"},"spec":{"leaseDurationSeconds":-2147483648,"leaseTransitions":-1}}"#),
        (401, r#"{"kind":"Status","status":"Failure","reason":"Unauthorized","code":401}"#),
        (403, r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}"#),
        (404, r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404}"#),
        (429, "Too many requests, please try again later."),
        (500, "null"),
        (504, r#"{"code":"many"}"#),
    ];
    for (status, body) in answers {
        let mut running = Running::start(FakeApi::new());
        running.api.set(Mood::Failing(status, body));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!running.task.is_finished(), "ended by {status} {body}");
        running.api.set(Mood::Well);
        running.leads().await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_clone_of_a_term_is_over_at_the_sight_of_another_holder() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.api.give_to("other_2");
    assert_eq!(running.lost().await, "the lease is held by other_2");
    assert!(term.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn release_gives_the_lease_up_with_one_guarded_write() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert!(term.remaining().is_zero());
    let server = running.api.0.lock().unwrap();
    assert_eq!(server.puts.len(), 2);
    let released = server.lease.spec.as_ref().unwrap();
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn release_happens_although_somebody_has_put_a_label_on_the_lease() {
    let mut running = Running::start(FakeApi::new());
    running.leads().await;
    running.api.0.lock().unwrap().lease.metadata.resource_version = Some("77".to_owned());
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.api.0.lock().unwrap().lease.spec.as_ref().unwrap().holder_identity.as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn release_leaves_a_successors_claim_alone() {
    let mut running = Running::start(FakeApi::new());
    running.leads().await;
    running.api.give_to("other_2");
    running.release.cancel();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.api.0.lock().unwrap().lease.spec.as_ref().unwrap().holder_identity.as_deref(), Some("other_2"));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_not_answered_is_an_error_and_does_not_hang() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.api.set(Mood::Hanging);
    running.release.cancel();
    let end = timeout(Duration::from_secs(60), running.task).await.expect("hangs").unwrap();
    assert!(end.is_err());
    assert!(term.remaining().is_zero(), "belief goes first");
}
