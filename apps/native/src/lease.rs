//! The decisions of the election: `step(state, event, now) -> action`. No I/O, no clock, no randomness, so that every
//! rule can be tested as a table and checked against random histories.
//!
//! The algorithm is client-go's (`tools/leaderelection`): a standby trusts a claim until it has not changed for the
//! lease duration by the standby's own clock, and every write is a compare-and-swap. It differs in these points: a
//! leader's validity counts from when its last renewal was sent, another holder ends it at once, and nobody leads on a
//! lease that was made anew before whoever led on its predecessor must have stopped.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

/// A point of this process's own clock: time since the elector started.
pub type Moment = Duration;

/// Who contends, and how patiently. `lease_duration > renew_deadline > retry_period` must hold; the lease duration is
/// stored in whole seconds.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Unique among all processes that ever contend for the Lease.
    pub identity: String,
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry_period: Duration,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Nothing but time.
    Tick,
    /// The watch showed the Lease.
    Watched(Lease),
    /// The watch showed the Lease's deletion, with its last state.
    Deleted(Lease),
    /// The watch ended.
    WatchEnded,
    /// A read was answered; `None`: there is no such Lease.
    Read(Option<Lease>),
    /// A read was not answered.
    ReadFailed,
    /// The write was accepted.
    Wrote(Lease),
    /// The write was refused: it did not happen, and what is known about the Lease is outdated.
    Refused,
    /// The write failed in a way that leaves open whether it happened.
    WriteFailed,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until the next event, or until this moment.
    Wait(Moment),
    /// Get the Lease.
    Read,
    /// Put the Lease as [`State::claim`] drafts it.
    Write,
}

/// A spell of leadership, as decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The resourceVersion that the acquiring write made, or was first seen with: it grows with every term of any replica.
    pub epoch: String,
    /// Not later than the renew deadline after the last successful renewal was sent.
    pub valid_until: Moment,
    uid: Option<String>,
}

#[derive(Clone, Debug, Default)]
enum Known {
    #[default]
    Nothing,
    /// There is no Lease; the last one was claimed for this long.
    Absent { claimed: Duration },
    /// The Lease, and since when its claim has not changed.
    Present { lease: Box<Lease>, since: Moment },
}

/// Everything the elector remembers.
#[derive(Clone, Debug, Default)]
pub struct State {
    known: Known,
    term: Option<Term>,
    lost: Option<String>,
    /// When the request was sent that is not answered yet.
    in_flight: Option<Moment>,
    /// What is known was proven to be outdated.
    in_doubt: bool,
    last_read: Option<Moment>,
    last_write: Option<Moment>,
    /// The resourceVersion that the last write was to replace, and whether it was refused.
    attempted: Option<Option<String>>,
    refused: bool,
    /// The renewTime of the last claim, in microseconds, and when it was sent if its answer was lost.
    drafted: Option<i64>,
    unanswered: Option<Moment>,
    watching: bool,
    /// When the Lease was last heard of, through the watch or a read.
    heard: Moment,
    /// When it was last learned what the Lease is.
    learned: Moment,
    /// Nobody may lead before this moment, because the Lease was made anew.
    settled: Moment,
    /// The largest number seen, kept beyond a deletion so that it never goes backwards.
    transitions: i32,
}

impl State {
    /// This replica's term, if it leads.
    pub fn term(&self) -> Option<&Term> {
        self.term.as_ref()
    }

