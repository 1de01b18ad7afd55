//! What a proxy does to connections.

/// What a proxy does to connections. The faults of the evaluation find their place here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    #[default]
    Pass,
    /// Connections are torn down at once, watches in flight included, and new ones right after they were accepted.
    Cut,
}
