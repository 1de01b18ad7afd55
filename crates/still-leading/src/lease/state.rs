//! Everything that the elector remembers, and how events change it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::event::{Action, Event, Lost, Release, Settling, Term};
use super::record::{self, claimed_duration, holder, renew_time, resource_version};
use super::succession::Succession;
use super::timing::{Moment, Timing};

/// So many claims without an answer are remembered. One that was forgotten and lands all the same is taken for somebody
/// else's, which is safe.
const CLAIMS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Nobody,
    /// This process, by a claim that it wrote.
    Me,
    /// This process, by a claim that came too late to lead by it. It runs out like anybody else's.
    MeTooLate,
    /// Somebody else, perhaps under this process's identity.
    Other,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Known {
    #[default]
    Nothing,
    /// There is no Lease, since this moment. The last one was claimed for this long, by this holder.
    Absent { since: Moment, claimed: Duration, by: Option<String> },
    /// The Lease, and since when its claim has not changed.
    Present { lease: Box<Lease>, owner: Owner, since: Moment },
}

/// A claim that this process sent, and that may be or become the Lease.
#[derive(Clone, Debug, Default)]
struct Claim {
    /// The renewTime in microseconds: no two claims of a process share it.
    renew_time: i64,
    sent: Moment,
    /// The resourceVersion that it replaces; `None`: it creates the Lease.
    replaces: Option<String>,
    /// The Lease has shown it.
    is_confirmed: bool,
    /// Its request was given up.
    is_given_up: bool,
    /// It landed too late to lead by it.
    is_late: bool,
    /// The term that it was to prolong was handed over. It begins none.
    is_forgone: bool,
}

/// A request that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    sent: Moment,
    is_write: bool,
    /// It accepts a hand-over, and claims nothing.
    accepts: bool,
}

/// Everything that the elector remembers.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) known: Known,
    /// The newest event of the watch that came before the first read was answered.
    early: Option<Event>,
    /// The highest version seen, also of a Lease that is gone.
    highest: Option<u128>,
    pub(super) term: Option<Term>,
    terms: u64,
    pub(super) lost: Option<Lost>,
    pub(super) in_flight: Option<Flight>,
    /// What is known was proven to be outdated.
    pub(super) in_doubt: bool,
    /// When it was last asked because of that doubt.
    pub(super) asked_in_doubt: Option<Moment>,
    /// A write was given up, and no read has been answered since.
    is_unsure: bool,
    pub(super) last_read: Option<Moment>,
    pub(super) last_write: Option<Moment>,
    /// The resourceVersion that the last write was to replace, and whether it was refused.
    attempted: Option<Option<String>>,
    pub(super) refused: bool,
    /// The last write accepted a hand-over, and claimed nothing.
    pub(super) has_only_accepted: bool,
    /// The last write was refused, and a read showed what it was to replace.
    is_unexplained: bool,
    /// The last write failed for a reason that a change of the Lease does not mend.
    pub(super) is_failing: bool,
    claims: Vec<Claim>,
    /// The latest renewTime that this process wrote, in microseconds.
    last_renew_time: Option<i64>,
    pub(super) watching: bool,
    /// When the Lease was last heard of, through the watch or a read.
    pub(super) heard: Moment,
    /// When it was last learned what the Lease is.
    learned: Moment,
    settling: Option<Settling>,
    /// The largest number seen, kept beyond a deletion so that it never goes backwards.
    transitions: i32,
    has_seen_lease: bool,
    /// Who should lead next.
    pub(super) succession: Succession,
}

impl State {
    /// This replica's term, if it leads.
    pub fn term(&self) -> Option<&Term> {
        self.term.as_ref()
    }

