//! A Lease that is deleted, replaced, or restored from a backup: whoever led on its predecessor may still act.

use super::*;

#[test]
fn a_server_that_was_restored_from_a_backup_is_believed_and_waited_out() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(2.0, Event::WatchEnded), Action::Read);
    assert_eq!(standby.at(2.5, read(Some(lease(4, None)))), Action::Write, "from 10 back to 4");
    standby.at(2.5, Event::Wrote(lease(5, Some(ME))));
    assert!(standby.state.term().is_none(), "whoever led in the lost history may still act");
    assert_eq!(standby.at(17.5, Event::Tick), Action::Write);
    standby.at(17.5, Event::Wrote(lease(6, Some(ME))));
    assert!(standby.leads_at(17.5));
}

#[test]
fn a_leader_whose_lease_is_deleted_steps_down() {
    for gone in [Event::Deleted(lease(12, Some(ME))), read(None)] {
        let mut leader = Elector::that_leads();
        leader.at(1.0, gone);
        assert!(leader.state.term().is_none());
        assert_eq!(leader.state.lost(), Some(&Lost::Deleted));
    }
}

#[test]
fn a_leader_whose_lease_is_deleted_and_made_again_in_its_name_steps_down() {
    let mut leader = Elector::that_leads();
    let mut replaced = lease(12, Some(ME));
    replaced.metadata.uid = Some("uid-2".to_owned());
    leader.at(1.0, Event::Watched(replaced));
    assert_eq!(leader.state.lost(), Some(&Lost::Replaced));
}

#[test]
fn a_lease_that_vanished_is_made_anew_at_once_but_nobody_leads_on_it_for_a_lease_duration() {
    for gone in [Event::Deleted(lease(13, Some(OTHER))), read(None)] {
        let mut standby = Elector::that_stands_by();
        assert_eq!(standby.at(5.0, gone), Action::Write);
        let claim = standby.draft.clone().unwrap();
        assert_eq!((claim.metadata.uid, claim.metadata.resource_version), (None, None), "it creates");
        assert_eq!(claim.spec.unwrap().lease_transitions, Some(4), "and counts on");

        let mut made = lease(20, Some(ME));
        made.metadata.uid = Some("uid-2".to_owned());
        assert_eq!(standby.at(5.5, Event::Wrote(made.clone())), Action::Wait(s(7.0)), "keeps the claim alive");
        assert_eq!(standby.at(20.4, Event::Tick), Action::Write);
        made.metadata.resource_version = Some("21".to_owned());
        standby.at(20.499, Event::Wrote(made.clone()));
        assert!(standby.state.term().is_none());
        assert_eq!(standby.at(22.4, Event::Tick), Action::Write);
        made.metadata.resource_version = Some("22".to_owned());
        standby.at(22.4, Event::Wrote(made));
        assert_eq!(standby.state.term().unwrap().epoch, 22);
    }
}

#[test]
fn a_lease_that_is_missing_from_the_start_may_have_vanished_under_a_leader() {
    let (mut elector, action) = Elector::that_read(None);
    assert_eq!(action, Action::Write);
    elector.at(0.0, Event::Wrote(lease(11, Some(ME))));
    assert!(elector.state.term().is_none());
}

#[test]
fn a_lease_that_was_replaced_by_a_free_one_gives_no_term_for_a_lease_duration() {
    let mut standby = Elector::that_stands_by();
    let mut replaced = lease(12, None);
    replaced.metadata.uid = Some("uid-2".to_owned());
    assert_eq!(standby.at(1.0, Event::Watched(replaced.clone())), Action::Write);
    replaced.spec.as_mut().unwrap().holder_identity = Some(ME.to_owned());
    standby.at(1.0, Event::Wrote(replaced));
    assert!(standby.state.term().is_none());
}

/// A Lease of this uid.
fn with_uid(mut lease: Lease, uid: &str) -> Lease {
    lease.metadata.uid = Some(uid.to_owned());
    lease
}

/// B leads on uid-1 and is cut off at 0 s, so it may act until 10 s. The Lease is deleted; this elector makes it anew, and
/// is stopped before it may lead on it.
#[test]
fn an_unsettled_claim_is_not_released() {
    let mut a = Elector::that_stands_by();
    assert_eq!(a.at(1.0, Event::Deleted(lease(11, Some(OTHER)))), Action::Write);
    let made = a.written(12);
    a.at(1.1, Event::Wrote(made));
    assert_eq!(a.release_at(2.0), Release::Unsettled(s(16.1)));
    assert!(matches!(a.release_at(16.1), Release::Put(_)), "it may be released once it is settled");
}

/// B asked for 60 s. The Lease is deleted twice.
#[test]
fn a_second_deletion_does_not_shorten_the_wait_for_the_first() {
    let mut long = lease(10, Some(OTHER));
    long.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
    let (mut a, _) = Elector::that_read(Some(long.clone()));
    assert_eq!(a.at(1.0, Event::Deleted(long)), Action::Write);
    a.at(1.0, Event::Wrote(with_uid(lease(12, Some(ME)), "uid-2")));
    assert_eq!(a.at(2.0, Event::Deleted(with_uid(lease(13, Some(ME)), "uid-2"))), Action::Wait(s(3.0)));
    assert_eq!(a.at(3.0, Event::Tick), Action::Write);
    a.at(3.0, Event::Wrote(with_uid(lease(14, Some(ME)), "uid-3")));
    for second in [20.0, 40.0, 60.9] {
        assert_eq!(a.at(second, Event::Tick), Action::Write);
        a.at(second, Event::Wrote(with_uid(lease(15 + second as u64, Some(ME)), "uid-3")));
        assert!(!a.leads_at(second), "at {second} s");
    }
    assert_eq!(a.at(62.9, Event::Tick), Action::Write);
    a.at(62.9, Event::Wrote(with_uid(lease(90, Some(ME)), "uid-3")));
    assert!(a.leads_at(62.9));
}

