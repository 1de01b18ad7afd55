//! Which claims are this process's own, and what one is worth whose answer was lost or late.

use super::*;

#[test]
fn a_claim_whose_answer_was_lost_leads_from_its_sending_once_the_lease_shows_it() {
    let (mut elector, _) = Elector::that_read(Some(lease(10, None)));
    elector.at(1.0, Event::WriteFailed);
    assert!(elector.state.term().is_none());
    let next = elector.at(1.5, Event::Watched(elector.written(11)));
    assert_eq!(next, Action::Wait(s(2.0)), "at its pace");
    assert_eq!(elector.state.term().unwrap().epoch, 11);
    assert!(elector.leads_at(9.999) && !elector.leads_at(10.0));
}

#[test]
fn a_renewal_whose_answer_was_lost_counts_from_its_sending_whoever_shows_it_first() {
    for watched_first in [true, false] {
        let mut leader = Elector::that_leads();
        assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
        let shown = Event::Watched(leader.written(12));
        let events = if watched_first { [shown, Event::WriteFailed] } else { [Event::WriteFailed, shown] };
        for event in events {
            leader.at(3.0, event);
        }
        assert!(leader.leads_at(11.999) && !leader.leads_at(12.0), "{watched_first}");
        assert_eq!(leader.state.term().unwrap().epoch, 11, "the same term");
    }
}

#[test]
fn a_claim_that_the_watch_shows_before_its_answer_counts_once() {
    let (mut elector, _) = Elector::that_read(Some(lease(10, None)));
    elector.at(0.1, Event::Watched(elector.written(11)));
    let term = elector.state.term().cloned().unwrap();
    elector.at(0.2, Event::Wrote(elector.written(11)));
    assert_eq!(elector.state.term(), Some(&term));
}

#[test]
fn a_renewal_that_the_watch_has_shown_does_not_hold_up_the_next_one() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(leader.at(2.1, Event::Watched(leader.written(12))), Action::Wait(s(4.0)), "its answer hangs");
    assert_eq!(leader.at(4.0, Event::Tick), Action::Write);
    assert_eq!(leader.draft.unwrap().metadata.resource_version.as_deref(), Some("12"));
}

#[test]
fn a_label_that_somebody_puts_on_the_lease_is_no_renewal() {
    let mut leader = Elector::that_leads();
    let mut labelled = lease(12, Some(ME));
    labelled.spec.as_mut().unwrap().renew_time = Some(micro_time(11));
    assert_eq!(
        leader.at(1.0, Event::Watched(labelled)),
        Action::Wait(s(2.0)),
        "written again at its pace, not at once"
    );
    assert!(leader.leads_at(9.999) && !leader.leads_at(10.0));
}

/// Two processes of one identity, or somebody who wrote a live replica's identity into the Lease by hand.
#[test]
fn a_second_process_of_the_same_identity_waits_like_any_other() {
    let first = Elector::that_leads();
    let (mut second, action) = Elector::that_read(Some(lease(11, Some(ME))));
    assert_ne!(action, Action::Write);
    assert!(first.leads_at(0.1));
    assert!(second.state.is_impersonated(&second.timing));
    assert_eq!(second.release_at(0.2), Release::Nothing, "what somebody else claimed is not this process's to release");
    second.at(14.9, Event::ReadFailed);
    assert_ne!(second.at(14.999, Event::ReadFailed), Action::Write);
    assert_eq!(second.at(15.0, Event::ReadFailed), Action::Write);
    assert!(!second.leads_at(15.0));
}

#[test]
fn a_leader_ends_its_term_when_its_own_identity_was_written_by_somebody_else() {
    let mut leader = Elector::that_leads();
    leader.at(1.0, Event::Watched(lease(12, Some(ME))));
    assert_eq!(leader.state.lost(), Some(&Lost::Impersonated));
    assert!(!leader.leads_at(1.0));
}

/// The holder was another one meanwhile, so whoever writes the old claim again is not this process.
#[test]
fn an_own_claim_that_comes_back_after_another_holder_is_somebody_elses() {
    let mut leader = Elector::that_leads();
    leader.at(1.0, Event::Watched(lease(12, Some(OTHER))));
    let mut again = lease(13, Some(ME));
    again.spec.as_mut().unwrap().renew_time = Some(micro_time(11));
    assert_ne!(leader.at(1.1, Event::Watched(again)), Action::Write);
    assert!(leader.state.is_impersonated(&leader.timing));
}

