//! A crowd of standbys does not collide, and two of them hardly wait.

use super::*;

const RELEASE: Duration = Duration::from_millis(8);
const EXPIRY: Duration = Duration::from_millis(50);

/// When each of so many standbys tries after a release, in order.
fn attempts(standbys: usize, spread: Duration, version: u64) -> Vec<Duration> {
    let share = |standby: usize| timing(&format!("pod-{standby}_{version:08x}")).share_of(spread, Some("12"));
    let mut attempts: Vec<Duration> = (0..standbys).map(share).collect();
    attempts.sort();
    attempts
}

/// Those that try before the first one's claim has reached them.
fn conflicts(attempts: &[Duration], latency: Duration) -> usize {
    attempts.iter().filter(|at| **at < attempts[0] + latency).count() - 1
}

fn mean_conflicts(standbys: usize, spread: Duration, latency_ms: u64) -> f64 {
    let latency = Duration::from_millis(latency_ms);
    let all = (0..500).map(|round| conflicts(&attempts(standbys, spread, round), latency));
    all.sum::<usize>() as f64 / 500.0
}

#[test]
fn a_takeover_among_a_hundred_costs_fewer_than_ten_conflicts() {
    assert!(mean_conflicts(99, EXPIRY, 10) < 5.0, "{}", mean_conflicts(99, EXPIRY, 10));
    assert!(mean_conflicts(99, RELEASE, 3) < 10.0, "{}", mean_conflicts(99, RELEASE, 3));
    assert!(mean_conflicts(99, Duration::ZERO, 4) > 97.0, "without a spread all of them collide");
}

#[test]
fn nobody_waits_longer_than_the_spread() {
    for round in 0..500 {
        assert!(attempts(2, EXPIRY, round).iter().all(|at| *at <= EXPIRY));
    }
}

#[test]
fn a_free_lease_is_tried_for_at_the_replicas_share_of_the_spread() {
    let mut standby = Elector::that_stands_by();
    standby.timing.spread_after_release = s(1.0);
    let share = standby.timing.share_of(s(1.0), Some("12"));
    assert!(share > Duration::ZERO);
    let free = s(3.0) + share;
    assert_eq!(standby.at(3.0, Event::Watched(lease(12, None))), Action::Wait(free));
    assert_eq!(standby.at(free.as_secs_f64(), Event::Tick), Action::Write);
}

#[test]
fn an_expired_lease_is_tried_for_at_the_replicas_share_of_the_spread() {
    let mut standby = Elector::that_stands_by();
    standby.timing.spread_after_expiry = s(1.0);
    let free = s(15.0) + standby.timing.share_of(s(1.0), Some("10"));
    standby.at(14.0, Event::Tick);
    assert_eq!(standby.at(15.0, Event::ReadFailed), Action::Wait(free));
    assert_eq!(standby.at(free.as_secs_f64(), Event::Tick), Action::Write);
}

#[test]
fn a_claim_that_others_were_faster_with_is_given_up() {
    let mut standby = Elector::that_stands_by();
    standby.timing.spread_after_release = s(1.0);
    standby.at(3.0, Event::Watched(lease(12, None)));
    standby.at(3.01, Event::Watched(lease(13, Some("third_3"))));
    assert!(matches!(standby.at(4.1, Event::Tick), Action::Wait(_)));
}
