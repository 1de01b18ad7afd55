//! What goes into the decisions, and what comes out of them.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;

use super::timing::Moment;

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
    /// A read was answered.
    Read {
        /// The Lease; `None` if there is none.
        lease: Option<Lease>,
        /// How old the object is by the server's own clock, if the server said.
        age: Option<Duration>,
    },
    /// A read was not answered.
    ReadFailed,
    /// The write was accepted.
    Wrote(Lease),
    /// The write did not happen, because the Lease is not what it was thought to be.
    Refused,
    /// The write did not happen, for a reason that another attempt right now would not change.
    Denied,
    /// The write failed in a way that leaves open whether it happened.
    WriteFailed,
    /// The application asks to hand over to the replica of this name. Counts only while this replica leads.
    Asked(String),
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until the next event, or until this moment.
    Wait(Moment),
    /// Get the Lease. A request in flight is given up.
    Read,
    /// Put the Lease as [`State::claim`](super::State::claim) drafts it. A request in flight is given up.
    Write,
    /// Put the Lease as [`State::accept`](super::State::accept) drafts it: this standby was asked to take over.
    Accept,
}

/// One unbroken spell of leadership, as decided here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Counts the terms of this process.
    pub number: u64,
    /// The resourceVersion that the acquiring write made, or was first seen with. It grows with every term of any replica.
    pub epoch: u64,
    /// Not later than the renew deadline after the last successful renewal was sent.
    pub valid_until: Moment,
    pub(super) uid: Option<String>,
}

/// Why a term ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// No renewal succeeded within the renew deadline.
    RenewDeadline,
    /// Another process holds the Lease.
    HeldBy(String),
    /// The Lease shows this process's identity in a claim that this process did not write.
    Impersonated,
    /// Somebody else cleared the holder.
    Cleared,
    /// The Lease was deleted and made anew.
    Replaced,
    /// The Lease was deleted.
    Deleted,
    /// The elector was stopped.
    Stopped,
    /// This replica gave the Lease up for another one.
    HandedOver,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RenewDeadline => f.write_str("the renew deadline has passed"),
            Self::HeldBy(holder) => write!(f, "the lease is held by {holder}"),
            Self::Impersonated => f.write_str("the lease was claimed in this replica's name by somebody else"),
            Self::Cleared => f.write_str("the lease was released by somebody else"),
            Self::Replaced => f.write_str("the lease was replaced"),
            Self::Deleted => f.write_str("the lease was deleted"),
            Self::Stopped => f.write_str("the elector was stopped"),
            Self::HandedOver => f.write_str("the lease was handed over"),
        }
    }
}

/// How to give the Lease up, see [`State::release`](super::State::release).
#[derive(Clone, Debug, PartialEq)]
pub enum Release {
    /// Put this Lease.
    Put(Box<Lease>),
    /// Read first: a claim may have become the Lease without an answer.
    Read,
    /// This process holds nothing.
    Nothing,
    /// The claim must not be released before this moment: a leader on the Lease's predecessor may still act.
    Unsettled(Moment),
}

/// Why nobody may lead yet, although this replica may hold the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settling {
    /// Nobody leads before this moment.
    pub until: Moment,
    /// Who may still act until then, if the predecessor's holder is known.
    pub predecessor: Option<String>,
}
