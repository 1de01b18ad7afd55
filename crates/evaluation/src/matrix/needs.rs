//! What it takes to try a fault.

/// What it takes to try a fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// What it begins with.
    pub start: Start,
    /// An API server that nobody else uses meanwhile.
    pub own_server: bool,
    /// The real API server: the embedded one does not know what it does.
    pub real_server: bool,
    /// The replica whose wall clock is set, in the order of their start. It reaches nothing that does not ask the C library.
    pub clock: Option<usize>,
    /// What the API server answers to some request while it lasts: without that it has not come into force.
    pub answered: Option<u16>,
}

/// What a fault begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// One leads and the others stand by.
    Led {
        /// How many there are.
        replicas: usize,
    },
    /// No replica: the fault starts them.
    Nobody,
}

impl Default for Start {
    fn default() -> Self {
        Self::Led { replicas: 3 }
    }
}
