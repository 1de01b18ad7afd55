//! What a cell comes to, as a sign that is read without colour.

use crate::matrix::summary::Cell;

/// The worst that a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symbol {
    /// Every trial held everything.
    Held,
    /// Nothing could be seen in at least one trial, and nothing was broken in the others.
    Unknown,
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
        let counts = [
            (Self::Unsafe, cell.violated(|it| &it.safety)),
            (Self::Leaderless, cell.violated(|it| &it.liveness)),
            (Self::Rude, cell.violated(|it| &it.manners)),
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
            Self::Rude => "rude",
            Self::Leaderless => "leaderless",
            Self::Unsafe => "unsafe",
        }
    }
}

/// A cell as text: the sign, and in how many of its trials if not in all.
#[must_use]
pub(super) fn text(cell: &Cell) -> String {
    let (symbol, count) = Symbol::of(cell);
    let sign = symbol.sign();
    if count == cell.n() { sign.to_owned() } else { format!("{sign}{count}/{}", cell.n()) }
}
