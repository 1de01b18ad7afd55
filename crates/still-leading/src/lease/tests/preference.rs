//! Who tries first after a release, and the three writes of a hand-over.

use super::*;

const GENERATION: &str = "still-leading.dev/generation";
const HAND_OVER_TO: &str = "still-leading.dev/hand-over-to";
const SUCCESSOR: &str = "still-leading.dev/successor";
const HEAD_START: f64 = 0.25;

fn with(mut lease: Lease, key: &str, value: &str) -> Lease {
    lease.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    lease
}

fn annotation<'a>(lease: &'a Lease, key: &str) -> Option<&'a str> {
    lease.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn of_generation(generation: Option<&str>) -> Timing {
    Timing { generation: generation.map(str::to_owned), ..timing(ME) }
}

/// A standby that has seen another replica hold the Lease, and whose watch works.
fn standby(generation: Option<&str>) -> Elector {
    let mut standby = Elector::that_stands_by();
    standby.timing = of_generation(generation);
    standby
}

/// A leader whose claim, as it wrote it, is version 11.
fn leader(generation: Option<&str>) -> Elector {
    let mut leader = Elector::new(ME);
    leader.timing = of_generation(generation);
    leader.at(0.0, Event::Tick);
    assert_eq!(leader.at(0.0, read(Some(lease(10, None)))), Action::Write);
    let claim = leader.written(11);
    leader.at(0.0, Event::Wrote(claim));
    assert!(leader.leads_at(0.0));
    leader
}

#[test]
fn a_standby_of_the_generation_that_released_lets_the_others_go_first_for_a_head_start() {
    let (old, new) = (Some("old"), Some("new"));
    for (of_leader, mine, waits) in [
        (old, old, true),
        (old, new, false),
        (new, old, false),
        (None, old, false),
        (old, None, false),
        (None, None, false),
        (Some(""), Some(""), false),
    ] {
        let mut standby = standby(mine);
        let mut released = lease(12, Some(""));
        if let Some(generation) = of_leader {
            released = with(released, GENERATION, generation);
        }
        let action = standby.at(3.0, Event::Watched(released));
        let expected = if waits { Action::Wait(s(3.0 + HEAD_START)) } else { Action::Write };
        assert_eq!(action, expected, "{mine:?} after {of_leader:?}");
        if waits {
            assert_eq!(standby.at(3.0 + HEAD_START, Event::Tick), Action::Write, "nobody is kept from leading");
        }
    }
}

#[test]
fn the_head_start_counts_once_from_when_this_standby_saw_the_release() {
    let mut late = standby(Some("old"));
    let released = with(lease(12, None), GENERATION, "old");
    assert_eq!(late.at(7.0, Event::Watched(released.clone())), Action::Wait(s(7.0 + HEAD_START)));
    // Somebody else writes the free Lease again: it was released once.
    let mut touched = released;
    touched.metadata.resource_version = Some("13".to_owned());
    touched.spec.as_mut().unwrap().lease_duration_seconds = Some(2);
    assert_eq!(late.at(7.2, Event::Watched(touched)), Action::Wait(s(7.0 + HEAD_START)));
    assert_eq!(late.at(7.0 + HEAD_START, Event::Tick), Action::Write);
}

#[test]
fn a_standby_that_joins_after_a_release_waits_for_nobody() {
    for (key, value) in [(GENERATION, "old"), (SUCCESSOR, OTHER)] {
        let mut elector = Elector::new(ME);
        elector.timing = of_generation(Some("old"));
        elector.at(0.0, Event::Tick);
        assert_eq!(elector.at(0.0, read(Some(with(lease(10, None), key, value)))), Action::Write, "{key}");
    }
}

#[test]
fn there_is_no_head_start_after_an_expiry_or_a_deletion() {
    let mut standby = standby(Some("old"));
    standby.at(0.0, Event::Watched(with(lease(11, Some(OTHER)), GENERATION, "old")));
    standby.at(10.0, Event::ReadFailed);
    standby.at(10.0, Event::ReadFailed);
    assert_eq!(standby.at(15.0, Event::ReadFailed), Action::Write);
    let mut again = Elector::that_stands_by();
    again.timing = of_generation(Some("old"));
    again.at(0.0, Event::Watched(with(lease(11, Some(OTHER)), GENERATION, "old")));
    let mut anew = with(lease(13, None), GENERATION, "old");
    anew.metadata.uid = Some("uid-2".to_owned());
    again.at(1.0, Event::Deleted(lease(12, Some(OTHER))));
    again.at(1.0, Event::WriteFailed);
    assert_eq!(again.at(3.0, Event::Watched(anew)), Action::Write);
}

