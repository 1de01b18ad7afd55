//! A hundred replicas on one Lease.

use super::*;

const STANDBYS: usize = 99;
/// From the sending of a write to the moment at which it is carried out and all watches show it.
const LATENCY: Duration = Duration::from_millis(3);

/// The spread of a real configuration.
fn timing_of(replica: usize) -> Timing {
    let identity = format!("pod-{replica}");
    Timing {
        identity: identity.clone(),
        ..crate::Config { identity: identity.into(), lease: "my-lease".to_owned(), ..crate::Config::default() }.timing()
    }
}

/// One that leads, and all the others, who have seen it lead.
async fn crowd() -> (FakeApi, Running, Vec<Running>) {
    let api = FakeApi::with_watches();
    api.0.lock().unwrap().latency = LATENCY;
    let mut leader = Running::start_as(api.clone(), timing_of(0));
    leader.leads().await;
    let standbys = (1..=STANDBYS).map(|replica| Running::start_as(api.clone(), timing_of(replica))).collect();
    seconds(5.0).await;
    (api, leader, standbys)
}

/// Waits until one of them leads, and returns how long that took and how many attempts were one too many.
async fn takeover(api: &FakeApi, standbys: &[Running]) -> (Duration, usize) {
    let begin = Instant::now();
    while !standbys.iter().any(|it| it.status.borrow().term.is_some()) {
        sleep(Duration::from_millis(1)).await;
        assert!(begin.elapsed() < Duration::from_secs(60), "nobody leads");
    }
    let took = begin.elapsed();
    seconds(1.0).await;
    (took, api.0.lock().unwrap().conflicts)
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_among_a_hundred_costs_fewer_than_ten_conflicts() {
    let (api, leader, standbys) = crowd().await;
    leader.task.abort();
    let (took, conflicts) = takeover(&api, &standbys).await;
    assert!(conflicts < 10, "{conflicts} conflicts");
    assert!(took < Duration::from_millis(15_100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_release_among_a_hundred_costs_fewer_than_ten_conflicts() {
    let (api, leader, standbys) = crowd().await;
    leader.release.cancel();
    let (took, conflicts) = takeover(&api, &standbys).await;
    assert!(conflicts < 10, "{conflicts} conflicts");
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn standbys_send_nothing_while_somebody_leads() {
    let (api, _leader, _standbys) = crowd().await;
    let before = (gets(&api), api.puts());
    seconds(30.0).await;
    assert_eq!(gets(&api), before.0);
    assert!((14..=16).contains(&(api.puts() - before.1)), "{} writes in 30 s", api.puts() - before.1);
}

fn gets(api: &FakeApi) -> usize {
    api.0.lock().unwrap().gets
}
