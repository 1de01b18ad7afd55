//! What happens to the leader's standard output.

use std::time::Duration;

use futures::FutureExt;
use still_leading_testbed::Timings;

use crate::matrix::fault::{Fault, Step};
use crate::matrix::scene::Scene;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Full)]
}

/// Nobody reads what the leader logs, as when a log driver hangs.
#[derive(Debug)]
struct Full;

impl Fault for Full {
    fn name(&self) -> String {
        "stdout-full".to_owned()
    }

    fn what(&self) -> String {
        "Nobody reads the leader's standard output for three lease durations, so that its pipe is full.".to_owned()
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            scene.fleet.replica(scene.leader).hold_output();
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            scene.fleet.replica(scene.leader).read_output();
            Ok(())
        }
        .boxed_local()
    }
}