#[test]
fn the_chosen_standby_tries_at_once_and_the_others_wait_whatever_their_generation() {
    for (successor, mine, waits) in [
        (ME, Some("old"), false),
        ("me", None, false),
        (OTHER, Some("new"), true),
        (OTHER, None, true),
        ("me_2", None, true),
        ("m", None, true),
    ] {
        let mut standby = standby(mine);
        let released = with(with(lease(12, None), GENERATION, "old"), SUCCESSOR, successor);
        let expected = if waits { Action::Wait(s(3.0 + HEAD_START)) } else { Action::Write };
        assert_eq!(standby.at(3.0, Event::Watched(released)), expected, "{successor} {mine:?}");
    }
}

#[test]
fn a_claim_carries_the_generation_of_its_writer_and_no_successor_of_an_earlier_hand_over() {
    for (generation, expected) in [(Some("new"), Some("new")), (Some(""), None), (None, None)] {
        let mut elector = Elector::new(ME);
        elector.timing = of_generation(generation);
        elector.at(0.0, Event::Tick);
        let free = with(with(with(lease(10, None), GENERATION, "old"), SUCCESSOR, OTHER), "example.com/a", "b");
        assert_eq!(elector.at(0.0, read(Some(free))), Action::Write);
        let claim = elector.draft.unwrap();
        assert_eq!(annotation(&claim, GENERATION), expected);
        assert_eq!(annotation(&claim, SUCCESSOR), None);
        assert_eq!(annotation(&claim, "example.com/a"), Some("b"));
    }
}

#[test]
fn the_standby_that_is_named_accepts_by_compare_and_swap_and_claims_nothing() {
    let mut standby = standby(None);
    let asked = with(lease(12, Some(OTHER)), HAND_OVER_TO, "me");
    assert_eq!(standby.at(3.0, Event::Watched(asked.clone())), Action::Accept);
    let accepted = standby.state.accept(&standby.timing);
    assert_eq!((annotation(&accepted, SUCCESSOR), annotation(&accepted, HAND_OVER_TO)), (Some(ME), None));
    assert_eq!(accepted.metadata.resource_version.as_deref(), Some("12"));
    assert_eq!(accepted.spec, asked.spec, "the holder's claim is left as it is");
    let mut stored = accepted;
    stored.metadata.resource_version = Some("13".to_owned());
    assert!(matches!(standby.at(3.1, Event::Wrote(stored)), Action::Wait(_)), "once");
    assert!(standby.state.term().is_none());
    assert_eq!(standby.release_at(3.2), Release::Nothing);
}

/// The word of a standby must not keep anybody waiting for a dead leader.
#[test]
fn an_acceptance_does_not_prolong_the_claim() {
    let mut standby = standby(None);
    let mut asked = with(lease(10, Some(OTHER)), HAND_OVER_TO, "me");
    asked.metadata.resource_version = Some("12".to_owned());
    assert_eq!(standby.at(14.0, Event::Watched(asked)), Action::Accept);
    // Its answer hangs.
    assert_eq!(standby.at(15.0, Event::Tick), Action::Write);
}

#[test]
fn only_the_standby_that_is_named_accepts() {
    for name in ["m", "me_2", OTHER, "", "nobody"] {
        let mut standby = standby(None);
        let action = standby.at(3.0, Event::Watched(with(lease(12, Some(OTHER)), HAND_OVER_TO, name)));
        assert!(matches!(action, Action::Wait(_)), "{name}: {action:?}");
    }
}

#[test]
fn one_that_takes_no_part_in_hand_overs_neither_accepts_nor_gives_way() {
    let mut standby = standby(None);
    standby.timing.hands_over = false;
    let action = standby.at(3.0, Event::Watched(with(lease(12, Some(OTHER)), HAND_OVER_TO, "me")));
    assert!(matches!(action, Action::Wait(_)), "{action:?}");
    let mut leader = leader(None);
    leader.timing.hands_over = false;
    let mut accepted = with(leader.written(11), SUCCESSOR, OTHER);
    accepted.metadata.resource_version = Some("12".to_owned());
    leader.at(1.0, Event::Watched(accepted));
    assert_eq!(leader.state.successor(&leader.timing), None);
    assert!(leader.leads_at(1.0));
}

#[test]
fn an_acceptance_that_is_denied_is_tried_again_every_retry_period() {
    let mut standby = standby(None);
    assert_eq!(standby.at(3.0, Event::Watched(with(lease(12, Some(OTHER)), HAND_OVER_TO, "me"))), Action::Accept);
    assert_eq!(standby.at(3.1, Event::Denied), Action::Wait(s(5.0)));
    assert_eq!(standby.at(5.0, Event::Tick), Action::Accept);
}

