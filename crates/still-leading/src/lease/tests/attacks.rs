//! Sequences that once broke a promise.

use super::*;

#[test]
fn the_wait_for_a_long_claim_outlives_the_replica_that_made_the_lease_anew() {
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

#[test]
fn a_renewal_that_was_carried_out_and_answered_with_a_conflict_costs_no_term() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    let stored = leader.written(12);
    assert_eq!(leader.at(2.1, Event::Refused), Action::Read);
    leader.at(2.2, read(Some(stored)));
    assert!(leader.leads_at(2.2), "{:?}", leader.state.lost());
}

#[test]
fn a_claim_that_may_still_land_is_made_impossible_before_the_process_ends() {
    let (mut elector, action) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(action, Action::Write);
    note(&elector.timing, &mut elector.state, Event::WriteFailed, s(5.0));
    assert_eq!(elector.release_at(5.0), Release::Read);
    note(&elector.timing, &mut elector.state, read(Some(lease(10, None))), s(5.1));
    assert_ne!(elector.release_at(5.1), Release::Nothing);
}

#[test]
fn a_refusal_that_no_write_explains_shows() {
    let (mut elector, _) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(elector.at(0.1, Event::Refused), Action::Read);
    assert!(!elector.state.is_refused_without_race(), "not before it was looked into");
    elector.at(0.2, read(Some(lease(10, None))));
    assert!(elector.state.is_refused_without_race());
    let (mut raced, _) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(raced.at(0.1, Event::Refused), Action::Read);
    raced.at(0.2, read(Some(lease(11, Some(OTHER)))));
    assert!(!raced.state.is_refused_without_race());
}
