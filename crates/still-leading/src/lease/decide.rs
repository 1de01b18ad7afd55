//! What to do next, given what is known.

use std::time::Duration;

use super::event::Action;
use super::record::claimed_duration;
use super::state::{Known, Owner, State};
use super::timing::{Moment, Timing};

/// What to do now; a request in flight is waited for as long as its answer matters.
pub(super) fn decide(timing: &Timing, state: &State, now: Moment) -> Action {
    let end_of_term = state.term.as_ref().map_or(Moment::MAX, |term| term.valid_until);
    let wanted = want(timing, state, now);
    match (&state.in_flight, wanted) {
        (_, Action::Wait(moment)) => Action::Wait(moment.min(end_of_term)),
        (Some(flight), wanted) if !state.is_moot(flight, wanted) => Action::Wait(end_of_term),
        (_, wanted) => wanted,
    }
}

/// What there is to do if no request is in flight.
fn want(timing: &Timing, state: &State, now: Moment) -> Action {
    let retry_after = |last: Option<Moment>| last.map_or(Moment::ZERO, |last| last.saturating_add(timing.retry_period));
    let at = |moment: Moment, action: Action| if moment <= now { action } else { Action::Wait(moment) };

    if state.in_doubt {
        // The first question after a refusal is free, repeated ones are paced.
        return at(retry_after(state.asked_in_doubt), Action::Read);
    }
    // At once where the Lease has changed since it was last tried for and the pace of renewals is not meant.
    let is_news = state.has_changed() && !state.is_failing;
    // A word that this replica takes over was no attempt to do so.
    let changed = is_news || state.has_only_accepted;
    let write_at = |at_once: bool| if at_once { Moment::ZERO } else { retry_after(state.last_write) };
    let spread = |spread: Duration| timing.share_of(spread, state.resource_version());
    match &state.known {
        Known::Nothing => at(retry_after(state.last_read), Action::Read),
        Known::Absent { since, .. } => {
            let free = since.saturating_add(spread(timing.spread_after_release));
            at(write_at(changed).max(free), Action::Write)
        }
        Known::Present { owner: Owner::Nobody, since, .. } => {
            let free = state.turn(timing, *since).saturating_add(spread(timing.spread_after_release));
            at(write_at(changed).max(free), Action::Write)
        }
        Known::Present { owner: Owner::Other | Owner::MeTooLate, lease, since } => {
            let expires = since.saturating_add(claimed_duration(lease, timing));
            let free = expires.saturating_add(spread(timing.spread_after_expiry));
            // At once, but not twice in a row unless somebody else was faster.
            let is_first = !state.has_only_accepted || state.refused;
            let accept_at = state.is_chosen(timing, now).then(|| write_at(is_news && is_first));
            if free <= now {
                at(write_at(changed), Action::Write)
            } else if accept_at.is_some_and(|moment| moment <= now) {
                Action::Accept
            } else {
                poll(timing, state, now, free.min(accept_at.unwrap_or(Moment::MAX)))
            }
        }
        Known::Present { owner: Owner::Me, .. } => {
            at(write_at(changed && state.refused || state.succession.has_wish()), Action::Write)
        }
    }
}

/// A standby waits for the watch to speak. Without a watch it asks every retry period; with one that has been silent
/// for longer than a live leader can be, it asks too, since a stalled watch looks the same as a dead leader.
fn poll(timing: &Timing, state: &State, now: Moment, free: Moment) -> Action {
    let asked = state.last_read.unwrap_or(Moment::ZERO);
    let ask_at = if state.watching {
        asked.max(state.heard).saturating_add(timing.renew_deadline)
    } else {
        asked.saturating_add(timing.retry_period)
    };
    if ask_at <= now { Action::Read } else { Action::Wait(ask_at.min(free)) }
}