    /// Why the last term ended.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Who holds the Lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.lease().and_then(holder)
    }

    /// Whether the API server has answered at least once.
    pub fn is_synced(&self) -> bool {
        !matches!(self.known, Known::Nothing)
    }

    /// Whether the watch is believed to deliver.
    pub fn is_watching(&self) -> bool {
        self.watching
    }

    /// The Lease that claims or renews for this replica, to replace exactly what is known: uid and resourceVersion make
    /// the write a compare-and-swap. Everything that others keep in the object stays.
    pub fn claim(&mut self, timing: &Timing, wall_clock: MicroTime) -> Lease {
        self.drafted = Some(wall_clock.0.as_microsecond());
        let mut lease = self.lease().cloned().unwrap_or_default();
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&timing.identity) {
            spec.holder_identity = Some(timing.identity.clone());
            spec.acquire_time = Some(wall_clock.clone());
            spec.lease_transitions = Some(self.transitions.saturating_add(1));
        }
        // Whole seconds: the flags are checked for it. Rounded up all the same, since the others wait this long.
        let seconds = timing.lease_duration.as_secs() + u64::from(timing.lease_duration.subsec_nanos() > 0);
        spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        spec.renew_time = Some(wall_clock);
        // The server keeps the field owners itself.
        lease.metadata.managed_fields = None;
        lease
    }

    /// The Lease that gives up what this replica holds, if it holds it. As client-go writes it: an empty holder, and a
    /// duration of a second for electors that look at nothing else.
    pub fn release(&self, timing: &Timing, wall_clock: MicroTime) -> Option<Lease> {
        let mut lease = self.lease().filter(|lease| holder(lease) == Some(&timing.identity))?.clone();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(wall_clock);
        lease.metadata.managed_fields = None;
        Some(lease)
    }

    fn lease(&self) -> Option<&Lease> {
        match &self.known {
            Known::Present { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// The write whose answer was lost, if it has become the Lease: nobody else writes this identity, and it no other time.
    fn found(&self, timing: &Timing) -> Option<(ObjectMeta, Moment)> {
        let (lease, sent) = self.lease().zip(self.unanswered)?;
        let renewed = lease.spec.as_ref()?.renew_time.as_ref()?.0.as_microsecond();
        let is_ours = holder(lease) == Some(&timing.identity) && Some(renewed) == self.drafted && self.has_changed();
        is_ours.then(|| (lease.metadata.clone(), sent))
    }

    /// Whether the Lease is another than the last write was to replace.
    fn has_changed(&self) -> bool {
        self.attempted.as_ref().map(Option::as_deref) != Some(self.resource_version())
    }

    fn resource_version(&self) -> Option<&str> {
        self.lease().and_then(|lease| lease.metadata.resource_version.as_deref())
    }

    /// Takes note of the Lease, unless something newer is known and this is not the truth. Returns whether its claim is news.
    fn observe(&mut self, timing: &Timing, lease: Lease, now: Moment, is_truth: bool) -> bool {
        self.heard = now;
        let is_older = self.is_older(&lease);
        if is_older && !is_truth {
            return false;
        }
        self.learned = now;
        self.transitions =
            self.transitions.max(lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0));
        let unchanged_since = match &self.known {
            Known::Present { lease: known, since } if known.metadata.uid == lease.metadata.uid && !is_older => {
                Some(*since).filter(|_| known.spec == lease.spec)
            }
            Known::Nothing => None,
            // Made anew, or restored from a backup. Terms on what was there before come from writes before this moment,
            // and none outlives its claim.
            _ => {
                self.settled = now.saturating_add(self.claimed_before(timing));
                None
            }
        };
        self.known = Known::Present { lease: Box::new(lease), since: unchanged_since.unwrap_or(now) };
        unchanged_since.is_none()
    }

    /// Whether the watch or a slow answer brings what is outdated. resourceVersions of one kind of object can be compared
    /// as integers (documented since Kubernetes 1.35, true of etcd ever since); one that is no integer proves nothing.
    fn is_older(&self, lease: &Lease) -> bool {
        let number = |version: Option<&str>| version.and_then(|version| version.parse::<u128>().ok());
        let versions = number(lease.metadata.resource_version.as_deref()).zip(number(self.resource_version()));
        versions.is_some_and(|(this, known)| this < known)
    }

    /// Takes note that there is no Lease. Returns whether that is news.
    fn vanished(&mut self, timing: &Timing, now: Moment) -> bool {
        (self.heard, self.learned) = (now, now);
        let news = self.lease().is_some();
        self.known = Known::Absent { claimed: self.claimed_before(timing) };
        news
    }

    /// How long whoever led on the Lease known so far may go on.
    fn claimed_before(&self, timing: &Timing) -> Duration {
        match &self.known {
            Known::Present { lease, .. } => claimed_duration(lease, timing).max(timing.lease_duration),
            Known::Absent { claimed } => *claimed,
            Known::Nothing => timing.lease_duration,
        }
    }
}

/// The holder; tools release a Lease by an empty string, by null, or by an empty spec.
fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// How long the holder asked for, or our own duration where it did not say.
fn claimed_duration(lease: &Lease, timing: &Timing) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => timing.lease_duration,
    }
}

/// Takes note of `event`, drops a term that has no basis any more, and says what to do.
pub fn step(timing: &Timing, state: &mut State, event: Event, now: Moment) -> Action {
    note(timing, state, event, now);
    demote(timing, state, now);
    let action = decide(timing, state, now);
    match action {
        Action::Wait(_) => {}
        Action::Read => (state.in_flight, state.last_read) = (Some(now), Some(now)),
        Action::Write => {
            (state.in_flight, state.last_write) = (Some(now), Some(now));
            state.attempted = Some(state.resource_version().map(str::to_owned));
            (state.refused, state.unanswered) = (false, None);
        }
    }
    action
}

