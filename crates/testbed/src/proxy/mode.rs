//! The modes of a proxy, each with a name.

use std::fmt;
use std::str::FromStr;

use super::fault::{Action, Fault};

/// What a proxy does to connections and requests. It parses from, and displays as, its name.
///
/// A mode that breaks connections affects all of them, also those that exist already, and also if it lasts only a moment. A
/// mode that tampers with requests leaves connections alone, and a request meets the mode in which it arrives. A watch may last
/// longer than a mode; see [`Action`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes. What an earlier mode has broken stays broken; what it has held back goes on.
    #[default]
    Pass,
    /// Nobody listens: new connections are refused, and existing ones are torn down, watches included. The port stays the same.
    Refuse,
    /// As [`Mode::Cut`], but the replica sees a reset (RST) instead of an end (FIN). The API server sees an end.
    Reset,
    /// Connections are torn down at once, watches in flight included, and new ones right after they were accepted.
    Cut,
    /// Nothing passes and nothing ends, as when packets get lost: existing connections stall, and new ones are accepted and not
    /// served. What stalled ends when the mode changes, and its data is lost.
    BlackHole,
    /// Connections that exist when it begins fall silent and do not end, as when a NAT or a load balancer has forgotten them.
    /// New ones work. Nothing heals the silent ones: they stay silent in later modes, until one of the modes above ends them.
    HalfOpen,
    /// Connections work, and single requests are tampered with.
    Http(Fault),
}

impl Mode {
    /// Every mode. Those that tamper with requests have their usual parameters.
    pub const ALL: &[Self] = &[
        Self::Pass,
        Self::Refuse,
        Self::Reset,
        Self::Cut,
        Self::BlackHole,
        Self::HalfOpen,
        Self::Http(Fault::new(Action::LATENCY)),
        Self::Http(Fault::new(Action::LostResponse)),
        Self::Http(Fault::new(Action::LateDelivery)),
        Self::Http(Fault::new(Action::Conflict)),
        Self::Http(Fault::new(Action::TooManyRequests)),
        Self::Http(Fault::new(Action::InternalError)),
        Self::Http(Fault::new(Action::Unavailable)),
        Self::Http(Fault::new(Action::GatewayTimeout)),
        Self::Http(Fault::new(Action::WatchClosed)),
        Self::Http(Fault::new(Action::WatchStalled)),
        Self::Http(Fault::new(Action::WatchGone)),
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::BlackHole => "black-hole",
            Self::HalfOpen => "half-open",
            Self::Http(fault) => fault.what.name(),
        }
    }

    /// What it does, in one line for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Pass => "everything passes",
            Self::Refuse => "nobody listens: connections are refused, and those that stand end",
            Self::Reset => "connections are reset, those that stand and new ones",
            Self::Cut => "connections are torn down, those that stand and new ones",
            Self::BlackHole => "nothing passes and nothing ends, as when packets get lost",
            Self::HalfOpen => "connections that stand fall silent, new ones work, as when a NAT has forgotten the old",
            Self::Http(fault) => fault.what.describe(),
        }
    }

    /// Whether it breaks existing connections.
    pub(super) fn breaks_connections(self) -> bool {
        !matches!(self, Self::Pass | Self::Http(_))
    }

    /// Whether a new connection works.
    pub(super) fn serves(self) -> bool {
        matches!(self, Self::Pass | Self::HalfOpen | Self::Http(_))
    }
}

impl From<Fault> for Mode {
    fn from(fault: Fault) -> Self {
        Self::Http(fault)
    }
}

/// Makes a mode with the usual parameters.
impl From<Action> for Mode {
    fn from(what: Action) -> Self {
        Fault::new(what).into()
    }
}

/// Shows its name. The limits of a fault are not part of it.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Finds a mode by its name, for command lines.
impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        Self::ALL.iter().copied().find(|mode| mode.name() == name).ok_or(UnknownMode)
    }
}

/// No mode has that name. Displays all names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMode;

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
        write!(f, "the modes of the proxy are {}", names.join(", "))
    }
}

impl std::error::Error for UnknownMode {}
