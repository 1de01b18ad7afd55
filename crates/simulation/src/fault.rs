//! What can go wrong, one line each.

use std::fmt;

use crate::time::{Ns, seconds};

/// The replica that a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The leader at that time, or the first replica if nobody leads.
    Leader,
    /// The replica of this number.
    Replica(usize),
}

/// In whose name a thief overwrites the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A process that takes no part.
    Stranger,
    /// Another live replica, which must not lead by it.
    Standby,
    /// The holder itself.
    Holder,
}

/// Whom a request to hand over names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The replica that the fault hits.
    It,
    /// No replica.
    Nobody,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// SIGSTOP: nothing of the process runs, then everything is due at once.
    Freeze,
    /// The elector does not run, but the work does.
    Halt,
    /// The elector runs late each time it has something to do.
    Starve,
    /// SIGKILL. What it has sent goes on. A new process starts when the fault ends.
    Kill,
    /// SIGTERM: it releases the Lease and ends. A new process starts when the fault ends.
    Stop,
    /// Requests, answers and the watch are lost.
    Cut,
    /// As [`What::Cut`], for everybody.
    Outage,
    /// Writes arrive after they were given up.
    Late,
    /// Answers take almost as long as an attempt may.
    Slow,
    /// Requests are executed, and their answers are lost.
    Mute,
    /// The server answers 500 and the like, and may have executed the request all the same.
    Errors,
    /// Writes are forbidden.
    Deny,
    /// The watch is forbidden.
    Forbid,
    /// The watch shows nothing and does not end.
    Stall,
    /// The watch ends.
    Break,
    /// Watches show what was true this long ago.
    Lag(Ns),
    /// Somebody deletes the Lease, and creates an empty one by hand after this time.
    Delete(Option<Ns>),
    /// etcd goes back to a backup of this age. The API is down meanwhile, for as long as a leader may go on, or not at all.
    Restore(Ns, bool),
    /// Somebody overwrites the holder of the Lease, for so many seconds. When the fault ends, the stranger releases it.
    Thief(Name, Option<i32>),
    /// Somebody changes the labels or annotations.
    Edit,
    /// Somebody clears a holder that is dead or foreign.
    Clear,
    /// An operator asks for a hand-over to the replica that it hits, or to a name that nobody bears.
    HandOver(Named),
    /// The application of the leader asks for a hand-over to the replica that it hits.
    Wish,
    /// The application gives its leadership to anybody, if it leads.
    Yield,
    /// Somebody sets the wall clock; by so many seconds.
    WallJump(i64),
    /// The wall clock stands still.
    WallStop,
}

/// One fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// When it happens.
    pub at: Ns,
    /// How long it lasts, if it is not over at once.
    pub lasts: Ns,
    /// The replica that it hits, if it hits one.
    pub target: Target,
    /// What it is.
    pub what: What,
}

impl Fault {
    /// When it is over.
    pub fn end(&self) -> Ns {
        self.at + self.lasts
    }
}

impl What {
    /// For the trace and the picture.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Halt => "halt",
            Self::Starve => "starve",
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Cut => "cut",
            Self::Outage => "outage",
            Self::Late => "late writes",
            Self::Slow => "slow",
            Self::Mute => "mute",
            Self::Errors => "errors",
            Self::Deny => "deny",
            Self::Forbid => "forbid watch",
            Self::Stall => "stall watch",
            Self::Break => "break watch",
            Self::Lag(_) => "stale cache",
            Self::Delete(None) => "delete",
            Self::Delete(Some(_)) => "re-create",
            Self::Restore(..) => "restore",
            Self::Thief(Name::Stranger, _) => "thief",
            Self::Thief(Name::Standby, _) => "framed",
            Self::Thief(Name::Holder, _) => "impersonate",
            Self::Edit => "edit",
            Self::Clear => "clear",
            Self::HandOver(Named::It) => "hand over",
            Self::HandOver(Named::Nobody) => "hand over to nobody",
            Self::Wish => "wish",
            Self::Yield => "yield",
            Self::WallJump(_) => "set clock",
            Self::WallStop => "stop clock",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} s  {:?} for {} s on {:?}", seconds(self.at), self.what, seconds(self.lasts), self.target)
    }
}