    /// Why the last term ended.
    pub fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// The holder of the Lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.lease().and_then(holder)
    }

    /// Whether the Lease itself was seen at least once.
    pub fn has_seen_lease(&self) -> bool {
        self.has_seen_lease
    }

    /// Whether the watch is believed to deliver.
    pub fn is_watching(&self) -> bool {
        self.watching
    }

    /// Whether a request is in flight whose answer still matters.
    pub fn is_waiting(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether that request is a write.
    pub fn is_writing(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|flight| flight.is_write)
    }

    /// Whether the last write was refused as if a race was lost, although nobody had written.
    pub fn is_refused_without_race(&self) -> bool {
        self.is_unexplained
    }

    /// Why nobody may lead at `now`, if so.
    pub fn settling(&self, now: Moment) -> Option<&Settling> {
        self.settling.as_ref().filter(|settling| now < settling.until)
    }

    /// Whether the Lease shows this process's identity in a claim that the process did not write.
    pub fn is_impersonated(&self, timing: &Timing) -> bool {
        matches!(&self.known, Known::Present { lease, owner: Owner::Other, .. } if holder(lease) == Some(&timing.identity))
    }

    /// Until when the present holder's claim stands, and how long that holder asked for.
    pub fn claimed_until(&self, timing: &Timing) -> Option<(Moment, Duration)> {
        match &self.known {
            Known::Present { lease, owner: Owner::Other, since } => {
                let claimed = claimed_duration(lease, timing);
                Some((since.saturating_add(claimed), claimed))
            }
            _ => None,
        }
    }

    /// The Lease that claims or renews for this replica, to replace exactly what is known: uid and resourceVersion make
    /// the write a compare-and-swap. Everything that others keep in the object stays. To be called right after [`step`]
    /// answered [`Action::Write`].
    pub fn claim(&mut self, timing: &Timing, wall_clock: MicroTime) -> Lease {
        let time = record::next_renew_time(wall_clock, self.lease(), self.last_renew_time);
        let micros = time.0.as_microsecond();
        self.last_renew_time = Some(micros);
        let sent = self.in_flight.as_ref().map_or(Moment::ZERO, |flight| flight.sent);
        let replaces = self.resource_version().map(str::to_owned);
        self.claims.push(Claim { renew_time: micros, sent, replaces, ..Claim::default() });
        if self.claims.len() > CLAIMS_MAX {
            self.claims.remove(0);
        }
        let is_mine = matches!(self.known, Known::Present { owner: Owner::Me, .. });
        // Whoever takes over from this replica has to wait as well.
        let duration = timing.lease_duration.max(self.wait_left(timing, sent));
        let mut lease = record::claim(self.lease(), is_mine, &timing.identity, duration, time, self.transitions);
        self.succession.sign(&mut lease, timing, is_mine, sent);
        lease
    }

    /// How long nobody may lead from now on.
    fn wait_left(&self, timing: &Timing, now: Moment) -> Duration {
        let known = self.settling.as_ref().map_or(Duration::ZERO, |settling| settling.until.saturating_sub(now));
        match &self.known {
            Known::Absent { claimed, .. } => known.max((*claimed).min(timing.longest_wait())),
            _ => known,
        }
    }

    /// How to give up what this process holds.
    pub fn release(&self, wall_clock: MicroTime, now: Moment) -> Release {
        if self.is_unsure || self.in_doubt {
            return Release::Read;
        }
        match &self.known {
            Known::Present { lease, owner: Owner::Me | Owner::MeTooLate, .. } => match self.settling(now) {
                Some(settling) => Release::Unsettled(settling.until),
                None => {
                    let time = record::next_renew_time(wall_clock, Some(lease), self.last_renew_time);
                    Release::Put(Box::new(record::release(lease, time)))
                }
            },
            // A claim that was given up may still replace this version. Another version makes that impossible.
            Known::Present { lease, owner: Owner::Nobody, .. } if self.may_still_land() => {
                let time = record::next_renew_time(wall_clock, Some(lease), self.last_renew_time);
                Release::Put(Box::new(record::release(lease, time)))
            }
            _ => Release::Nothing,
        }
    }

    fn may_still_land(&self) -> bool {
        let version = self.resource_version();
        self.claims.iter().any(|claim| !claim.is_confirmed && claim.replaces.as_deref() == version)
    }

    /// Takes note that the term was over before its renewal could be recorded: once over, it stays over.
    pub fn forget_term(&mut self) {
        if self.term.take().is_some() {
            self.lost = Some(Lost::RenewDeadline);
        }
    }

    /// No claim that was sent so far begins a term any more.
    pub(super) fn forgo_claims(&mut self) {
        self.claims.iter_mut().for_each(|claim| claim.is_forgone = true);
    }

    /// Takes note that a release was refused: what is known about the Lease is outdated.
    pub fn doubt(&mut self) {
        self.in_doubt = true;
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.known {
            Known::Present { lease, .. } => Some(lease),
            _ => None,
        }
    }

    pub(super) fn resource_version(&self) -> Option<&str> {
        self.lease().and_then(resource_version)
    }

    /// Whether the Lease is another than the last write was to replace.
    pub(super) fn has_changed(&self) -> bool {
        self.attempted.as_ref().map(Option::as_deref) != Some(self.resource_version())
    }

    /// Takes note of the Lease, unless something newer is known and this is not the truth. Returns whether its claim is
    /// news.
    fn observe(&mut self, timing: &Timing, lease: Lease, now: Moment, is_truth: bool) -> bool {
        self.heard = now;
        let is_older = self.is_older(&lease);
        if is_older && !is_truth {
            return false;
        }
        if resource_version(&lease) != self.resource_version() {
            // Whatever was in doubt, this is the later word.
            self.in_doubt = false;
        }
        (self.learned, self.has_seen_lease) = (now, true);
        self.highest = record::version_number(&lease).or(self.highest);
        self.transitions = self.transitions.max(record::transitions(&lease));
        let unchanged_since = match &self.known {
            Known::Present { lease: known, since, .. } if known.metadata.uid == lease.metadata.uid && !is_older => {
                Some(*since).filter(|_| known.spec == lease.spec)
            }
            Known::Nothing => None,
            // Made anew, or restored from a backup. Terms on what was there before come from writes before this moment,
            // and none outlives its claim.
            _ => {
                let (claimed, predecessor) = self.claimed_before(timing);
                self.settle(timing, now, claimed, predecessor);
                None
            }
        };
        let was_held = match &self.known {
            Known::Present { lease: known, owner, .. } if known.metadata.uid == lease.metadata.uid && !is_older => {
                Some(*owner != Owner::Nobody)
            }
            _ => None,
        };
        let owner = self.owner(timing, &lease);
        self.succession.observe(&lease, owner, was_held, now);
        let since = unchanged_since.unwrap_or(now);
        self.known = Known::Present { lease: Box::new(lease), owner, since };
        self.confirm(timing, now);
        unchanged_since.is_none()
    }

    /// Whose claim `lease` shows. Forgets the claims of this process that can no longer become the Lease: a
    /// compare-and-swap succeeds only on the version that it replaces.
    fn owner(&mut self, timing: &Timing, lease: &Lease) -> Owner {
        let holder = holder(lease);
        let shown = renew_time(lease).filter(|_| holder == Some(&timing.identity));
        let version = resource_version(lease);
        self.claims.retain(|claim| Some(claim.renew_time) == shown || claim.replaces.as_deref() == version);
        match (holder, self.claims.iter().rfind(|claim| Some(claim.renew_time) == shown)) {
            (None, _) => Owner::Nobody,
            (Some(_), None) => Owner::Other,
            (Some(_), Some(claim)) => {
                if claim.is_late {
                    Owner::MeTooLate
                } else {
                    Owner::Me
                }
            }
        }
    }

    /// Whether the watch or a slow answer brings what is outdated. resourceVersions of one kind of object can be compared
    /// as integers (documented since Kubernetes 1.35, true of etcd ever since); one that is no integer proves nothing.
    fn is_older(&self, lease: &Lease) -> bool {
        record::version_number(lease).zip(self.highest).is_some_and(|(this, highest)| this < highest)
    }

    /// Takes note that there is no Lease. Returns whether that is news.
    fn vanished(&mut self, timing: &Timing, now: Moment) -> bool {
        (self.heard, self.learned) = (now, now);
        self.claims.retain(|claim| claim.replaces.is_none());
        if matches!(self.known, Known::Absent { .. }) {
            return false;
        }
        let (claimed, by) = self.claimed_before(timing);
        let news = self.lease().is_some();
        self.known = Known::Absent { since: now, claimed, by };
        news
    }

    /// How long the leader on the Lease known so far may go on, and who that is.
    fn claimed_before(&self, timing: &Timing) -> (Duration, Option<String>) {
        match &self.known {
            Known::Present { lease, .. } => {
                (claimed_duration(lease, timing).max(timing.lease_duration), holder(lease).map(str::to_owned))
            }
            Known::Absent { claimed, by, .. } => (*claimed, by.clone()),
            Known::Nothing => (timing.lease_duration, None),
        }
    }

    /// Nobody leads for `wait` from now on. The wait is capped, and never shortens one that was known before.
    fn settle(&mut self, timing: &Timing, now: Moment, wait: Duration, predecessor: Option<String>) {
        let until = now.saturating_add(wait.min(timing.longest_wait()));
        if self.settling.as_ref().is_none_or(|settling| settling.until < until) {
            self.settling = Some(Settling { until, predecessor });
        }
    }

    /// Whoever led on a predecessor of this Lease has stopped once the Lease is a lease duration old: that leader's last
    /// renewal succeeded before the Lease was created.
    fn settle_the_young(&mut self, timing: &Timing, age: Option<Duration>, now: Moment) {
        // Both times of the server are whole seconds, so the real age may be a second less.
        let age = age.unwrap_or_default().saturating_sub(Duration::from_secs(1));
        let wait = timing.lease_duration.saturating_sub(age);
        if !wait.is_zero() {
            self.settle(timing, now, wait, None);
        }
    }

    /// Draws the consequences if the Lease shows a claim of this process: it counts from when it was sent, whoever shows
    /// it first.
    fn confirm(&mut self, timing: &Timing, now: Moment) {
        let Known::Present { lease, owner, .. } = &mut self.known else { return };
        let shown = renew_time(lease);
        let claim = self.claims.iter_mut().rfind(|claim| Some(claim.renew_time) == shown);
        let Some(claim) = claim.filter(|_| *owner == Owner::Me) else { return };
        let is_first = !std::mem::replace(&mut claim.is_confirmed, true);
        (self.is_failing, self.is_unexplained) = (false, false);
        let valid_until = claim.sent.saturating_add(timing.renew_deadline);
        if let Some(term) = self.term.as_mut().filter(|term| now < term.valid_until) {
            term.valid_until = term.valid_until.max(valid_until);
            return;
        }
        if !is_first || claim.is_forgone {
            return;
        }
        // A replica whose writes arrive only after it gave them up keeps the Lease fresh and cannot lead. It lets that
        // claim run out like anybody else's, so that another replica can.
        if claim.is_given_up && now.saturating_sub(claim.sent) > timing.attempt_timeout() {
            claim.is_late = true;
            *owner = Owner::MeTooLate;
            return;
        }
        if valid_until <= now || self.settling.as_ref().is_some_and(|settling| now < settling.until) {
            return;
        }
        // An expired term is over even if its renewal succeeds in the end: this is another one. If the watch has shown a
        // later state already, `demote` takes back what is begun here before anybody learns of it.
        self.terms += 1;
        let epoch = resource_version(lease).and_then(|version| version.parse().ok()).unwrap_or(0);
        let uid = lease.metadata.uid.clone();
        if self.term.is_some() {
            self.lost = Some(Lost::RenewDeadline);
        }
        self.succession.begin();
        self.term = Some(Term { number: self.terms, epoch, valid_until, uid });
    }
}

