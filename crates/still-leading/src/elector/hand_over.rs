//! How a program hands the leadership over.

use tokio::sync::mpsc::UnboundedSender;

use super::driver::Wish;

/// Asks the elector to hand the leadership over, see [`Elector::hand_over`](crate::Elector::hand_over). Nothing happens unless it leads.
///
/// The work is cancelled and ends as at a shutdown, while the Lease is renewed. Then the Lease is released, and the elector
/// contends again. Who leads next is decided by the compare-and-swap, as always: another standby may be faster than the one
/// that was chosen, and if there is no other, this replica leads again.
#[derive(Clone, Debug)]
pub struct HandOver(UnboundedSender<Wish>);

impl HandOver {
    pub(super) fn new(wishes: UnboundedSender<Wish>) -> Self {
        Self(wishes)
    }

    /// To the replica of this name, which is an identity or the [name](crate::Identity::name) that one was made of. The
    /// standby of that name is asked through the Lease first; it and this replica need `Config::hands_over`. If none answers within two retry periods or so, the log says
    /// so, and this replica leads on. The same if the API server denies the request: a policy may forbid it.
    ///
    /// The first request is written at once. Another one within a retry period waits for the next renewal.
    pub fn to(&self, name: impl Into<String>) {
        self.send(Some(name.into()));
    }

    /// To any other replica.
    pub fn to_anybody(&self) {
        self.send(None);
    }

    fn send(&self, wish: Wish) {
        // An elector that is gone leads no more.
        let _ = self.0.send(wish);
    }
}