/// The leader's writes reach the server 6 s late, after it gave them up at 5 s. They keep its claim fresh.
#[test]
fn a_replica_whose_writes_come_too_late_to_lead_lets_its_claim_run_out() {
    let mut slow = Elector::that_leads();
    slow.at(0.0, Event::Watched(lease(11, Some(ME))));
    // When the claim lands that is the first to replace the present version; the others are refused unheard.
    let mut under_way: Option<(f64, Lease)> = None;
    let (mut sent, mut landed, mut version) = (None, 0.0, 12);
    for now in (4..240).map(|quarter| f64::from(quarter) / 4.0) {
        let event = if let Some((_, claim)) = under_way.take_if(|(at, _)| *at <= now) {
            landed = now;
            version += 1;
            Event::Watched(claim)
        } else if sent.take_if(|sent: &mut f64| now >= *sent + 5.0).is_some() {
            Event::WriteFailed
        } else {
            Event::Tick
        };
        if slow.at(now, event) == Action::Write {
            sent = Some(now);
            under_way.get_or_insert_with(|| (now + 6.0, slow.written(version)));
        }
        if now >= 20.0 && now < landed + 15.0 {
            assert_ne!(sent, Some(now), "it waits like any other, at {now} s");
            assert!(!slow.leads_at(now));
        }
    }
    assert!(landed > 35.0, "it contends again once its claim has run out, not only at {landed} s");
}

#[test]
fn a_claim_that_lands_late_while_its_term_lasts_is_a_renewal() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    let late = leader.written(12);
    assert_eq!(leader.at(7.0, Event::WriteFailed), Action::Write);
    leader.at(8.0, Event::Watched(late));
    assert!(leader.leads_at(11.9) && !leader.leads_at(12.0));
}

#[test]
fn an_unanswered_claim_is_looked_into_before_anything_is_released() {
    let (mut elector, _) = Elector::that_read(Some(lease(10, None)));
    let claimed = elector.written(11);
    note(&elector.timing, &mut elector.state, Event::WriteFailed, s(5.0));
    assert_eq!(elector.release_at(5.0), Release::Read);
    note(&elector.timing, &mut elector.state, read(Some(claimed)), s(5.1));
    assert!(matches!(elector.release_at(5.2), Release::Put(_)), "also if it came too late to lead by it");
}

#[test]
fn a_write_that_was_denied_did_not_happen() {
    let (mut elector, _) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(elector.at(0.1, Event::Denied), Action::Wait(s(2.0)), "at its pace");
    assert_eq!(elector.release_at(0.2), Release::Nothing);
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(leader.at(2.1, Event::Denied), Action::Wait(s(4.0)));
    assert!(leader.leads_at(9.9), "a denied renewal ends no term before its deadline");
}

#[test]
fn a_term_that_was_seen_to_be_over_is_followed_by_another_one() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    leader.at(2.1, Event::Wrote(leader.written(12)));
    leader.state.forget_term();
    assert_eq!(leader.state.lost(), Some(&Lost::RenewDeadline));
    assert_eq!(leader.at(4.0, Event::Tick), Action::Write);
    leader.at(4.1, Event::Wrote(leader.written(13)));
    let term = leader.state.term().unwrap();
    assert_eq!((term.number, term.epoch), (2, 13));
}

/// A wall clock that stands still, or was set back.
#[test]
fn each_renewal_has_a_later_time_than_the_one_before() {
    let (mut leader, _) = Elector::that_read(Some(lease(10, None)));
    let time = |leader: &Elector| renew_time(leader.draft.as_ref().unwrap()).unwrap();
    let mut before = time(&leader);
    for (turn, wall_clock) in [99, 99, 99, 7, 99, 100].into_iter().enumerate() {
        let version = 11 + turn as u64;
        let now = turn as f64 * 2.0;
        leader.at(now, Event::Wrote(leader.written(version)));
        assert_eq!(leader.at_wall(now + 2.0, Event::Tick, micro_time(wall_clock)), Action::Write);
        let next = time(&leader);
        assert!(next > before, "{next} after {before}");
        before = next;
    }
    assert_eq!(before, micro_time(100).0.as_microsecond(), "the wall clock's again once it is later");
}

#[test]
fn the_time_of_a_takeover_differs_from_the_one_it_replaces() {
    let mut held = lease(10, Some(OTHER));
    held.spec.as_mut().unwrap().renew_time = Some(micro_time(1000));
    let (mut standby, _) = Elector::that_read(Some(held));
    standby.at(14.0, Event::ReadFailed);
    assert_eq!(standby.at(15.0, Event::ReadFailed), Action::Write);
    let draft = standby.draft.clone().unwrap();
    assert_eq!(renew_time(&draft), Some(micro_time(1000).0.as_microsecond() + 1));
    let Release::Nothing = standby.release_at(15.0) else { panic!("nothing is held") };
}