impl State {
    pub(super) fn note(&mut self, timing: &Timing, event: Event, now: Moment) {
        match event {
            Event::Tick => {}
            // A watch may begin in the past, so nothing is believed before the first read.
            Event::Watched(_) | Event::Deleted(_) if matches!(self.known, Known::Nothing) => self.keep_early(event),
            Event::Watched(lease) => {
                self.watching = true;
                self.observe(timing, lease, now, false);
            }
            Event::Deleted(lease) => {
                self.watching = true;
                if !self.is_older(&lease) {
                    self.highest = record::version_number(&lease).or(self.highest);
                    self.in_doubt = false;
                    self.vanished(timing, now);
                }
            }
            Event::WatchEnded => self.watching = false,
            Event::Read { lease, age } => self.read(timing, lease, age, now),
            Event::ReadFailed => self.in_flight = None,
            Event::Wrote(lease) => self.wrote(timing, lease, now),
            // The claim is kept: a proxy may have sent it twice, and then the first one has become the Lease.
            Event::Refused => {
                self.in_flight = None;
                (self.refused, self.is_failing) = (true, false);
                self.asked_in_doubt = None;
                // The watch may have shown the reason already.
                self.in_doubt = !self.has_changed();
            }
            Event::Denied => {
                if self.in_flight.as_ref().is_some_and(|flight| flight.is_write && !flight.accepts) {
                    self.succession.deny();
                }
                self.take_back_claim();
                self.is_failing = true;
            }
            Event::WriteFailed => {
                self.give_up_write();
                self.is_failing = true;
            }
            Event::Asked(name) => {
                if self.term.is_some() {
                    self.succession.wish(timing, name, now);
                }
            }
        }
    }

