//! Giving the Lease up.

use super::*;

#[tokio::test(start_paused = true)]
async fn release_gives_the_lease_up_with_one_guarded_write() {
    let mut running = Running::start(FakeApi::new());
    let (term, api) = (running.leads().await, running.api.clone());
    running.released().await.unwrap();
    assert!(term.remaining().is_zero());
    let server = api.0.lock().unwrap();
    assert_eq!(server.puts.len(), 2);
    let released = server.lease.as_ref().unwrap().spec.as_ref().unwrap();
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn release_happens_although_somebody_has_put_a_label_on_the_lease() {
    let mut running = Running::start(FakeApi::new());
    running.leads().await;
    running.api.change(|_| {});
    let api = running.api.clone();
    running.released().await.unwrap();
    assert_eq!(api.holder().as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn release_leaves_a_successors_claim_alone() {
    let mut running = Running::start(FakeApi::new());
    running.leads().await;
    running.api.give_to("other_2");
    let api = running.api.clone();
    running.released().await.unwrap();
    assert_eq!(api.holder().as_deref(), Some("other_2"));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_not_answered_is_an_error_and_does_not_hang() {
    let mut running = Running::start(FakeApi::new());
    let term = running.leads().await;
    running.api.set(Mood::Hanging);
    assert!(running.released().await.is_err());
    assert!(term.remaining().is_zero(), "belief goes first");
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_found_and_released() {
    let running = Running::start(FakeApi::new());
    running.api.set(Mood::Deaf);
    seconds(1.0).await;
    let api = running.api.clone();
    assert_eq!(api.holder().as_deref(), Some(ME), "it was carried out");
    running.release.cancel();
    seconds(1.0).await;
    api.set(Mood::Well);
    running.released().await.unwrap();
    assert_eq!(api.holder().as_deref(), Some(""));
}

/// The request in flight may be the one that acquires.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_answered_after_the_release_was_asked_for_is_released() {
    let api = FakeApi::new();
    let (publish, _status) = watch::channel(Status::default());
    let reporter = Reporter::start(Duration::from_secs(30), None).unwrap();
    let requests = Requests::new(api.client(), "default".to_owned(), "my-lease".to_owned(), timing(), reporter.clone());
    let mut driver = Driver::new(requests, reporter, Arc::new(TokioClock(Instant::now())), publish);
    driver.advance(Event::Tick);
    let event = answer(&mut driver.request).await;
    // The put is drafted and not sent yet.
    driver.advance(event);
    driver.release().await.unwrap();
    assert_eq!(api.puts(), 2, "the claim and its release");
    assert_eq!(api.holder().as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_is_tried_again_until_its_bound() {
    for failing in [Mood::Failing(503, "busy"), Mood::FailingPuts(500, ""), Mood::Failing(429, "slowly")] {
        let mut running = Running::start(FakeApi::new());
        running.leads().await;
        running.api.set(failing);
        running.release.cancel();
        seconds(5.0).await;
        assert!(!running.task.is_finished(), "{failing:?}");
        running.api.set(Mood::Well);
        let api = running.api.clone();
        running.released().await.unwrap();
        assert_eq!(api.holder().as_deref(), Some(""), "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_goes_on_failing_is_given_up_with_the_servers_words() {
    let mut running = Running::start(FakeApi::new());
    running.leads().await;
    running.api.set(Mood::Failing(503, r#"{"kind":"Status","code":503,"message":"the server is busy"}"#));
    let begin = Instant::now();
    let error = running.released().await.unwrap_err();
    assert_eq!(error, ReleaseError::Failed("the server is busy (503)".to_owned()));
    assert!(begin.elapsed() <= Duration::from_millis(10_010), "{:?}", begin.elapsed());
}

/// Whoever led on the deleted Lease may still act, so nobody may take over at once.
#[tokio::test(start_paused = true)]
async fn an_unsettled_claim_is_left_to_expire() {
    let api = FakeApi::new();
    api.0.lock().unwrap().delete();
    let running = Running::start(api.clone());
    seconds(3.0).await;
    assert_eq!(api.holder().as_deref(), Some(ME));
    running.released().await.unwrap();
    assert_eq!(api.holder().as_deref(), Some(ME));
}