#[test]
fn an_acceptance_that_lost_a_race_against_a_renewal_is_written_again() {
    let mut standby = standby(None);
    assert_eq!(standby.at(3.0, Event::Watched(with(lease(12, Some(OTHER)), HAND_OVER_TO, "me"))), Action::Accept);
    assert_eq!(standby.at(3.1, Event::Refused), Action::Read);
    assert_eq!(standby.at(3.2, read(Some(with(lease(13, Some(OTHER)), HAND_OVER_TO, "me")))), Action::Accept);
}

#[test]
fn a_leader_learns_of_its_successor_and_keeps_the_word_until_it_has_released() {
    let mut leader = leader(None);
    assert_eq!(leader.state.successor(&leader.timing), None);
    let mut accepted = with(leader.written(11), SUCCESSOR, OTHER);
    accepted.metadata.resource_version = Some("12".to_owned());
    leader.at(1.0, Event::Watched(accepted));
    assert!(leader.leads_at(1.0), "it leads until its work has ended");
    assert_eq!(leader.state.successor(&leader.timing), Some(OTHER));
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), SUCCESSOR), Some(OTHER), "also in a renewal");
    leader.at(2.0, Event::Wrote(leader.written(13)));
    leader.state.hand_over();
    assert_eq!(leader.state.lost(), Some(&Lost::HandedOver));
    let Release::Put(released) = leader.release_at(3.0) else { panic!("nothing to release") };
    assert_eq!((holder(&released), annotation(&released, SUCCESSOR)), (None, Some(OTHER)));
}

#[test]
fn whoever_has_handed_over_contends_again_after_all_others() {
    for successor in [None, Some(OTHER), Some(ME)] {
        let mut leader = leader(Some("new"));
        leader.state.hand_over();
        let Release::Put(mut released) = leader.release_at(3.0) else { panic!("nothing to release") };
        released.metadata.resource_version = Some("12".to_owned());
        if let Some(successor) = successor {
            *released = with(*released, SUCCESSOR, successor);
        }
        let wait = leader.at(3.0, Event::Wrote(*released));
        assert_eq!(wait, Action::Wait(s(3.0 + 2.0 * HEAD_START)), "{successor:?}");
        assert_eq!(leader.at(3.0 + 2.0 * HEAD_START, Event::Tick), Action::Write, "if nobody else wants it");
        leader.at(3.6, Event::Wrote(leader.written(13)));
        assert!(leader.leads_at(3.6) && leader.state.term().unwrap().epoch == 13);
    }
}

#[test]
fn after_another_replica_has_led_a_former_leader_is_a_standby_like_any_other() {
    let mut leader = leader(None);
    leader.state.hand_over();
    let Release::Put(mut released) = leader.release_at(3.0) else { panic!("nothing to release") };
    released.metadata.resource_version = Some("12".to_owned());
    leader.at(3.0, Event::Wrote(*released));
    leader.at(3.1, Event::Watched(lease(13, Some(OTHER))));
    assert_eq!(leader.at(4.0, Event::Watched(lease(14, None))), Action::Write);
}

/// The release failed, so this replica still holds the Lease. It begins another term by its next write, not the old one again.
#[test]
fn a_hand_over_that_could_not_be_written_ends_the_term_all_the_same() {
    let mut leader = leader(None);
    leader.state.hand_over();
    assert!(!leader.leads_at(1.0));
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    leader.at(2.1, Event::Wrote(leader.written(14)));
    assert_eq!(leader.state.term().unwrap().epoch, 14);
}

#[test]
fn a_request_that_nobody_accepts_is_dropped_by_the_first_renewal_after_a_retry_period() {
    let mut leader = leader(None);
    let mut asked = with(leader.written(11), HAND_OVER_TO, "nobody");
    asked.metadata.resource_version = Some("12".to_owned());
    assert_eq!(leader.at(1.5, Event::Watched(asked)), Action::Wait(s(2.0)));
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), Some("nobody"), "somebody may be on the way");
    assert_eq!(leader.state.dropped_request(), None);
    leader.at(2.1, Event::Wrote(leader.written(13)));
    assert_eq!(leader.at(4.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), None);
    assert_eq!(leader.state.dropped_request(), Some("nobody"));
    leader.at(4.1, Event::Wrote(leader.written(14)));
    assert!(leader.leads_at(4.1) && leader.state.term().unwrap().epoch == 11, "the leader goes on");
    leader.at(6.0, Event::Tick);
    assert_eq!(leader.state.dropped_request(), None, "once");
}

