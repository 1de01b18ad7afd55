//! What happens to a subject: one small type for each kind of fault, with what it needs, how it comes, and how it goes.

mod answer;
mod clock;
mod crowd;
mod lease;
mod network;
mod output;
mod process;
mod rest;
mod rights;
mod server;
mod work;

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use still_leading_testbed::{ApiServer, FleetOptions, Timings};

use super::scene::Scene;
use super::subject::Subject;

/// What a step of a fault returns.
pub type Step<'a> = LocalBoxFuture<'a, Result<()>>;

/// A fault: how it comes and goes.
///
/// All times are shares of the subject's own durations, so that every subject meets the same fault at every speed.
pub trait Fault: fmt::Debug {
    /// One word, as on a command line.
    fn name(&self) -> String;

    /// What happens, in one sentence for a person.
    fn what(&self) -> String;

    /// What it takes to try it.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Changes what the fleet is started with.
    ///
    /// # Errors
    /// Something that it needs cannot be read.
    fn prepare(&self, subject: Subject, options: FleetOptions) -> Result<FleetOptions> {
        let _ = subject;
        Ok(options)
    }

    /// How many trials of one fleet of three it is as heavy as.
    fn weight(&self) -> usize {
        1
    }

    /// Between the moment when it comes and the moment when it goes.
    fn lasts(&self, timings: Timings) -> Duration {
        let _ = timings;
        Duration::ZERO
    }

    /// Does it to one fleet.
    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        let _ = scene;
        nothing()
    }

    /// Undoes it, where there is anything to undo.
    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        let _ = scene;
        nothing()
    }

    /// Does it to the API server, and with it to every fleet there.
    fn strike<'a>(&'a self, server: &'a ApiServer) -> Step<'a> {
        let _ = server;
        nothing()
    }

    /// Undoes [`Fault::strike`].
    fn mend<'a>(&'a self, server: &'a ApiServer) -> Step<'a> {
        let _ = server;
        nothing()
    }

    /// The assumption of every elector by Leases that it breaks. Two leaders under it are no fault of the elector.
    fn breaks(&self) -> Option<&'static str> {
        None
    }

    /// How long after it has gone somebody has to lead and act: by default three lease durations and two seconds. That is
    /// enough for an elector that waits for the expiry, looks again only a lease duration later, and then waits until its
    /// predecessor's term must be over. Whoever is slow is told by its gap; this is about those who do not come.
    fn bound(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3 + Duration::from_secs(2)
    }
}

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

fn nothing<'a>() -> Step<'a> {
    async { Ok(()) }.boxed_local()
}

/// Every fault, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Box<dyn Fault>> {
    let groups = [
        process::all(),
        network::all(),
        server::all(),
        answer::all(),
        lease::all(),
        clock::all(),
        crowd::all(),
        rights::all(),
        output::all(),
        work::all(),
        rest::all(),
    ];
    groups.into_iter().flatten().collect()
}

/// The fault of that name.
///
/// # Errors
/// There is none; displays the names there are.
pub fn find(name: &str) -> Result<Box<dyn Fault>, String> {
    let names: Vec<String> = all().iter().map(|fault| fault.name()).collect();
    let found = all().into_iter().find(|fault| fault.name() == name);
    found.ok_or_else(|| format!("there is no fault {name}; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_one_sentence() {
        let names: BTreeSet<String> = all().iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), all().len());
        for fault in all() {
            let (name, what) = (fault.name(), fault.what());
            let is_word =
                |it: &str| it.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || "-.+".contains(it));
            assert!(is_word(&name), "{name}");
            assert!(
                what.ends_with('.')
                    && !what.contains('\n')
                    && (what.starts_with(char::is_uppercase) || what.starts_with("etcd ")),
                "{what}"
            );
            assert_eq!(find(&name).unwrap().name(), name);
        }
        assert!(find("sigtrem").unwrap_err().contains("sigterm"));
    }

    #[test]
    fn a_fault_of_the_api_server_has_one_of_its_own() {
        for fault in all().iter().filter(|fault| fault.needs().own_server) {
            assert_eq!(fault.needs().start, Start::default(), "{fault:?}");
        }
    }
}
