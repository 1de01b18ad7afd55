//! What an elector publishes.

use crate::lease::Lost;
use crate::term::Term;

/// What this replica knows about the election.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The Lease was seen at least once.
    pub synced: bool,
    /// The holder of the Lease, as it stands there.
    pub leader: Option<String>,
    /// This replica's own term. That it is there does not mean that it still lasts: ask [`Term::remaining`].
    pub term: Option<Term>,
    /// Why the last term ended.
    pub lost: Option<Lost>,
    /// Why the API server does not let this replica in, if it has refused the credentials (401), or TLS has failed, for twelve
    /// renew deadlines. Report the replica as not healthy then, so that the kubelet restarts it. An API server that is down or
    /// unreachable is not a reason.
    pub locked_out: Option<String>,
}
