//! What can happen to the leader. Each mode of the proxy is a fault of the same name, so this list grows with the testbed's.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use serde_json::{Map, Value};
use still_leading_testbed::history::now;
use still_leading_testbed::{Fleet, Mode, Timings};

use crate::print::seconds;

/// One fault. Its victim is always the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT to heal it.
    Freeze,
    /// A fault between the replica and the API server. [`Mode::Pass`] heals it.
    Network(Mode),
}

impl Fault {
    /// The four faults that show most.
    pub const QUICK: [Self; 4] = [Self::Term, Self::Kill, Self::Freeze, Self::Network(Mode::Cut)];

    /// Every fault, the quick ones first.
    pub fn all() -> Vec<Self> {
        let network = Mode::ALL.iter().filter(|mode| **mode != Mode::Pass).map(|mode| Self::Network(*mode));
        Self::QUICK.into_iter().chain(network.filter(|fault| !Self::QUICK.contains(fault))).collect()
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "term",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Network(mode) => mode.name(),
        }
    }

    /// What it does, in one line for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM, as in a rolling update: it may finish its work and release its lease",
            Self::Kill => "SIGKILL, as when memory runs out: it can release nothing",
            Self::Freeze => {
                "SIGSTOP until another one leads, then SIGCONT, as when a machine hangs: it notices nothing"
            }
            Self::Network(mode) => mode.describe(),
        }
    }

    /// What is about to happen to `victim`, and what to expect then.
    pub fn announce(self, victim: &str, timings: &Timings) -> String {
        let (lease, deadline) = (seconds(timings.lease_duration), seconds(timings.renew_deadline));
        match self {
            Self::Term => format!("SIGTERM to {victim}: it stops its work, releases its lease if it can, and exits"),
            Self::Kill => format!("SIGKILL to {victim}: it releases nothing, so its lease of {lease} has to run out"),
            Self::Freeze => format!("SIGSTOP to {victim}: it notices nothing while its lease of {lease} runs out"),
            Self::Network(mode) => {
                let what = format!("between {victim} and the API server, {}", mode.describe());
                match mode {
                    Mode::Refuse | Mode::Reset | Mode::Cut | Mode::BlackHole => {
                        format!(
                            "{what}; it cannot renew, so it has to stop within {deadline}, before its lease runs out"
                        )
                    }
                    _ => what,
                }
            }
        }
    }

    /// The state of its victim until it is healed, and what healing does. `None` if it cannot be healed.
    pub fn lasting(self) -> Option<(String, String)> {
        let (state, undo) = match self {
            Self::Term | Self::Kill => return None,
            Self::Freeze => ("is frozen", "thaws"),
            Self::Network(Mode::Cut) => ("is cut off", "reconnects"),
            Self::Network(mode) => return Some((format!("is under {mode}"), "heals".to_owned())),
        };
        Some((state.to_owned(), undo.to_owned()))
    }

    /// Whether a leader may survive it. Then there may be no failover.
    pub fn can_be_survived(self) -> bool {
        matches!(self, Self::Network(_))
    }

    /// Whether it ends its victim's process, which then needs a replacement.
    pub fn ends_the_process(self) -> bool {
        matches!(self, Self::Term | Self::Kill)
    }

    /// Injects the fault into a replica, and returns the time in monotonic nanoseconds.
    ///
    /// # Errors
    /// The replica has ended already.
    pub fn inject(self, fleet: &Fleet, victim: usize) -> Result<u64> {
        let replica = fleet.replica(victim);
        match self {
            Self::Term => replica.terminate(),
            Self::Kill => replica.kill(),
            Self::Freeze => replica.stop(),
            Self::Network(mode) => Ok(set_mode(fleet, victim, mode)),
        }
    }

    /// Heals the fault and returns the time. `None` if it cannot be healed, or the process has ended.
    pub fn heal(self, fleet: &Fleet, victim: usize) -> Option<u64> {
        match self {
            Self::Term | Self::Kill => None,
            // Fails only if the process has ended, and then there is nothing to resume.
            Self::Freeze => fleet.replica(victim).cont().ok(),
            Self::Network(_) => Some(set_mode(fleet, victim, Mode::Pass)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::all().into_iter().find(|fault| fault.name() == name).ok_or(UnknownFault)
    }
}

/// No fault has that name. Displays the names that a story takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFault;

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Fault::all().into_iter().map(Fault::name).collect();
        write!(f, "a story is made of quick, full, {}", names.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

/// Sets the mode and records it, as signals are recorded. The time is taken before, so no effect of the fault is earlier.
fn set_mode(fleet: &Fleet, victim: usize, mode: Mode) -> u64 {
    let at = now();
    fleet.proxy(victim).set_mode(mode);
    let to = Map::from_iter([("to".to_owned(), Value::from(fleet.replica(victim).name()))]);
    fleet.history().record(mode.name(), to);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_comes_once() {
        for (place, fault) in Fault::all().into_iter().enumerate() {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert_eq!(Fault::all().iter().position(|other| other.name() == fault.name()), Some(place));
        }
        assert_eq!("pass".parse::<Fault>(), Err(UnknownFault));
    }

    #[test]
    fn everything_that_a_proxy_can_do_is_a_fault() {
        assert_eq!(Fault::all().len(), 3 + Mode::ALL.len() - 1);
    }

    #[test]
    fn an_announcement_names_the_victim_and_how_long_things_take() {
        let said = Fault::Network(Mode::Cut).announce("native-1", &Timings::SHORT);
        assert!(said.starts_with("between native-1 and the API server, ") && said.contains("within 3 s"), "{said}");
        let said = Fault::Kill.announce("native-1", &Timings::SHORT);
        assert!(said.contains("SIGKILL to native-1") && said.contains("5 s"), "{said}");
    }
}
