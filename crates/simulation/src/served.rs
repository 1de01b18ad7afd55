//! How far the server has come in serving a watch.

use crate::network::Key;

/// The server's half of an open watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) key: Key,
    /// The next change to show.
    pub(crate) next: usize,
    pub(crate) has_begun: bool,
}