#[test]
fn an_absurd_time_of_somebody_else_is_not_carried_on() {
    let mut held = lease(10, None);
    for (time, expected) in [
        (MicroTime(jiff::Timestamp::MAX), micro_time(99).0.as_microsecond()),
        (micro_time(99 + 24 * 3600), micro_time(99).0.as_microsecond()),
        (micro_time(99 + 24 * 3600 - 1), micro_time(99 + 24 * 3600 - 1).0.as_microsecond() + 1),
    ] {
        held.spec.as_mut().unwrap().renew_time = Some(time.clone());
        let (elector, action) = Elector::that_read(Some(held.clone()));
        assert_eq!(action, Action::Write);
        assert_eq!(renew_time(&elector.draft.unwrap()), Some(expected), "{time:?}");
    }
}

#[test]
fn after_the_last_time_there_is_no_panic() {
    let last = record::next_renew_time(micro_time(99), None, Some(i64::MAX));
    assert_eq!(last, micro_time(99));
}

#[test]
fn the_duration_of_a_claim_is_rounded_up_to_whole_seconds() {
    for (asked, written) in [(s(15.0), 15), (s(2.5), 3), (s(0.001), 1)] {
        let claim = record::claim(None, false, ME, asked, micro_time(99), 3);
        assert_eq!(claim.spec.unwrap().lease_duration_seconds, Some(written), "{asked:?}");
    }
}

#[test]
fn a_claim_without_an_answer_is_prevented_only_while_it_can_still_land() {
    let (mut elector, action) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(action, Action::Write);
    note(&elector.timing, &mut elector.state, Event::WriteFailed, s(5.0));
    note(&elector.timing, &mut elector.state, read(Some(lease(10, None))), s(5.1));
    assert!(matches!(elector.release_at(5.2), Release::Put(_)), "it would replace this version");
    note(&elector.timing, &mut elector.state, Event::Watched(lease(12, None)), s(5.3));
    assert_eq!(elector.release_at(5.4), Release::Nothing, "it can no longer replace another one");
}

#[test]
fn only_another_version_ends_the_doubt_about_a_refused_release() {
    let mut leader = Elector::that_leads();
    leader.state.doubt();
    note(&leader.timing, &mut leader.state, Event::Watched(lease(11, Some(ME))), s(1.0));
    assert_eq!(leader.release_at(1.0), Release::Read);
    note(&leader.timing, &mut leader.state, Event::Watched(lease(12, Some(OTHER))), s(1.1));
    assert_eq!(leader.release_at(1.1), Release::Nothing);
}

#[test]
fn a_renewal_that_is_answered_in_the_moment_when_the_term_ends_begins_another_one() {
    let mut leader = Elector::that_leads();
    let last = leader.state.term().unwrap().valid_until;
    assert_eq!((last, leader.at(9.0, Event::Tick)), (s(10.0), Action::Write));
    leader.at(10.0, Event::Wrote(leader.written(12)));
    let term = leader.state.term().unwrap();
    assert_eq!((term.number, term.epoch), (2, 12));
    assert_eq!(leader.state.lost(), Some(&Lost::RenewDeadline));
}

/// A proxy delivers a write twice: the first one has landed, and a policy that came meanwhile denies the second one.
#[test]
fn a_claim_that_the_lease_has_shown_stays_own_whatever_its_answer_says() {
    let mut leader = Elector::that_leads();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    let shown = leader.written(12);
    leader.at(2.1, Event::Watched(shown.clone()));
    leader.at(2.5, Event::Denied);
    let mut labelled = shown;
    labelled.metadata.resource_version = Some("13".to_owned());
    leader.at(3.0, Event::Watched(labelled));
    assert_eq!(leader.state.lost(), None);
    assert!(leader.leads_at(11.999) && !leader.leads_at(12.0));
}

/// A refused claim may still land, since a proxy may have sent it twice. That the next one is denied says nothing about it.
#[test]
fn a_denied_write_takes_back_its_own_claim_and_no_other() {
    let (mut elector, action) = Elector::that_read(Some(lease(10, None)));
    assert_eq!(action, Action::Write);
    let (first, sent_twice) = (elector.written(11), s(0.0));
    assert_eq!(elector.at(0.1, Event::Refused), Action::Read);
    let mut now = 0.2;
    while elector.at(now, read(Some(lease(10, None)))) != Action::Write {
        now += 0.5;
        assert!(now < 20.0, "it tries again");
    }
    elector.at(now + 0.1, Event::Denied);
    elector.at(now + 0.2, Event::Watched(first));
    assert!(!elector.state.is_impersonated(&elector.timing), "the first claim is its own");
    let until = elector.state.term().map(|term| term.valid_until);
    assert_eq!(until, Some(sent_twice + s(10.0)), "and counts from when it was sent");
}