/// An operator deletes a Lease that somebody claimed for 68 years.
#[test]
fn the_wait_for_an_absurd_claim_is_capped_and_says_for_whom() {
    let mut absurd = lease(10, Some("fat finger"));
    absurd.spec.as_mut().unwrap().lease_duration_seconds = Some(i32::MAX);
    let (mut a, _) = Elector::that_read(Some(absurd.clone()));
    a.at(1.0, Event::Deleted(absurd));
    a.at(1.0, Event::Wrote(with_uid(lease(12, Some(ME)), "uid-2")));
    let settling = a.state.settling(s(1.0)).unwrap();
    assert_eq!(settling.until, s(61.0), "four lease durations");
    assert_eq!(settling.predecessor.as_deref(), Some("fat finger"));
    assert_eq!(a.at(61.0, Event::Tick), Action::Write);
    a.at(61.0, Event::Wrote(with_uid(lease(13, Some(ME)), "uid-2")));
    assert!(a.leads_at(61.0));
}

#[test]
fn the_longest_wait_is_a_minute_or_four_lease_durations() {
    let mut timing = timing(ME);
    timing.lease_duration = s(3.0);
    assert_eq!(timing.longest_wait(), s(60.0));
    timing.lease_duration = s(120.0);
    assert_eq!(timing.longest_wait(), s(480.0));
}

/// A Lease that was never held is applied while a leader on its predecessor is cut off. Who has just started knows nothing
/// of it but the age of the object.
#[test]
fn a_young_lease_gives_no_term_before_it_is_a_lease_duration_old() {
    // Both times of the server are cut to seconds: a second may be missing.
    for (age, settled) in [(Some(0.0), 15.0), (Some(5.0), 11.0), (Some(15.0), 1.0), (None, 15.0)] {
        let mut elector = Elector::new(ME);
        elector.at(0.0, Event::Tick);
        let fresh = Event::Read { lease: Some(lease(10, None)), age: age.map(s) };
        assert_eq!(elector.at(0.0, fresh), Action::Write);
        elector.at(0.0, Event::Wrote(lease(11, Some(ME))));
        assert!(elector.state.term().is_none(), "{age:?}");
        let mut now = 0.0;
        while elector.state.term().is_none() {
            now += 0.5;
            assert!(now < 20.0, "{age:?}");
            if elector.at(now, Event::Tick) == Action::Write {
                elector.at(now, Event::Wrote(lease(11 + (now * 10.0) as u64, Some(ME))));
            }
        }
        assert!(now >= settled && now <= settled + 2.0, "{age:?}: at {now} s");
    }
}

#[test]
fn a_lease_that_is_older_than_a_lease_duration_needs_no_wait() {
    let mut elector = Elector::new(ME);
    elector.at(0.0, Event::Tick);
    assert_eq!(elector.at(0.0, Event::Read { lease: Some(lease(10, None)), age: Some(s(16.0)) }), Action::Write);
    elector.at(0.0, Event::Wrote(lease(11, Some(ME))));
    assert!(elector.leads_at(0.0));
}

/// A cache that lags shows the Lease that is known to be deleted.
#[test]
fn a_lagging_cache_does_not_bring_a_deleted_lease_back() {
    let mut a = Elector::that_stands_by();
    assert_eq!(a.at(1.0, Event::Deleted(lease(13, Some(OTHER)))), Action::Write);
    a.at(1.1, Event::WriteFailed);
    a.at(1.2, Event::WatchEnded);
    a.at(1.3, Event::Watched(lease(12, Some(OTHER))));
    assert!(a.state.holder().is_none());
}

/// After a restore the epoch is smaller than those handed out before. The documentation of `Term::epoch` says so.
#[test]
fn after_a_restore_the_leader_steps_down_and_waits_although_epochs_go_back() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(leader.at(2.0, Event::Refused), Action::Read);
    assert_eq!(leader.at(2.0, read(Some(lease(4, None)))), Action::Write);
    assert_eq!(leader.state.lost(), Some(&Lost::Cleared));
    leader.at(2.0, Event::Wrote(lease(5, Some(ME))));
    assert!(leader.state.term().is_none());
    assert_eq!(leader.at(17.5, Event::Tick), Action::Write);
    leader.at(17.5, Event::Wrote(lease(6, Some(ME))));
    assert_eq!(leader.state.term().unwrap().epoch, 6);
}

#[test]
fn a_longer_wait_takes_the_place_of_a_shorter_one() {
    let mut a = Elector::new(ME);
    a.at(0.0, Event::Tick);
    a.at(0.0, Event::Read { lease: Some(lease(10, Some(OTHER))), age: Some(s(10.0)) });
    assert_eq!(a.state.settling(s(0.0)).unwrap().until, s(6.0), "the Lease may be 9 s old");
    a.at(1.0, Event::Watched(with_uid(lease(12, None), "uid-2")));
    assert_eq!(a.state.settling(s(1.0)).unwrap().until, s(16.0));
}

/// `kubectl get -o yaml`, delete and apply: another object with the very claim of the leader.
#[test]
fn a_leader_ends_its_term_when_its_own_claim_is_applied_to_a_new_lease() {
    let mut leader = Elector::that_leads();
    let mut copy = lease(12, Some(ME));
    copy.spec = lease(11, Some(ME)).spec;
    copy.metadata.uid = Some("uid-2".to_owned());
    leader.at(1.0, Event::Watched(copy));
    assert_eq!(leader.state.lost(), Some(&Lost::Replaced));
    assert!(!leader.leads_at(1.0));
}
