//! Handing over: what goes over the wire, what is logged, and that it ends in a release or in another term.

use super::said::Lines;
use super::*;

const HAND_OVER_TO: &str = "still-leading.dev/hand-over-to";
const SUCCESSOR: &str = "still-leading.dev/successor";

fn annotate(api: &FakeApi, key: &str, value: &str) {
    api.change_lease(|lease| {
        lease.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    });
}

fn annotation(api: &FakeApi, key: &str) -> Option<String> {
    api.0.lock().unwrap().lease.as_ref()?.metadata.annotations.as_ref()?.get(key).cloned()
}

/// A leader whose renewals are seen by whoever watches.
async fn leader(api: &FakeApi) -> (Running, Term) {
    let mut leader = Running::start(api.clone());
    let term = leader.leads().await;
    seconds(0.5).await;
    (leader, term)
}

fn standby(api: &FakeApi, identity: &str) -> Running {
    Running::start_as(api.clone(), Timing { identity: identity.to_owned(), ..timing() })
}

#[tokio::test(start_paused = true)]
async fn the_standby_that_is_asked_accepts_and_leads_when_the_work_of_the_leader_has_ended() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    let (mut leader, term) = leader(&api).await;
    let (mut chosen, other) = (standby(&api, "chosen_3"), standby(&api, "other_2"));
    seconds(1.0).await;
    annotate(&api, HAND_OVER_TO, "chosen");
    timeout(Duration::from_secs(1), term.cancelled()).await.expect("the work is not asked to end");
    assert_eq!(annotation(&api, SUCCESSOR).as_deref(), Some("chosen_3"));
    seconds(30.0).await;
    assert!(!term.is_over() && api.holder().as_deref() == Some(ME), "it leads until its work has ended");
    assert!(chosen.status.borrow().term.is_none());
    term.hand_over();
    assert!(chosen.leads().await.epoch() > term.epoch());
    assert_eq!(leader.lost().await, Lost::HandedOver);
    assert!(term.is_over());
    seconds(5.0).await;
    assert!(!leader.task.is_finished() && other.status.borrow().term.is_none());
    assert_eq!((annotation(&api, SUCCESSOR), annotation(&api, HAND_OVER_TO)), (None, None));
    for words in ["asked to take over from the leader, accepting", "handing over \"chosen_3\""] {
        lines.wait_for("INFO", words);
    }
    // It stands by, and takes over like any other.
    chosen.released().await.unwrap();
    drop(other);
    leader.leads().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_bears_is_dropped_with_one_line_in_the_log() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    let (leader, term) = leader(&api).await;
    let _standby = standby(&api, "other_2");
    annotate(&api, HAND_OVER_TO, "nobody");
    seconds(5.0).await;
    assert_eq!(annotation(&api, HAND_OVER_TO), None);
    assert!(!term.is_over() && !term.cancellation_token().is_cancelled());
    lines.wait_for("WARN", "dropped the request to hand over");
    assert_eq!(lines.all().matches("dropped the request").count(), 1, "{}", lines.all());
    drop(leader);
}

/// Nobody else is there, so the former leader leads again, in another term.
#[tokio::test(start_paused = true)]
async fn alone_it_leads_again_after_two_head_starts_without_a_conflict() {
    for api in [FakeApi::with_watches(), FakeApi::new()] {
        let (mut leader, term) = leader(&api).await;
        term.hand_over();
        assert_eq!(leader.lost().await, Lost::HandedOver);
        let begin = Instant::now();
        assert!(leader.leads().await.epoch() > term.epoch());
        let waited = begin.elapsed();
        assert!(waited >= timing().head_start * 2 && waited < timing().retry_period, "{waited:?}");
        assert_eq!(api.0.lock().unwrap().conflicts, 0, "what it has released is known");
    }
}

/// The renewal that drops the request is refused, and drafted again.
#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_logged_once_although_somebody_else_writes_meanwhile() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    let (leader, _term) = leader(&api).await;
    annotate(&api, HAND_OVER_TO, "nobody");
    seconds(2.0).await;
    api.0.lock().unwrap().latency = Duration::from_millis(100);
    let begun = || api.0.lock().unwrap().begun_puts;
    let before = begun();
    while begun() == before {
        sleep(Duration::from_millis(10)).await;
    }
    api.change(|_| {});
    seconds(2.0).await;
    assert_eq!((annotation(&api, HAND_OVER_TO), api.0.lock().unwrap().conflicts), (None, 1));
    lines.wait_for("WARN", "dropped the request to hand over");
    drop(leader);
    assert_eq!(lines.all().matches("dropped the request").count(), 1, "{}", lines.all());
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_the_api_server_does_not_take_ends_in_another_term_of_the_same_replica() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    let (mut leader, term) = leader(&api).await;
    api.set(Mood::Failing(503, "busy"));
    term.hand_over();
    seconds(0.1).await;
    assert!(term.is_over(), "belief goes first");
    assert_eq!(leader.lost().await, Lost::HandedOver);
    seconds(20.0).await;
    assert!(!leader.task.is_finished());
    lines.wait_for("WARN", "could not release the lease");
    api.set(Mood::Well);
    assert!(leader.leads().await.epoch() > term.epoch());
}

/// Without a watch, a read may be under way when the work has ended.
#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_does_not_keep_a_former_leader_from_contending() {
    let api = FakeApi::new();
    let (mut leader, term) = leader(&api).await;
    // The renewal is refused, and what it asks then is not answered.
    api.0.lock().unwrap().hanging_gets = 1;
    api.change(|_| {});
    seconds(2.0).await;
    term.hand_over();
    assert_eq!(leader.lost().await, Lost::HandedOver);
    assert!(leader.leads().await.epoch() > term.epoch());
}

/// What `Config::drain_timeout` says of the release.
#[tokio::test(start_paused = true)]
async fn a_shutdown_during_a_hand_over_takes_no_longer_than_any_other() {
    let api = FakeApi::with_watches();
    let (leader, term) = leader(&api).await;
    api.set(Mood::Hanging);
    seconds(2.0).await;
    term.hand_over();
    seconds(7.0).await;
    let begin = Instant::now();
    leader.released().await.unwrap_err();
    let bound = timing().renew_deadline.mul_f64(1.5) + Duration::from_millis(10);
    assert!(begin.elapsed() <= bound, "{:?}", begin.elapsed());
}

/// Else the release would be refused first, and take three requests in place of one.
#[tokio::test(start_paused = true)]
async fn a_shutdown_while_a_hand_over_waits_for_a_renewal_releases_what_that_renewal_claims() {
    let api = FakeApi::with_watches();
    let (leader, term) = leader(&api).await;
    api.0.lock().unwrap().latency = Duration::from_millis(500);
    let before = api.0.lock().unwrap().begun_puts;
    while api.0.lock().unwrap().begun_puts == before {
        sleep(Duration::from_millis(10)).await;
    }
    term.hand_over();
    // It has arrived, and its answer is on the way.
    seconds(0.6).await;
    leader.released().await.unwrap();
    seconds(5.0).await;
    assert_eq!(api.holder().as_deref(), Some(""));
    assert_eq!(api.0.lock().unwrap().conflicts, 0, "what the renewal wrote was known");
}
