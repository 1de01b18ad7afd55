//! What a replica remembers of who should lead next: the release that it saw, and a hand-over on its way. The words on the
//! Lease itself are in `preference.rs`.

use k8s_openapi::api::coordination::v1::Lease;

use super::event::{Action, Lost};
use super::preference;
use super::state::{Owner, State};
use super::timing::{Moment, Timing};

/// See the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Succession {
    /// When this replica saw the present Lease without a holder who was there before.
    released: Option<Moment>,
    /// That release was this replica's own hand-over.
    has_handed_over: bool,
    /// The request to hand over that the Lease shows.
    request: Option<Request>,
    /// The name that the application wants to hand over to, until the Lease shows it.
    wish: Option<String>,
    /// The wish was not sent yet.
    is_wish_new: bool,
    /// When a wish last was a reason to write at once.
    wished: Option<Moment>,
    /// The last claim has dropped the request.
    drops: bool,
    /// The name in a request that the last claim has dropped, since nobody answers to it.
    dropped: Option<String>,
}

/// A request to hand over.
#[derive(Clone, Debug)]
struct Request {
    name: String,
    /// When this replica first saw it.
    since: Moment,
    /// A claim that dropped it was denied, so the next ones leave it.
    stays: bool,
}

impl Succession {
    /// Takes note of what `lease` says. `was_held`: whether the same Lease had a holder before, if it was known.
    pub(super) fn observe(&mut self, lease: &Lease, owner: Owner, was_held: Option<bool>, now: Moment) {
        self.released = match was_held {
            _ if owner != Owner::Nobody => None,
            Some(true) => Some(now),
            Some(false) => self.released,
            None => None,
        };
        self.has_handed_over &= owner != Owner::Other;
        let request = preference::request(lease);
        if self.request.as_ref().map(|known| known.name.as_str()) != request {
            self.request = request.map(|name| Request { name: name.to_owned(), since: now, stays: false });
        }
        if self.wish.as_deref() == request || owner != Owner::Me {
            self.wish = None;
        }
    }

    /// Writes into a claim that is sent at `now` what belongs there: the generation, a wish, and no request that nobody
    /// answers.
    pub(super) fn sign(&mut self, lease: &mut Lease, timing: &Timing, is_renewal: bool, now: Moment) {
        // After a hand-over that could not be written, this begins another term. Its successor is none any more: else each
        // term would end at once, for as long as the release alone is refused.
        let is_renewal = is_renewal && !self.has_handed_over;
        preference::sign(lease, timing, is_renewal);
        let dropped = self.request_to_drop(timing, is_renewal, now);
        if self.wish.is_some() || dropped.is_some() {
            preference::ask(lease, self.wish.as_deref());
        }
        self.drops = dropped.is_some();
        // A request for the replica that acquires is fulfilled.
        self.dropped = dropped.filter(|_| is_renewal);
    }

    /// The request that nobody answers: it names this replica, or nobody has accepted it within a retry period.
    fn request_to_drop(&self, timing: &Timing, is_renewal: bool, now: Moment) -> Option<String> {
        let Request { name, since, .. } = self.request.as_ref().filter(|request| !request.stays)?;
        let is_old = is_renewal && now >= since.saturating_add(timing.retry_period);
        (is_old || preference::bears(&timing.identity, name)).then(|| name.clone())
    }

    /// A term of this replica begins.
    pub(super) fn begin(&mut self) {
        self.has_handed_over = false;
    }

    /// The application wants to hand over to the replica of this name. One wish in a retry period is a reason to write at
    /// once. The next renewal brings the others.
    pub(super) fn wish(&mut self, timing: &Timing, name: String, now: Moment) {
        self.wish = Some(name);
        if self.wished.is_none_or(|last| now >= last.saturating_add(timing.retry_period)) {
            (self.is_wish_new, self.wished) = (true, Some(now));
        }
    }

    /// The last claim was denied. What it changed beside the claim may be why, and is not worth the leadership: a policy may
    /// forbid it, or the name is too long.
    pub(super) fn deny(&mut self) {
        if !self.is_wish_new {
            self.wish = None;
        }
        if let Some(request) = &mut self.request {
            request.stays |= self.drops;
        }
    }

    pub(super) fn forget_wish(&mut self) {
        self.wish = None;
    }

    /// Whether the application wants something written that was not sent yet.
    pub(super) fn has_wish(&self) -> bool {
        self.is_wish_new
    }

    /// The request of `action` is sent.
    pub(super) fn send(&mut self, action: Action) {
        self.is_wish_new &= action != Action::Write;
    }
}

impl State {
    /// The Lease with this standby's word that it takes over. To be called right after [`step`](super::step) answered
    /// [`Action::Accept`].
    pub fn accept(&self, timing: &Timing) -> Lease {
        self.lease().map(|lease| preference::acceptance(lease, timing)).unwrap_or_default()
    }

    /// The name in a request to hand over that the last claim has dropped, since nobody answers to it.
    pub fn dropped_request(&self) -> Option<&str> {
        self.succession.dropped.as_deref()
    }

    /// The standby that has accepted to take over from this replica, while it leads.
    pub fn successor(&self, timing: &Timing) -> Option<&str> {
        let successor = self.term.as_ref().and(self.lease()).and_then(preference::successor);
        successor.filter(|successor| timing.hands_over && !preference::bears(&timing.identity, successor))
    }

    /// Ends the term, for another replica to lead. The Lease is to be released then, and this replica contends again
    /// after the others.
    pub fn hand_over(&mut self) {
        if self.term.take().is_some() {
            self.lost = Some(Lost::HandedOver);
        }
        self.forgo_claims();
        self.succession.forget_wish();
        self.succession.has_handed_over = true;
    }

    /// Whether this standby was asked to take over, can, and has not accepted yet. A request that comes back after that is
    /// left to the leader: a tool that puts it back at once would get an answer at once, for ever.
    pub(super) fn is_chosen(&self, timing: &Timing, now: Moment) -> bool {
        let Some(lease) = self.lease() else { return false };
        let is_asked = preference::request(lease).is_some_and(|name| preference::bears(&timing.identity, name));
        let has_accepted = preference::successor(lease) == Some(&timing.identity);
        timing.hands_over && is_asked && !has_accepted && self.settling(now).is_none() && !self.is_impersonated(timing)
    }

    /// When this replica may try for a Lease that has been without a holder since `since`. Only a release that it saw happen
    /// gives others a head start, and each release only once.
    pub(super) fn turn(&self, timing: &Timing, since: Moment) -> Moment {
        let Some((released, lease)) = self.succession.released.zip(self.lease()) else { return since };
        let given = preference::head_starts_given(lease, timing, self.succession.has_handed_over);
        since.max(released.saturating_add(timing.head_start.saturating_mul(given)))
    }
}