    /// The newest news counts, also if it came before the first answer.
    fn keep_early(&mut self, event: Event) {
        self.watching = true;
        let version = |event: &Event| match event {
            Event::Watched(lease) | Event::Deleted(lease) => record::version_number(lease),
            _ => None,
        };
        if self.early.as_ref().is_none_or(|early| version(early) <= version(&event)) {
            self.early = Some(event);
        }
    }

    fn read(&mut self, timing: &Timing, lease: Option<Lease>, age: Option<Duration>, now: Moment) {
        // A read that was sent after the last news is the truth even if it shows an older version: then the server has
        // been restored from a backup.
        let is_truth = self.in_flight.take().is_some_and(|flight| flight.sent >= self.learned);
        (self.in_doubt, self.is_unsure) = (false, false);
        let silence = now.saturating_sub(self.heard);
        let is_first = matches!(self.known, Known::Nothing);
        let news = match lease {
            Some(lease) => self.observe(timing, lease, now, is_truth),
            None => self.vanished(timing, now),
        };
        self.is_unexplained = self.refused && !self.has_changed();
        if is_first {
            let exists = self.lease().is_some();
            if exists {
                self.settle_the_young(timing, age, now);
            }
            // Without a Lease, what the watch showed before may be what is gone.
            if let Some(early) = self.early.take().filter(|_| exists) {
                self.note(timing, early, now);
            }
        } else if news && silence >= timing.renew_deadline {
            // The watch should have shown it long ago, so it is stalled.
            self.watching = false;
        }
    }