#[test]
fn a_request_that_names_the_leader_is_dropped_by_its_next_renewal() {
    let mut leader = leader(None);
    let mut asked = with(leader.written(11), HAND_OVER_TO, "me");
    asked.metadata.resource_version = Some("12".to_owned());
    leader.at(1.9, Event::Watched(asked));
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), None);
    assert_eq!(leader.state.dropped_request(), Some("me"));
    assert_eq!(leader.state.successor(&leader.timing), None);
}

#[test]
fn what_the_application_asks_for_is_written_at_once_and_once() {
    let mut leader = leader(None);
    assert_eq!(leader.at(1.0, Event::Asked("other".to_owned())), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), Some("other"));
    assert_eq!(leader.at(1.1, Event::Wrote(leader.written(12))), Action::Wait(s(3.0)));
    assert!(leader.leads_at(1.1));
    // Somebody takes it back before anybody has accepted.
    let mut taken_back = leader.written(12);
    taken_back.metadata.annotations = None;
    taken_back.metadata.resource_version = Some("13".to_owned());
    leader.at(1.2, Event::Watched(taken_back));
    assert_eq!(leader.at(3.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), None);
}

#[test]
fn an_application_that_does_not_lead_asks_for_nothing() {
    let mut standby = standby(None);
    assert!(matches!(standby.at(1.0, Event::Asked("other".to_owned())), Action::Wait(_)));
    assert_eq!(standby.at(2.0, Event::Watched(lease(12, None))), Action::Write);
    assert_eq!(annotation(standby.draft.as_ref().unwrap(), HAND_OVER_TO), None);
    // The same while it gives a head start to others.
    let mut waiting = self::standby(Some("old"));
    waiting.at(1.0, Event::Watched(with(lease(12, None), GENERATION, "old")));
    waiting.at(1.1, Event::Asked("other".to_owned()));
    assert_eq!(waiting.at(2.0, Event::Tick), Action::Write);
    assert_eq!(annotation(waiting.draft.as_ref().unwrap(), HAND_OVER_TO), None);
}

#[test]
fn a_leader_that_is_named_as_its_own_successor_leads_on() {
    let mut leader = leader(None);
    let mut accepted = with(leader.written(11), SUCCESSOR, ME);
    accepted.metadata.resource_version = Some("12".to_owned());
    leader.at(1.0, Event::Watched(accepted));
    assert_eq!(leader.state.successor(&leader.timing), None);
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), SUCCESSOR), None);
}

#[test]
fn a_wish_that_could_not_be_written_is_repeated_at_the_pace_of_renewals() {
    let mut leader = leader(None);
    assert_eq!(leader.at(1.0, Event::Asked("other".to_owned())), Action::Write);
    assert_eq!(leader.at(1.1, Event::WriteFailed), Action::Wait(s(3.0)));
    assert_eq!(leader.at(3.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), Some("other"));
}

/// The renewal that was on its way when the work had ended begins no term: this replica still comes last.
#[test]
fn a_renewal_that_is_answered_during_a_hand_over_begins_no_term() {
    for is_known in [true, false] {
        let mut leader = leader(None);
        assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
        leader.state.hand_over();
        let renewed = leader.written(12);
        if is_known {
            note(&leader.timing, &mut leader.state, Event::Wrote(renewed), s(2.1));
        } else {
            note(&leader.timing, &mut leader.state, Event::WriteFailed, s(2.1));
            assert_eq!(leader.release_at(2.1), Release::Read);
            note(&leader.timing, &mut leader.state, read(Some(renewed)), s(2.1));
        }
        assert_eq!(leader.state.term(), None);
        let Release::Put(mut released) = leader.release_at(2.1) else { panic!("nothing to release") };
        released.metadata.resource_version = Some("13".to_owned());
        assert_eq!(leader.at(2.2, Event::Wrote(*released)), Action::Wait(s(2.2 + 2.0 * HEAD_START)));
        assert_eq!(leader.state.lost(), Some(&Lost::HandedOver));
    }
}

/// Else an API server that refuses the release alone would let nobody work, for as long as the word stands there.
#[test]
fn a_hand_over_that_could_not_be_written_is_not_tried_again_in_the_next_term() {
    let mut leader = leader(None);
    let mut accepted = with(leader.written(11), SUCCESSOR, OTHER);
    accepted.metadata.resource_version = Some("12".to_owned());
    leader.at(1.0, Event::Watched(accepted));
    leader.state.hand_over();
    assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), SUCCESSOR), None);
    leader.at(2.1, Event::Wrote(leader.written(13)));
    assert!(leader.leads_at(2.1));
    assert_eq!(leader.state.successor(&leader.timing), None);
}

