//! News that overtakes a request in flight, or the first answer.

use super::*;

#[test]
fn a_release_that_the_watch_showed_before_the_first_answer_is_not_forgotten() {
    let mut elector = Elector::new(ME);
    elector.at(0.0, Event::Tick);
    elector.at(0.1, Event::Watched(lease(10, Some(OTHER))));
    elector.at(0.2, Event::Watched(lease(11, None)));
    assert_eq!(elector.at(0.3, read(Some(lease(10, Some(OTHER))))), Action::Write);
}

#[test]
fn an_older_state_that_the_watch_showed_before_the_first_answer_is_ignored() {
    let mut elector = Elector::new(ME);
    elector.at(0.0, Event::Tick);
    elector.at(0.1, Event::Watched(lease(9, None)));
    assert_ne!(elector.at(0.3, read(Some(lease(10, Some(OTHER))))), Action::Write);
    assert_eq!(elector.state.holder(), Some(OTHER));
}

#[test]
fn a_deletion_that_the_watch_showed_before_the_first_answer_counts() {
    let mut elector = Elector::new(ME);
    elector.at(0.0, Event::Tick);
    elector.at(0.1, Event::Watched(lease(10, Some(OTHER))));
    elector.at(0.2, Event::Deleted(lease(11, Some(OTHER))));
    assert_eq!(elector.at(0.3, read(Some(lease(10, Some(OTHER))))), Action::Write);
    assert!(elector.draft.unwrap().metadata.uid.is_none(), "it creates");
}

#[test]
fn a_hanging_read_does_not_delay_the_takeover_of_a_released_lease() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(10.0, Event::Tick), Action::Read);
    assert_eq!(standby.at(10.1, Event::Watched(lease(12, None))), Action::Write);
}

#[test]
fn a_hanging_read_does_not_delay_the_takeover_after_an_expiry() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(14.0, Event::Tick), Action::Read);
    assert_eq!(standby.at(15.0, Event::Tick), Action::Write);
}

#[test]
fn a_hanging_claim_that_can_no_longer_succeed_does_not_delay_the_next_one() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(1.0, Event::Watched(lease(12, None))), Action::Write);
    assert!(matches!(standby.at(1.1, Event::Watched(lease(13, Some(OTHER)))), Action::Wait(_)));
    assert_eq!(standby.at(1.2, Event::Watched(lease(14, None))), Action::Write);
    assert_eq!(standby.draft.unwrap().metadata.resource_version.as_deref(), Some("14"));
}

#[test]
fn a_hanging_claim_that_may_still_succeed_is_awaited() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(1.0, Event::Watched(lease(12, None))), Action::Write);
    assert!(matches!(standby.at(4.0, Event::Tick), Action::Wait(_)));
    assert!(standby.state.is_waiting());
}

#[test]
fn a_refusal_whose_reason_the_watch_has_shown_already_needs_no_read() {
    let mut standby = Elector::that_stands_by();
    assert_eq!(standby.at(1.0, Event::Watched(lease(12, None))), Action::Write);
    standby.at(1.1, Event::Watched(lease(13, Some("third_3"))));
    assert!(matches!(standby.at(1.2, Event::Refused), Action::Wait(_)));
}
