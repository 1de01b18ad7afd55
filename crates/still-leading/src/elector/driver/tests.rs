//! The driver against an API server that answers as each test wants, on paused time.

mod attacks;
mod crowd;
mod fake_api;
mod hand_over;
mod promises;
mod release;
mod said;
mod watching;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use fake_api::{FakeApi, Mood};

const ME: &str = "me_1";
const NOT_FOUND: &str = r#"{"kind":"Status","reason":"NotFound","code":404,"message":"namespaces \"x\" not found","details":{"kind":"namespaces"}}"#;

/// tokio's clock, which tests can move.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        self.0.elapsed()
    }
}

fn timing() -> Timing {
    let seconds = Duration::from_secs;
    Timing {
        identity: ME.to_owned(),
        generation: None,
        hands_over: true,
        lease_duration: seconds(15),
        renew_deadline: seconds(10),
        retry_period: seconds(2),
        spread_after_release: Duration::ZERO,
        spread_after_expiry: Duration::ZERO,
        head_start: Duration::from_millis(250),
    }
}

struct Running {
    api: FakeApi,
    status: watch::Receiver<Status>,
    release: CancellationToken,
    task: JoinHandle<Result<(), ReleaseError>>,
}

impl Running {
    fn start(api: FakeApi) -> Self {
        Self::start_as(api, timing())
    }

    fn start_as(api: FakeApi, timing: Timing) -> Self {
        let (publish, status) = watch::channel(Status::default());
        let release = CancellationToken::new();
        let reporter = Reporter::start(Duration::from_secs(30), None).unwrap();
        let requests =
            Requests::new(api.client(), "default".to_owned(), "my-lease".to_owned(), timing, reporter.clone());
        let driver = Driver::new(requests, reporter, Arc::new(TokioClock(Instant::now())), publish);
        let task = tokio::spawn(driver.run(release.clone()));
        Self { api, status, release, task }
    }

    async fn leads(&mut self) -> Term {
        let status = timeout(Duration::from_secs(60), self.status.wait_for(|status| status.term.is_some()));
        status.await.expect("never led").unwrap().term.clone().unwrap()
    }

    async fn lost(&mut self) -> Lost {
        let status = timeout(Duration::from_secs(60), self.status.wait_for(|status| status.term.is_none()));
        status.await.expect("still leads").unwrap().lost.clone().unwrap()
    }

    /// Asks for the release, and waits for its end.
    async fn released(self) -> Result<(), ReleaseError> {
        self.release.cancel();
        timeout(Duration::from_secs(60), self.task).await.expect("hangs").unwrap()
    }
}

async fn seconds(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_claimed_by_compare_and_swap() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    assert_eq!(term.epoch(), 11);
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
    seconds(60.0).await;
    assert!(term.remaining() > Duration::from_secs(7), "{:?}", term.remaining());
    let puts = running.api.puts();
    assert!((30..=31).contains(&puts), "one write per retry period, not {puts} in 60 s");
}

