//! What a proxy does to connections.

/// What a proxy does to connections. The faults of the evaluation find their place here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    #[default]
    Pass,
    /// Connections are torn down at once, watches in flight included, and new ones right after they were accepted.
    Cut,
    /// Nothing passes and nothing ends, as when packets get lost: connections stall, and new ones are accepted and never
    /// served. What stalled ends when the mode changes, and what it carried is lost.
    BlackHole,
}
