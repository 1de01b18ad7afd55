//! The twelve promises of the README, a test for each. The rules behind them have tables in `lease/tests`, random histories in
//! the simulation, and black-box cases on a real kube-apiserver in the testbed.

use k8s_openapi::api::coordination::v1::LeaseSpec;
use serde_json::json;

use super::said::Lines;
use super::*;

fn named(identity: &str) -> Timing {
    Timing { identity: identity.to_owned(), ..timing() }
}

fn other_holds(api: &FakeApi, seconds: i32) {
    api.change(|spec| {
        spec.holder_identity = Some("other_2".to_owned());
        spec.lease_duration_seconds = Some(seconds);
    });
}

#[tokio::test(start_paused = true)]
async fn promise_01_every_write_is_a_compare_and_swap_and_a_lost_race_is_no_win() {
    let api = FakeApi::with_watches();
    api.0.lock().unwrap().latency = Duration::from_millis(5);
    let replicas = ["a_1", "b_2", "c_3"].map(|name| Running::start_as(api.clone(), named(name)));
    seconds(1.0).await;
    let leading = replicas.iter().filter(|it| it.status.borrow().term.is_some()).count();
    assert_eq!((leading, api.0.lock().unwrap().conflicts), (1, 2), "one wins, two are refused");
    let server = api.0.lock().unwrap();
    for put in &server.puts {
        assert!(put.metadata.uid.is_some() && put.metadata.resource_version.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn promise_02_only_its_own_clock_decides_and_never_the_times_in_the_lease() {
    for renewed in ["0001-01-01T00:00:00.000000Z", "2026-11-25T12:00:00.000000Z", "9999-12-31T23:59:59.000000Z"] {
        let api = FakeApi::with_watches();
        other_holds(&api, 15);
        api.0.lock().unwrap().renew_time = Some(renewed);
        let begin = Instant::now();
        Running::start(api).leads().await;
        let took = begin.elapsed().as_secs_f64();
        assert!((15.0..15.1).contains(&took), "{renewed}: {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn promise_03_validity_counts_from_the_sending_and_a_term_that_is_over_stays_over() {
    let api = FakeApi::new();
    api.0.lock().unwrap().latency = Duration::from_secs(2);
    let mut running = Running::start(api.clone());
    let term = running.leads().await;
    assert!(term.remaining() <= Duration::from_secs(6), "{:?}", term.remaining());
    api.set(Mood::Hanging);
    assert_eq!(running.lost().await, Lost::RenewDeadline);
    api.set(Mood::Well);
    let next = running.leads().await;
    assert!(term.is_over() && term.epoch() < next.epoch());
}

#[tokio::test(start_paused = true)]
async fn promise_04_each_attempt_the_pace_and_the_term_have_budgets_of_their_own() {
    let api = FakeApi::new();
    let mut running = Running::start(api.clone());
    let term = running.leads().await;
    api.set(Mood::Hanging);
    // A write at 2 s hangs until 7 s and is followed by another one, which still could save the term.
    seconds(6.9).await;
    assert!(!term.is_over() && running.request_count() == 1);
    seconds(0.2).await;
    assert!(!term.is_over() && running.request_count() == 2);
    seconds(3.0).await;
    assert!(term.is_over());
}

impl Running {
    /// Writes since the acquiring one that were begun.
    fn request_count(&self) -> usize {
        self.api.0.lock().unwrap().begun_puts - 1
    }
}

#[tokio::test(start_paused = true)]
async fn promise_05_it_stops_at_the_sight_of_another_holder_and_survives_errors_until_the_deadline() {
    let api = FakeApi::with_watches();
    let mut running = Running::start(api.clone());
    let term = running.leads().await;
    for trouble in [Mood::Failing(500, ""), Mood::Failing(401, "{}"), Mood::Failing(404, "nothing here"), Mood::Hanging]
    {
        api.set(trouble);
        seconds(4.0).await;
        assert!(!term.is_over(), "{trouble:?}");
        api.set(Mood::Well);
        seconds(8.0).await;
        assert!(!term.is_over(), "{trouble:?}");
    }
    let begin = Instant::now();
    api.give_to("other_2");
    assert_eq!(running.lost().await, Lost::HeldBy("other_2".to_owned()));
    assert!(begin.elapsed() < Duration::from_millis(10) && term.is_over());
}

#[tokio::test(start_paused = true)]
async fn promise_06_the_watch_wakes_it_and_it_works_without_one() {
    for (api, bound) in [(FakeApi::with_watches(), 0.1), (FakeApi::new(), 2.1)] {
        other_holds(&api, 15);
        let mut running = Running::start(api.clone());
        seconds(5.05).await;
        let begin = Instant::now();
        api.give_to("");
        running.leads().await;
        assert!(begin.elapsed() < Duration::from_secs_f64(bound), "{:?}", begin.elapsed());
    }
    // A crash: nobody says anything, and its own timer takes over.
    let api = FakeApi::with_watches();
    other_holds(&api, 15);
    let begin = Instant::now();
    Running::start(api).leads().await;
    assert!((15.0..15.1).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
}

/// `Elector::lead` calls this after the work has ended; `tests/thread.rs` shows that order.
#[tokio::test(start_paused = true)]
async fn promise_07_belief_goes_first_then_one_guarded_write_which_is_retried() {
    let api = FakeApi::with_watches();
    let mut running = Running::start(api.clone());
    let term = running.leads().await;
    api.set(Mood::Failing(503, ""));
    running.release.cancel();
    seconds(1.0).await;
    assert!(term.is_over() && running.status.borrow().term.is_none());
    assert_eq!(api.holder().as_deref(), Some(ME));
    api.set(Mood::Well);
    running.released().await.unwrap();
    assert_eq!(api.holder().as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn promise_08_any_record_is_readable() {
    let records = [
        json!({}),
        json!({"holderIdentity": null, "leaseDurationSeconds": null, "renewTime": null}),
        json!({"holderIdentity": ""}),
        json!({"holderIdentity": "", "leaseDurationSeconds": i32::MIN, "leaseTransitions": i32::MIN}),
        json!({"holderIdentity": "", "leaseTransitions": i32::MAX, "renewTime": "9999-12-30T22:00:00.000000Z"}),
        json!({"holderIdentity": "x", "leaseDurationSeconds": 0, "acquireTime": "0001-01-01T00:00:00.000000Z"}),
        json!({"holderIdentity": "x", "leaseDurationSeconds": -1, "leaseTransitions": -1}),
        json!({"holderIdentity": "\u{0}\n\"", "leaseDurationSeconds": 1, "strategy": "Other", "preferredHolder": "y"}),
    ];
    for record in records {
        let api = FakeApi::with_watches();
        let spec: LeaseSpec = serde_json::from_value(record.clone()).unwrap();
        api.change(|it| *it = spec);
        let mut running = Running::start(api.clone());
        running.leads().await;
        seconds(5.0).await;
        running.released().await.unwrap();
        assert_eq!(api.holder().as_deref(), Some(""), "{record}");
    }
}

#[tokio::test(start_paused = true)]
async fn promise_09_nobody_leads_on_a_lease_made_anew_before_the_last_leader_must_have_stopped() {
    let api = FakeApi::with_watches();
    other_holds(&api, 20);
    let mut running = Running::start(api.clone());
    seconds(3.0).await;
    let begin = Instant::now();
    api.0.lock().unwrap().delete();
    running.leads().await;
    let took = begin.elapsed().as_secs_f64();
    assert!((20.0..24.1).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn promise_10_it_contends_for_ever_and_logs_each_refusal_with_the_servers_words() {
    let refusals = [
        (403, "leases is forbidden"),
        (422, "denied by policy"),
        (404, "namespaces not found"),
        (401, "Unauthorized"),
        (500, "etcd is down"),
    ];
    for (code, message) in refusals {
        let (lines, _guard) = Lines::collect();
        let api = FakeApi::new();
        let status = json!({"kind": "Status", "code": code, "reason": "x", "message": message}).to_string();
        api.set(Mood::FailingPuts(code, status.leak()));
        let mut running = Running::start(api.clone());
        seconds(30.0).await;
        lines.wait_for("WARN", message);
        api.set(Mood::Well);
        running.leads().await;
    }
}

#[tokio::test(start_paused = true)]
async fn promise_11_a_claim_that_this_process_did_not_write_is_somebody_elses() {
    let api = FakeApi::with_watches();
    let mut first = Running::start(api.clone());
    let term = first.leads().await;
    let mut second = Running::start(api.clone());
    seconds(30.0).await;
    assert!(!term.is_over() && second.status.borrow().term.is_none(), "two processes of one identity");
    // Somebody writes the holder's own name by hand.
    api.change(|spec| spec.renew_time = serde_json::from_value(json!("2027-01-01T00:00:00.000000Z")).unwrap());
    assert_eq!(first.lost().await, Lost::Impersonated);
    let begin = Instant::now();
    let next = tokio::select! {
        term = first.leads() => term,
        term = second.leads() => term,
    };
    assert!(next.epoch() > term.epoch() && begin.elapsed() >= Duration::from_secs(15), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn promise_12_a_term_has_an_epoch_that_grows_with_each_term_of_any_replica() {
    let api = FakeApi::with_watches();
    let mut epochs = Vec::new();
    for replica in 0..5 {
        let mut running = Running::start_as(api.clone(), named(&format!("pod-{replica}")));
        let term = running.leads().await;
        epochs.push(term.epoch());
        seconds(7.0).await;
        assert_eq!(running.status.borrow().term.as_ref().map(Term::epoch), Some(term.epoch()), "renewals keep it");
        running.released().await.unwrap();
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}