/// A policy may forbid who asks, or what: the renewals go on.
#[test]
fn a_wish_that_is_denied_is_given_up() {
    let mut leader = leader(None);
    assert_eq!(leader.at(1.0, Event::Asked("other".to_owned())), Action::Write);
    assert_eq!(leader.at(1.1, Event::Denied), Action::Wait(s(3.0)));
    assert_eq!(leader.at(3.0, Event::Tick), Action::Write);
    assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), None);
    leader.at(3.1, Event::Wrote(leader.written(12)));
    assert!(leader.leads_at(12.0));
}

#[test]
fn a_request_that_this_replica_may_not_drop_stays_and_the_renewals_go_on() {
    for name in ["nobody", "me"] {
        let mut leader = leader(None);
        let mut asked = with(leader.written(11), HAND_OVER_TO, name);
        asked.metadata.resource_version = Some("12".to_owned());
        leader.at(0.0, Event::Watched(asked));
        assert_eq!(leader.at(2.0, Event::Tick), Action::Write);
        assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), None);
        leader.at(2.1, Event::Denied);
        for (version, seconds) in [(13, 4.0), (14, 6.0)] {
            assert_eq!(leader.at(seconds, Event::Tick), Action::Write);
            assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), Some(name));
            leader.at(seconds, Event::Wrote(leader.written(version)));
            assert!(leader.leads_at(seconds));
        }
        // Another request is another matter.
        let mut other = with(leader.written(14), HAND_OVER_TO, "nobody else");
        other.metadata.resource_version = Some("15".to_owned());
        leader.at(6.0, Event::Watched(other));
        assert_eq!(leader.at(8.0, Event::Tick), Action::Write);
        assert_eq!(annotation(leader.draft.as_ref().unwrap(), HAND_OVER_TO), None);
    }
}

/// A tool that puts its request back whenever it is gone must not meet a standby that takes it away at once, for ever.
#[test]
fn a_standby_that_has_accepted_leaves_a_request_that_comes_back_to_the_leader() {
    let mut standby = standby(None);
    let asked = with(lease(12, Some(OTHER)), HAND_OVER_TO, "me");
    assert_eq!(standby.at(3.0, Event::Watched(asked)), Action::Accept);
    let mut stored = standby.state.accept(&standby.timing);
    stored.metadata.resource_version = Some("13".to_owned());
    standby.at(3.1, Event::Wrote(stored.clone()));
    let mut again = with(stored.clone(), HAND_OVER_TO, "me");
    again.metadata.resource_version = Some("14".to_owned());
    assert!(matches!(standby.at(3.2, Event::Watched(again)), Action::Wait(_)));
    // The word of an earlier process of the same name is not its own.
    let mut earlier = with(with(stored, HAND_OVER_TO, "me"), SUCCESSOR, "me_2");
    earlier.metadata.resource_version = Some("15".to_owned());
    // Two standbys of one name must not answer each other in turn at the speed of the wire, either.
    assert_eq!(standby.at(3.3, Event::Watched(earlier)), Action::Wait(s(5.0)));
    assert_eq!(standby.at(5.0, Event::Tick), Action::Accept);
}

#[test]
fn an_application_that_asks_all_the_time_costs_one_more_write_each_retry_period() {
    let mut leader = leader(None);
    let (mut writes, mut version) = (0, 11);
    for tenth in 1..=100 {
        let now = f64::from(tenth) / 10.0;
        if leader.at(now, Event::Asked(format!("other-{tenth}"))) == Action::Write {
            (writes, version) = (writes + 1, version + 1);
            leader.at(now, Event::Wrote(leader.written(version)));
        }
    }
    assert!((5..=10).contains(&writes), "{writes} in 10 s");
    assert!(leader.leads_at(10.0));
}

#[test]
fn an_acceptance_that_a_renewal_overtook_is_written_again_once_it_was_refused() {
    let mut standby = standby(None);
    assert_eq!(standby.at(3.0, Event::Watched(with(lease(12, Some(OTHER)), HAND_OVER_TO, "me"))), Action::Accept);
    let renewed = with(lease(13, Some(OTHER)), HAND_OVER_TO, "me");
    assert_eq!(standby.at(3.1, Event::Watched(renewed)), Action::Wait(s(5.0)));
    assert_eq!(standby.at(3.2, Event::Refused), Action::Accept);
}
