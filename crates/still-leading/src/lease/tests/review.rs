//! Review: sequences that break a promise today. Each test says what fails.

use super::*;

/// FAILS TODAY: both lead. Promise 11: "Only a claim that this process wrote is its own, whatever identity the Lease shows."
///
/// `Config` and `Identity` are `Clone`, so two electors of one process can share an identity. The last holder's wall clock
/// was ahead, so each drafts the time "one microsecond after the last one", which is the same. The one whose write lost
/// sees the winner's claim before its own refusal, and takes it for its own.
#[test]
fn review_two_electors_of_one_identity_that_draft_the_same_time_do_not_both_lead() {
    let mut free = lease(10, None);
    free.spec.as_mut().unwrap().renew_time = Some(micro_time(1000));
    let (mut first, action) = Elector::that_read(Some(free.clone()));
    assert_eq!(action, Action::Write);
    let (mut second, action) = Elector::that_read(Some(free));
    assert_eq!(action, Action::Write);
    let won = first.written(11);
    first.at(0.1, Event::Wrote(won.clone()));
    assert!(first.leads_at(0.1));
    second.at(0.1, Event::Watched(won.clone()));
    assert!(!second.leads_at(0.1), "the watch shows the claim of the other one");
    second.at(0.2, Event::Refused);
    second.at(0.3, read(Some(won)));
    assert!(!second.leads_at(0.3), "although its own write was refused");
}

/// FAILS TODAY: N leads at about 17.5 s, B may act until 40 s. Siblings of faults 1 and 3 of issue 11: the wait that A knows of
/// is kept in A's memory only, so it ends with A.
#[test]
fn review_the_wait_for_a_long_claim_outlives_the_replica_that_made_the_lease_anew() {
    // B claims 60 s with a renew deadline of 40 s, and is cut off at 0 s.
    let mut long = lease(10, Some(OTHER));
    long.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
    let (mut a, _) = Elector::that_read(Some(long.clone()));
    assert_eq!(a.at(1.0, Event::Deleted(long)), Action::Write);
    let mut made = a.written(12);
    made.metadata.uid = Some("uid-2".to_owned());
    a.at(1.0, Event::Wrote(made.clone()));
    assert_eq!(a.release_at(2.0), Release::Unsettled(s(61.0)), "A knows");
    // A ends. N starts at 2 s, where its clock starts, and reads what A has left.
    let mut n = Elector::new("n_3");
    n.at(0.0, Event::Tick);
    n.at(0.0, Event::Read { lease: Some(made), age: Some(s(1.0)) });
    let mut version = 13;
    for quarter in 1..150 {
        let now = f64::from(quarter) / 4.0;
        if n.at(now, Event::Tick) == Action::Write {
            let mut written = n.written(version);
            written.metadata.uid = Some("uid-2".to_owned());
            version += 1;
            n.at(now, Event::Wrote(written));
        } else if n.state.is_waiting() {
            n.at(now, Event::ReadFailed);
        }
        assert!(!n.leads_at(now), "N leads at {} s, and B may act until 40 s", now + 2.0);
    }
}

/// FAILS TODAY (liveness): nobody leads for a lease duration, and the log accuses somebody of impersonation.
///
/// A proxy in front of the API server sends a PUT twice (nginx does by default for idempotent methods: `proxy_next_upstream`).
/// The first one is carried out; the second one is answered with 409, which is the answer that arrives.
#[test]
fn review_a_renewal_that_was_carried_out_and_answered_with_a_conflict_costs_no_term() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    let stored = leader.written(12);
    assert_eq!(leader.at(2.1, Event::Refused), Action::Read);
    leader.at(2.2, read(Some(stored)));
    assert!(leader.leads_at(2.2), "{:?}", leader.state.lost());
}

/// FAILS TODAY (liveness): `Release::Nothing`. The claim was given up and not looked for long enough: it replaces the present
/// version, so it can still become the Lease, and then the Lease names for 15 s a process that is gone.
#[test]
fn review_a_claim_that_may_still_land_is_made_impossible_before_the_process_ends() {
    let (mut elector, action) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(action, Action::Write);
    note(&elector.timing, &mut elector.state, Event::WriteFailed, s(5.0));
    assert_eq!(elector.release_at(5.0), Release::Read);
    note(&elector.timing, &mut elector.state, read(Some(lease(10, None))), s(5.1));
    assert_ne!(elector.release_at(5.1), Release::Nothing);
}

/// FAILS TODAY: both lead. Somebody shortens `leaseDurationSeconds` of a live claim (`kubectl edit`). The README's assumption
/// names only "whoever clears the holder".
#[test]
fn review_a_claim_that_somebody_shortened_does_not_give_the_lease_away_beside_its_leader() {
    let mut leader = Elector::that_leads();
    let claim = leader.written(11);
    let mut standby = Elector::new("standby_2");
    standby.at(0.0, Event::Tick);
    standby.at(0.0, read(Some(claim.clone())));
    standby.at(0.0, Event::Watched(claim.clone()));
    let mut shortened = claim;
    shortened.metadata.resource_version = Some("12".to_owned());
    shortened.spec.as_mut().unwrap().lease_duration_seconds = Some(1);
    standby.at(0.5, Event::Watched(shortened));
    // The leader is cut off.
    leader.at(1.5, Event::Tick);
    if standby.at(1.5, Event::Tick) == Action::Write {
        let written = standby.written(13);
        standby.at(1.5, Event::Wrote(written));
    }
    assert!(!(leader.leads_at(1.5) && standby.leads_at(1.5)), "both lead");
}

/// FAILS TODAY: both lead. etcd is restored from a backup in which the Lease was free; a leader of the lost history is cut off.
/// A replica that starts then has nothing to compare with: the Lease is old by its creationTimestamp. Neither promise 9 nor
/// the assumptions except this; `lease.rs` says "Made anew, or restored from a backup" of what it waits out.
#[test]
fn review_a_replica_that_starts_after_a_restore_waits_out_the_leader_of_the_lost_history() {
    let leader = Elector::that_leads();
    let (mut fresh, action) = Elector::that_read(Some(lease(4, None)));
    if action == Action::Write {
        let written = fresh.written(5);
        fresh.at(0.5, Event::Wrote(written));
    }
    assert!(!(leader.leads_at(0.5) && fresh.leads_at(0.5)), "both lead");
}