fn note(timing: &Timing, state: &mut State, event: Event, now: Moment) {
    match event {
        Event::Tick => {}
        // A watch may begin in the past, so nothing is believed before the first read.
        Event::Watched(_) | Event::Deleted(_) if !state.is_synced() => state.watching = true,
        Event::Watched(lease) => {
            state.watching = true;
            state.observe(timing, lease, now, false);
        }
        Event::Deleted(lease) => {
            state.watching = true;
            if !state.is_older(&lease) {
                state.vanished(timing, now);
            }
        }
        Event::WatchEnded => state.watching = false,
        Event::Read(lease) => {
            // A read that was sent after the last news is the truth even if it shows an older version: then the server
            // has been restored from a backup.
            let is_truth = state.in_flight.take().is_some_and(|sent| sent >= state.learned);
            state.in_doubt = false;
            let silence = now.saturating_sub(state.heard);
            let news = match lease {
                Some(lease) => state.observe(timing, lease, now, is_truth),
                None => state.vanished(timing, now),
            };
            // The watch should have told long ago, so it is stalled.
            if news && silence >= timing.renew_deadline {
                state.watching = false;
            }
        }
        Event::ReadFailed => state.in_flight = None,
        Event::WriteFailed => state.unanswered = state.in_flight.take(),
        Event::Wrote(lease) => {
            let sent = state.in_flight.take().unwrap_or(now);
            let written = lease.metadata.clone();
            state.observe(timing, lease, now, false);
            wrote(timing, state, written, sent, now);
        }
        Event::Refused => (state.in_flight, state.refused, state.in_doubt) = (None, true, true),
    }
    if let Some((written, sent)) = state.found(timing) {
        state.unanswered = None;
        wrote(timing, state, written, sent, now);
    }
}

/// Takes note of a claim that was sent at `sent` and has become the Lease.
fn wrote(timing: &Timing, state: &mut State, written: ObjectMeta, sent: Moment, now: Moment) {
    let (uid, epoch) = (written.uid, written.resource_version.unwrap_or_default());
    let valid_until = sent.saturating_add(timing.renew_deadline);
    if valid_until <= now || now < state.settled {
        return;
    }
    // If the watch has shown a later state already, `demote` takes back what is begun here before anybody is told.
    match &mut state.term {
        Some(term) if now < term.valid_until => term.valid_until = valid_until,
        // An expired term is over even if its renewal succeeds in the end: this is another one.
        _ => {
            state.term = Some(Term { epoch, valid_until, uid });
            state.lost = None;
        }
    }
}

/// In any doubt we do not lead.
fn demote(timing: &Timing, state: &mut State, now: Moment) {
    let Some(term) = &state.term else { return };
    let reason = match &state.known {
        _ if term.valid_until <= now => "the renew deadline has passed".to_owned(),
        Known::Present { lease, .. } => match holder(lease) {
            Some(holder) if holder != timing.identity => format!("the lease is held by {holder}"),
            None => "the lease was released by somebody else".to_owned(),
            Some(_) if lease.metadata.uid != term.uid => "the lease was replaced".to_owned(),
            Some(_) => return,
        },
        _ => "the lease was deleted".to_owned(),
    };
    state.term = None;
    state.lost = Some(reason);
}

fn decide(timing: &Timing, state: &State, now: Moment) -> Action {
    let end_of_term = state.term.as_ref().map_or(Moment::MAX, |term| term.valid_until);
    if state.in_flight.is_some() {
        return Action::Wait(end_of_term);
    }
    let retry_after = |last: Option<Moment>| last.map_or(Moment::ZERO, |last| last.saturating_add(timing.retry_period));
    let at =
        |moment: Moment, action: Action| if moment <= now { action } else { Action::Wait(moment.min(end_of_term)) };

    if state.in_doubt {
        // The first question after a refusal is free, repeated ones are paced.
        let asked = state.last_read.filter(|read| Some(*read) >= state.last_write);
        return at(retry_after(asked), Action::Read);
    }
    // At once where the Lease has changed since it was last tried for and the pace of renewals is not meant.
    let changed = state.has_changed();
    let write_at = |at_once: bool| if at_once { Moment::ZERO } else { retry_after(state.last_write) };
    match &state.known {
        Known::Nothing => at(retry_after(state.last_read), Action::Read),
        Known::Absent { .. } => at(write_at(changed), Action::Write),
        Known::Present { lease, since } if holder(lease).is_some_and(|holder| holder != timing.identity) => {
            let expires = since.saturating_add(claimed_duration(lease, timing));
            if expires <= now { at(write_at(changed), Action::Write) } else { poll(timing, state, now, expires) }
        }
        Known::Present { lease, .. } if holder(lease).is_none() => at(write_at(changed), Action::Write),
        Known::Present { .. } => at(write_at(changed && state.refused), Action::Write),
    }
}

/// A standby waits for the watch to speak. Without a watch it asks every retry period; with one that has been silent
/// for longer than a live leader can be, it asks too, since a stalled watch looks the same as a dead leader.
fn poll(timing: &Timing, state: &State, now: Moment, expires: Moment) -> Action {
    let asked = state.last_read.unwrap_or(Moment::ZERO);
    let ask_at = if state.watching {
        asked.max(state.heard).saturating_add(timing.renew_deadline)
    } else {
        asked.saturating_add(timing.retry_period)
    };
    if ask_at <= now { Action::Read } else { Action::Wait(ask_at.min(expires)) }
}

#[cfg(test)]
mod tests;
