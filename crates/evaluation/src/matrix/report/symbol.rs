//! What a cell comes to, as a sign that is read without colour.

use crate::matrix::faults;
use crate::matrix::summary::Cell;

/// The worst that a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symbol {
    /// Every trial held everything.
    Held,
    /// Nothing could be seen in at least one trial, and nothing was broken in the others.
    Unknown,
    /// Two led, or nobody did, because the fault breaks what every election by a Lease assumes; two for no longer than a lease
    /// duration, within which any election can notice.
    Excused,
    /// A replica panicked or asked too often.
    Rude,
    /// Nobody led again in time.
    Leaderless,
    /// Two led at once, or somebody acted after its term.
    Unsafe,
}

impl Symbol {
    /// The worst of a cell, and in how many trials.
    #[must_use]
    pub fn of(cell: &Cell) -> (Self, usize) {
        let (two, none) = (cell.violated(|it| &it.safety), cell.violated(|it| &it.liveness));
        let (excuses_two, excuses_none) = excuses(cell);
        let unless = |excused: bool, count: usize| if excused { 0 } else { count };
        let counts = [
            (Self::Unsafe, unless(excuses_two, two)),
            (Self::Leaderless, unless(excuses_none, none)),
            (Self::Rude, cell.violated(|it| &it.manners)),
            (Self::Excused, if excuses_two { two } else { 0 }.max(if excuses_none { none } else { 0 })),
            (Self::Unknown, cell.unknown().0),
        ];
        counts.into_iter().find(|(_, count)| *count > 0).unwrap_or((Self::Held, cell.n()))
    }

    /// One character.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Held => "✓",
            Self::Unknown => "?",
            Self::Excused => "○",
            Self::Rude => "!",
            Self::Leaderless => "∅",
            Self::Unsafe => "✗",
        }
    }

    /// The class of a style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::Excused => "excused",
            Self::Rude => "rude",
            Self::Leaderless => "leaderless",
            Self::Unsafe => "unsafe",
        }
    }
}

/// Whether two leaders, and whether no leader, are no fault of the election there.
fn excuses(cell: &Cell) -> (bool, bool) {
    let Ok(fault) = faults::find(&cell.fault) else { return (false, false) };
    let seconds: f64 = cell.timings.split('/').next().and_then(|lease| lease.parse().ok()).unwrap_or_default();
    let longest = cell.spread(|it| Some(it.overlap_ms)).map_or(0.0, |it| it.1);
    (fault.breaks().is_some() && longest <= seconds * 1e3, fault.allows_no_leader())
}

/// A cell as text: the sign, and in how many of its trials if not in all.
#[must_use]
pub(super) fn text(cell: &Cell) -> String {
    let (symbol, count) = Symbol::of(cell);
    let sign = symbol.sign();
    if count == cell.n() { sign.to_owned() } else { format!("{sign}{count}/{}", cell.n()) }
}