    fn wrote(&mut self, timing: &Timing, lease: Lease, now: Moment) {
        let sent = self.in_flight.take().map(|flight| flight.sent);
        // A webhook may have changed the time on its way. The answer to this very request is its proof.
        if holder(&lease) == Some(&timing.identity)
            && let Some(claim) = self.claims.iter_mut().rfind(|claim| Some(claim.sent) == sent)
            && let Some(stored) = renew_time(&lease)
        {
            claim.renew_time = stored;
        }
        self.observe(timing, lease, now, false);
    }

    fn give_up_write(&mut self) {
        let Some(flight) = self.in_flight.take().filter(|flight| flight.is_write) else { return };
        // Where the claim is gone, a later version has replaced the one that it was to replace.
        if let Some(claim) = self.claims.iter_mut().rfind(|claim| claim.sent == flight.sent) {
            claim.is_given_up = true;
            self.is_unsure |= !claim.is_confirmed;
        }
    }

    /// Forgets the claim of the write in flight, which did not happen.
    fn take_back_claim(&mut self) {
        let Some(flight) = self.in_flight.take() else { return };
        self.claims.retain(|claim| claim.sent != flight.sent || claim.is_given_up || claim.is_confirmed);
    }

    /// Whether the request in flight cannot bring anything that the next one would not: a read that news has overtaken, a
    /// write that the Lease already shows, or one that replaces a version which is gone.
    pub(super) fn is_moot(&self, flight: &Flight, next: Action) -> bool {
        if !flight.is_write {
            return matches!(next, Action::Write | Action::Accept);
        }
        self.has_changed() || flight.accepts && next == Action::Write
    }

    /// Takes note that the request of `action` is sent now, in place of one that may be in flight.
    pub(super) fn begin(&mut self, action: Action, now: Moment) {
        let is_write = match action {
            Action::Wait(_) => return,
            Action::Read => false,
            Action::Write | Action::Accept => true,
        };
        self.give_up_write();
        self.in_flight = Some(Flight { sent: now, is_write, accepts: action == Action::Accept });
        self.succession.send(action);
        if is_write {
            self.last_write = Some(now);
            self.attempted = Some(self.resource_version().map(str::to_owned));
            self.refused = false;
            self.has_only_accepted = action == Action::Accept;
        } else {
            self.last_read = Some(now);
            self.asked_in_doubt = Some(now).filter(|_| self.in_doubt);
        }
    }

    /// In any doubt we do not lead.
    pub(super) fn demote(&mut self, timing: &Timing, now: Moment) {
        let Some(term) = &self.term else { return };
        let reason = match &self.known {
            _ if term.valid_until <= now => Lost::RenewDeadline,
            Known::Present { lease, owner, .. } => match (owner, holder(lease)) {
                (Owner::Me, _) if lease.metadata.uid == term.uid => return,
                (Owner::Me, _) => Lost::Replaced,
                // A claim is late only where there is no term any more.
                (Owner::MeTooLate, _) => Lost::RenewDeadline,
                (Owner::Nobody, _) | (Owner::Other, None) => Lost::Cleared,
                // Another object in the same name is a replacement first.
                (Owner::Other, Some(holder)) if holder == timing.identity && lease.metadata.uid != term.uid => {
                    Lost::Replaced
                }
                (Owner::Other, Some(holder)) if holder == timing.identity => Lost::Impersonated,
                (Owner::Other, Some(holder)) => Lost::HeldBy(holder.to_owned()),
            },
            _ => Lost::Deleted,
        };
        self.term = None;
        self.succession.forget_wish();
        self.lost = Some(reason);
    }
}
