//! What is done to the world from outside, as it was decided when a fault happened. The real driver's run is given the same
//! interventions at the same times.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use crate::fault::Fault;
use crate::network::Network;
use crate::server::Server;
use crate::time::Ns;

const HAND_OVER_TO: &str = "still-leading.dev/hand-over-to";

/// One thing that is done from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Intervention {
    /// A process starts in this place.
    Start(usize),
    /// The process in this place is killed.
    Kill(usize),
    /// The process in this place is asked to end.
    Stop(usize),
    /// The network of this place gets worse.
    Network(Fault, usize),
    /// The API is down until then.
    Outage(Ns),
    /// The server ends the watch of this place.
    BreakWatch(usize),
    /// The watch of this place shows what it held back.
    Deliver(usize),
    /// The Lease is deleted.
    Delete,
    /// An empty Lease is created.
    Create,
    /// The Lease is overwritten.
    Overwrite(LeaseSpec),
    /// An annotation is set to this number.
    Annotate(usize),
    /// An annotation asks to hand over to the replica of this name.
    Ask(String),
    /// The application in this place asks to hand over to the replica of this name.
    Wish(usize, String),
    /// The application in this place gives its leadership away.
    Yield(usize),
    /// The holder is cleared.
    Clear,
    /// The Lease becomes what it was at this time.
    Restore(Ns),
}

impl Intervention {
    /// Does what concerns the server and the network. The rest is up to whoever runs the replicas.
    pub fn apply(&self, server: &mut Server, network: &mut Network, now: Ns) {
        match self {
            Self::Network(fault, slot) => network.inject(fault, *slot),
            Self::Outage(until) => network.outage(*until),
            Self::Delete => server.delete(now),
            Self::Create => server.create(Lease::default(), now),
            Self::Overwrite(spec) => server.edit(now, |lease| lease.spec = Some(spec.clone())),
            Self::Annotate(number) => server.edit(now, |lease| {
                let annotations = lease.metadata.annotations.get_or_insert_default();
                annotations.insert("example.com/edited".to_owned(), number.to_string());
            }),
            Self::Ask(name) => server.edit(now, |lease| {
                let annotations = lease.metadata.annotations.get_or_insert_default();
                annotations.insert(HAND_OVER_TO.to_owned(), name.clone());
            }),
            Self::Clear => server.edit(now, |lease| lease.spec.iter_mut().for_each(|spec| spec.holder_identity = None)),
            Self::Restore(time) => {
                if let Some(backup) = server.backup(*time).cloned() {
                    server.restore(backup, now);
                }
            }
            Self::Start(_)
            | Self::Kill(_)
            | Self::Stop(_)
            | Self::Wish(..)
            | Self::Yield(_)
            | Self::BreakWatch(_)
            | Self::Deliver(_) => {}
        }
    }
}
