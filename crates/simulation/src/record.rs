//! What happened, for a person: lines for the trace, spans for the picture, and what the real driver's run is compared
//! with. Nothing is kept unless it is asked for.

use k8s_openapi::api::coordination::v1::Lease;
use still_leading::Lost;
use still_leading::internals::Event;
use still_leading_timeline::Span;

use crate::intervention::Intervention;
use crate::network::Key;
use crate::server::{Change, Seen, holder};
use crate::time::{Ns, seconds};
use crate::trace::{event as shown, lease as brief};

/// Something that a replica did, as it can be observed from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It sent a read.
    Read,
    /// It sent a write, in the name of this holder, to replace this version.
    Write {
        /// The holder in the Lease that it sent; empty in a release.
        holder: String,
        /// The resourceVersion; none creates the Lease.
        replaces: Option<String>,
    },
    /// It asked for a watch.
    Watch,
    /// Its term began, with this epoch.
    Began(u64),
    /// Its term ended.
    Ended,
}

impl Observed {
    /// A write of `lease`, or a read.
    pub fn request(lease: Option<&Lease>) -> Self {
        lease.map_or(Self::Read, |lease| Self::Write {
            holder: holder(lease).unwrap_or_default().to_owned(),
            replaces: lease.metadata.resource_version.clone(),
        })
    }
}

/// One replica in the picture.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// When it led.
    pub leading: Vec<Span>,
    /// When it was frozen.
    pub frozen: Vec<Span>,
    /// When its processes ran.
    pub alive: Vec<Span>,
    leads_since: Option<Ns>,
    alive_since: Option<Ns>,
}

/// See the file.
#[derive(Debug, Default)]
pub struct Record {
    is_on: bool,
    /// The trace.
    pub lines: Vec<String>,
    /// A lane for each replica.
    pub lanes: Vec<Lane>,
    /// What each replica did, by time.
    pub observed: Vec<(Ns, usize, Observed)>,
    /// What was done from outside, by time.
    pub interventions: Vec<(Ns, Intervention)>,
}

impl Record {
    /// Of so many replicas; of nothing if it is not on.
    pub fn new(replicas: usize, is_on: bool) -> Self {
        Self { is_on, lanes: vec![Lane::default(); replicas], ..Self::default() }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    pub(crate) fn say(&mut self, now: Ns, slot: usize, text: impl FnOnce() -> String) {
        if self.is_on {
            self.lines.push(format!("{:>9} r{slot}  {}", seconds(now), text()));
        }
    }

    pub(crate) fn note(&mut self, now: Ns, text: impl FnOnce() -> String) {
        if self.is_on {
            self.lines.push(format!("{:>9} --  {}", seconds(now), text()));
        }
    }

    pub(crate) fn request(&mut self, now: Ns, slot: usize, number: u64, lease: Option<&Lease>) {
        if !self.is_on {
            return;
        }
        let what = lease.map_or("reads".to_owned(), |lease| format!("writes {}", brief(lease)));
        self.say(now, slot, || format!("request {number}: {what}"));
        self.observed.push((now, slot, Observed::request(lease)));
    }

    pub(crate) fn watch(&mut self, now: Ns, slot: usize, number: u64) {
        if self.is_on {
            self.say(now, slot, || format!("opens watch {number}"));
            self.observed.push((now, slot, Observed::Watch));
        }
    }

    pub(crate) fn served(&mut self, now: Ns, key: Key, answer: &Event) {
        self.note(now, || {
            format!("answers r{}_{} request {}: {}", key.slot, key.incarnation, key.number, shown(answer))
        });
    }

    pub(crate) fn committed(&mut self, now: Ns, change: &Change) {
        self.note(now, || match &change.what {
            Seen::Present(lease) => format!("the Lease is {}", brief(lease)),
            Seen::Deleted(lease) => format!("the Lease is gone: {}", brief(lease)),
        });
    }

    pub(crate) fn intervention(&mut self, now: Ns, what: &Intervention) {
        if self.is_on {
            self.interventions.push((now, what.clone()));
        }
    }

    pub(crate) fn began(&mut self, now: Ns, slot: usize, epoch: u64) {
        if self.is_on {
            self.say(now, slot, || format!("LEADS in epoch {epoch}"));
            self.lanes[slot].leads_since = Some(now);
            self.observed.push((now, slot, Observed::Began(epoch)));
        }
    }

    pub(crate) fn term_ended(&mut self, now: Ns, slot: usize, lost: &Lost) {
        if self.is_on {
            self.say(now, slot, || format!("STOPS leading: {lost}"));
            self.observed.push((now, slot, Observed::Ended));
            self.close_term(now, slot);
        }
    }

    pub(crate) fn frozen(&mut self, slot: usize, span: Span) {
        if self.is_on {
            self.lanes[slot].frozen.push(span);
        }
    }

    pub(crate) fn alive(&mut self, slot: usize, now: Ns) {
        if self.is_on {
            self.lanes[slot].alive_since = Some(now);
        }
    }

    /// The process in the place `slot` is gone, and with it its term.
    pub(crate) fn ended(&mut self, slot: usize, now: Ns) {
        if self.is_on {
            self.close_term(now, slot);
            let lane = &mut self.lanes[slot];
            lane.alive.extend(lane.alive_since.take().map(|since| (since, now)));
        }
    }

    /// Nothing happens any more.
    pub(crate) fn close(&mut self, now: Ns) {
        for slot in 0..self.lanes.len() {
            self.ended(slot, now);
        }
    }

    fn close_term(&mut self, now: Ns, slot: usize) {
        let lane = &mut self.lanes[slot];
        lane.leading.extend(lane.leads_since.take().map(|since| (since, now)));
    }
}
