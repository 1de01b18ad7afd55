//! A Lease that is deleted, replaced, or restored from a backup: whoever led on its predecessor may still act.

use super::*;

#[test]
fn a_server_that_was_restored_from_a_backup_is_believed_and_waited_out() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(2.0, Event::WatchEnded), Action::Read);
    assert_eq!(standby.at(2.5, Event::Read(Some(lease(4, None)))), Action::Write, "from 10 back to 4");
    standby.at(2.5, Event::Wrote(lease(5, Some(ME))));
    assert!(standby.state.term().is_none(), "whoever led in the lost history may still act");
    assert_eq!(standby.at(17.5, Event::Tick), Action::Write);
    standby.at(17.5, Event::Wrote(lease(6, Some(ME))));
    assert!(standby.leads_at(17.5));
}

#[test]
fn a_leader_whose_lease_is_deleted_steps_down() {
    for gone in [Event::Deleted(lease(12, Some(ME))), Event::Read(None)] {
        let mut leader = Elector::that_leads();
        leader.at(1.0, gone);
        assert!(leader.state.term().is_none());
        assert_eq!(leader.state.lost(), Some("the lease was deleted"));
    }
}

#[test]
fn a_leader_whose_lease_is_deleted_and_made_again_in_its_name_steps_down() {
    let mut leader = Elector::that_leads();
    let mut replaced = lease(12, Some(ME));
    replaced.metadata.uid = Some("uid-2".to_owned());
    leader.at(1.0, Event::Watched(replaced));
    assert_eq!(leader.state.lost(), Some("the lease was replaced"));
}

#[test]
fn a_lease_that_vanished_is_made_anew_at_once_but_nobody_leads_on_it_for_a_lease_duration() {
    for gone in [Event::Deleted(lease(13, Some(OTHER))), Event::Read(None)] {
        let mut standby = Elector::that_stands_by();
        assert_eq!(standby.at(5.0, gone), Action::Write);
        let claim = standby.claim();
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
        assert_eq!(standby.state.term().unwrap().epoch, "22");
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
