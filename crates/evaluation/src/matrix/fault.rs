//! A fault: what it needs, how it comes, and how it goes. [`faults`](super::faults) has them all.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use still_leading_testbed::{ApiServer, FleetOptions, Timings};

use super::needs::Needs;
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

    /// Whether an elector that lets nobody lead does what the Lease says.
    fn allows_no_leader(&self) -> bool {
        false
    }

    /// How long after it has gone somebody has to lead and act: by default three lease durations and two seconds. That is
    /// enough for an elector that waits for the expiry, looks again only a lease duration later, and then waits until its
    /// predecessor's term must be over. Whoever is slow is told by its gap; this is about those who do not come.
    fn bound(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3 + Duration::from_secs(2)
    }
}

fn nothing<'a>() -> Step<'a> {
    async { Ok(()) }.boxed_local()
}

/// Opens every way to the API server again: how a fault of the network goes.
pub(super) fn open<'a>(scene: &'a mut Scene<'_>) -> Step<'a> {
    async move {
        scene.open_all();
        Ok(())
    }
    .boxed_local()
}
