//! Work that takes longer than it should: it blocks its thread, and no cancellation reaches it.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use still_leading_testbed::{FleetOptions, Mode, Timings};

use crate::matrix::fault::{Fault, Step, open};
use crate::matrix::scene::Scene;
use crate::matrix::subject::Subject;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Blocking { asked: false }), Box::new(Blocking { asked: true })]
}

/// Each act blocks its thread for one and a half lease durations; then the leader is cut off, or asked to end.
#[derive(Debug)]
struct Blocking {
    asked: bool,
}

impl Fault for Blocking {
    fn name(&self) -> String {
        if self.asked { "work-ignores-cancellation" } else { "work-blocks" }.to_owned()
    }

    fn what(&self) -> String {
        let then =
            if self.asked { "the leader gets SIGTERM" } else { "the leader is cut off for three lease durations" };
        format!("Each act blocks its thread for one and a half lease durations, and {then}.")
    }

    fn prepare(&self, _: Subject, mut options: FleetOptions) -> Result<FleetOptions> {
        let blocks = options.timings.lease_duration.mul_f64(1.5);
        options.args.extend(["--act-duration".to_owned(), format!("{}ms", blocks.as_millis())]);
        Ok(options)
    }

    fn lasts(&self, timings: Timings) -> Duration {
        if self.asked { Duration::ZERO } else { timings.lease_duration * 3 }
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            if self.asked {
                scene.asks_to_end(scene.leader);
                return scene.fleet.replica(scene.leader).terminate().map(drop);
            }
            scene.set_modes(&[scene.leader], Mode::BlackHole);
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        open(scene)
    }

    /// The act has to end first, and then the successor's first.
    fn bound(&self, timings: Timings) -> Duration {
        timings.lease_duration * 5 + Duration::from_secs(2)
    }
}
