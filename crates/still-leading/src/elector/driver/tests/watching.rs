//! The watch that wakes, and the reads that go on without it.

use super::*;

/// The API server's Lease is held by somebody who renews every two seconds, until the returned task is aborted.
fn renewed_by_another(api: &FakeApi) -> JoinHandle<()> {
    let api = api.clone();
    tokio::spawn(async move {
        for renewal in 0.. {
            api.change(|spec| {
                spec.holder_identity = Some("other_2".to_owned());
                spec.lease_duration_seconds = Some(15);
                spec.lease_transitions = Some(renewal);
            });
            seconds(2.0).await;
        }
    })
}

/// The other one releases, and this one leads as soon as its watch shows it.
async fn takes_over_at_once(api: &FakeApi, other: &JoinHandle<()>, running: &mut Running) {
    other.abort();
    let begin = Instant::now();
    api.give_to("");
    running.leads().await;
    assert!(begin.elapsed() < Duration::from_millis(100), "{:?}", begin.elapsed());
}

fn gets(api: &FakeApi) -> usize {
    api.0.lock().unwrap().gets
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_as_soon_as_its_watch_shows_the_release() {
    let api = FakeApi::with_watches();
    let other = renewed_by_another(&api);
    seconds(0.1).await;
    let mut running = Running::start(api.clone());
    seconds(30.5).await;
    assert_eq!(gets(&api), 1, "it asks nothing while its watch speaks");
    takes_over_at_once(&api, &other, &mut running).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_opened_again() {
    let api = FakeApi::with_watches();
    let other = renewed_by_another(&api);
    seconds(0.1).await;
    let mut running = Running::start(api.clone());
    seconds(1.0).await;
    for opened in 1..4 {
        assert_eq!(api.0.lock().unwrap().watches_opened, opened);
        api.end_watches();
        seconds(4.0).await;
    }
    takes_over_at_once(&api, &other, &mut running).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_has_stalled_is_replaced() {
    let api = FakeApi::with_watches();
    let other = renewed_by_another(&api);
    seconds(0.1).await;
    let mut running = Running::start(api.clone());
    seconds(3.0).await;
    api.0.lock().unwrap().is_stalled = true;
    // Silent for a renew deadline, it asks, sees that there was news, and opens another one.
    seconds(13.0).await;
    assert_eq!(api.0.lock().unwrap().watches_opened, 2);
    let asked = gets(&api);
    seconds(30.0).await;
    assert_eq!(gets(&api), asked, "the new watch delivers");
    takes_over_at_once(&api, &other, &mut running).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_watch_a_standby_asks_every_retry_period() {
    let api = FakeApi::new();
    let other = renewed_by_another(&api);
    seconds(0.1).await;
    let mut running = Running::start(api.clone());
    seconds(20.0).await;
    assert!((9..=11).contains(&gets(&api)), "{} reads in 20 s", gets(&api));
    other.abort();
    let begin = Instant::now();
    api.give_to("");
    running.leads().await;
    assert!(begin.elapsed() <= Duration::from_millis(2_100), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_the_watch_shows_ends_a_term_at_once() {
    let api = FakeApi::with_watches();
    let mut running = Running::start(api.clone());
    running.leads().await;
    seconds(0.5).await;
    let begin = Instant::now();
    api.0.lock().unwrap().delete();
    assert_eq!(running.lost().await, Lost::Deleted);
    assert!(begin.elapsed() < Duration::from_millis(100), "{:?}", begin.elapsed());
    running.leads().await;
    assert!(begin.elapsed() >= Duration::from_secs(15), "{:?}", begin.elapsed());
}
