//! The decisions of the election: `step(state, event, now) -> action`.
//!
//! There is no I/O, no clock and no randomness here, so that every rule can be tested as a table and checked against
//! random histories.
//!
//! The algorithm is client-go's (`tools/leaderelection`). A standby trusts a claim until the claim has not changed for
//! the lease duration by the standby's own clock, and every write is a compare-and-swap. It differs from client-go in
//! these points:
//!
//! - A leader's validity counts from when its last renewal was sent. The sight of another holder ends it at once.
//! - Only a claim that this process wrote is its own, whatever identity the Lease shows.
//! - Nobody leads on a Lease that was made anew before the leader on its predecessor must have stopped.
//! - Standbys spread their attempts over a few milliseconds, so that hundreds of them do not collide.
//! - After a release some let others try first, by their generation or because one of them was chosen (`preference.rs`).
//!
//! ```text
//!               read or watched                        write confirmed, settled
//!  Nothing ───────────────────────▶ Present ─────────────────────────────────────▶ Term
//!                                    ▲   │ deleted                                  │
//!                  create confirmed  │   ▼                                          │ renew deadline, another holder,
//!                                   Absent ◀────────────────────────────────────────┘ cleared, replaced, deleted
//! ```

mod decide;
mod event;
mod preference;
mod record;
mod state;
mod succession;
mod timing;

pub use event::{Action, Event, Lost, Release};
#[cfg(feature = "internals")]
pub use event::{Settling, Term};
pub use state::State;
pub(crate) use timing::number;
pub use timing::{Moment, Timing};

use decide::decide;

/// Takes note of `event`, drops a term that has no basis any more, and says what to do.
pub fn step(timing: &Timing, state: &mut State, event: Event, now: Moment) -> Action {
    note(timing, state, event, now);
    let action = decide(timing, state, now);
    state.begin(action, now);
    action
}

/// As [`step`], without deciding anything: for an elector that only ends what it has begun.
pub fn note(timing: &Timing, state: &mut State, event: Event, now: Moment) {
    state.note(timing, event, now);
    state.demote(timing, now);
}

#[cfg(test)]
mod tests;