#[tokio::test(start_paused = true)]
async fn a_term_is_over_at_the_renew_deadline_when_the_api_server_hangs() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.api.set(Mood::Hanging);
    let begin = Instant::now();
    assert_eq!(running.lost().await, Lost::RenewDeadline);
    assert!(term.remaining().is_zero());
    // tokio's timers are exact to a millisecond.
    assert!(begin.elapsed() <= Duration::from_millis(10_002), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_term_is_over_by_the_clock_even_if_the_elector_does_not_run() {
    let (publish, status) = watch::channel(Status::default());
    let api = FakeApi::new();
    let reporter = Reporter::start(Duration::from_secs(30), None).unwrap();
    let requests = Requests::new(api.client(), "default".to_owned(), "my-lease".to_owned(), timing(), reporter.clone());
    let driver = Driver::new(requests, reporter, Arc::new(TokioClock(Instant::now())), publish);
    let mut run = Box::pin(driver.run(CancellationToken::new()));
    while status.borrow().term.is_none() {
        let _ = timeout(Duration::from_millis(1), &mut run).await;
    }
    // From here on nobody polls it.
    let term = status.borrow().term.clone().unwrap();
    assert!(term.remaining() > Duration::from_secs(9));
    tokio::time::advance(Duration::from_millis(10_100)).await;
    assert!(term.remaining().is_zero());
    drop(run);
    assert!(status.borrow().term.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_elector_that_is_dropped_ends_its_term() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.task.abort();
    assert_eq!(term.ended().await, Lost::Stopped);
}

#[tokio::test(start_paused = true)]
async fn the_elector_contends_again_after_a_loss() {
    let mut running = Running::start(FakeApi::new());
    let first = running.leads().await;
    running.api.set(Mood::Hanging);
    running.lost().await;
    running.api.set(Mood::Well);
    let second = running.leads().await;
    assert!(first.epoch() < second.epoch());
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
        (404, NOT_FOUND),
        (422, r#"{"kind":"Status","reason":"Invalid","code":422,"message":"denied by policy"}"#),
        (429, "Too many requests, please try again later."),
        (500, "null"),
        (504, r#"{"code":"many"}"#),
    ];
    for (status, body) in answers {
        let mut running = Running::start(FakeApi::new());
        running.api.set(Mood::Failing(status, body));
        seconds(30.0).await;
        assert!(!running.task.is_finished(), "ended by {status} {body}");
        assert!(!running.status.borrow().synced, "{status} {body} is no sight of the Lease");
        running.api.set(Mood::Well);
        running.leads().await;
    }
}

/// A proxy's page, another object, a missing namespace, a policy: none of them says anything about the Lease.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_about_the_lease_ends_no_term() {
    let answers = [
        (404, "404 page not found\n"),
        (404, NOT_FOUND),
        (422, r#"{"kind":"Status","reason":"Invalid","code":422,"message":"denied by policy"}"#),
        (200, "{}"),
        (200, "null"),
        (200, r#"{"kind":"Status","status":"Success"}"#),
        (200, r#"{"metadata":{"name":"other","uid":"u","resourceVersion":"99"},"spec":{"holderIdentity":"other_2"}}"#),
    ];
    for (status, body) in answers {
        let mut running = Running::start(FakeApi::new());
        let term = running.leads().await;
        running.api.set(Mood::Failing(status, body));
        seconds(5.0).await;
        running.api.set(Mood::Well);
        seconds(5.0).await;
        assert!(!term.is_over(), "{status} {body}: {:?}", running.status.borrow().lost);
        seconds(30.0).await;
        assert!(!term.is_over(), "{status} {body}: {:?}", running.status.borrow().lost);
    }
}

#[tokio::test(start_paused = true)]
async fn every_clone_of_a_term_is_over_at_the_sight_of_another_holder() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.api.give_to("other_2");
    assert_eq!(running.lost().await, Lost::HeldBy("other_2".to_owned()));
    assert!(term.remaining().is_zero());
}

/// The renewal is judged in time and recorded after the end, since this thread did not run between.
#[tokio::test(start_paused = true)]
async fn a_term_whose_end_was_seen_is_not_brought_back_by_a_renewal() {
    #[derive(Debug)]
    struct Jumping(Instant, Arc<std::sync::atomic::AtomicU64>);
    impl Clock for Jumping {
        fn now(&self) -> Moment {
            self.0.elapsed() + Duration::from_secs(self.1.load(std::sync::atomic::Ordering::Relaxed))
        }
    }
    let jump = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (publish, status) = watch::channel(Status::default());
    let (api, reporter) = (FakeApi::new(), Reporter::start(Duration::from_secs(30), None).unwrap());
    let requests = Requests::new(api.client(), "default".to_owned(), "my-lease".to_owned(), timing(), reporter.clone());
    let clock = Arc::new(Jumping(Instant::now(), Arc::clone(&jump)));
    let mut driver = Driver::new(requests, reporter, clock, publish);
    driver.advance(Event::Tick);
    let event = answer(&mut driver.request).await;
    driver.advance(event);
    let event = answer(&mut driver.request).await;
    driver.advance(event);
    let term = status.borrow().term.clone().unwrap();

    seconds(2.0).await;
    driver.advance(Event::Tick);
    let Event::Wrote(renewed) = answer(&mut driver.request).await else { panic!("not renewed") };
    // What `advance` does, with the end of the term between the decision and its record.
    step(&driver.timing, &mut driver.state, Event::Wrote(renewed), driver.clock.now());
    jump.store(60, std::sync::atomic::Ordering::Relaxed);
    assert!(term.is_over(), "the work has seen the end");
    jump.store(0, std::sync::atomic::Ordering::Relaxed);
    driver.tell();
    assert!(term.is_over());
    assert!(status.borrow().term.is_none());
    assert_eq!(driver.state.lost(), Some(&Lost::RenewDeadline));
}
