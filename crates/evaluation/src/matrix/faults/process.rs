//! What happens to the leader's process: signals.

use std::time::Duration;

use futures::FutureExt;
use still_leading_testbed::Timings;

use crate::matrix::fault::{Fault, Step};
use crate::matrix::scene::Scene;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(Term { again: false }),
        Box::new(Term { again: true }),
        Box::new(Kill),
        Box::new(Freeze { leases: 0.5 }),
        Box::new(Freeze { leases: 0.9 }),
        Box::new(Freeze { leases: 1.1 }),
        Box::new(Freeze { leases: 2.0 }),
    ]
}

/// The leader is asked to end, once or twice.
#[derive(Debug)]
struct Term {
    again: bool,
}

impl Fault for Term {
    fn name(&self) -> String {
        if self.again { "sigterm-twice" } else { "sigterm" }.to_owned()
    }

    fn what(&self) -> String {
        let again = if self.again { ", and 50 ms later once more" } else { "" };
        format!("The leader gets SIGTERM{again}.")
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            scene.asks_to_end(scene.leader);
            scene.fleet.replica(scene.leader).terminate()?;
            if self.again {
                tokio::time::sleep(Duration::from_millis(50)).await;
                // It may have ended by then, as it was asked to.
                scene.fleet.replica(scene.leader).terminate().ok();
            }
            Ok(())
        }
        .boxed_local()
    }
}

/// The leader is killed.
#[derive(Debug)]
struct Kill;

impl Fault for Kill {
    fn name(&self) -> String {
        "sigkill".to_owned()
    }

    fn what(&self) -> String {
        "The leader gets SIGKILL.".to_owned()
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            scene.asks_to_end(scene.leader);
            scene.fleet.replica(scene.leader).kill().map(drop)
        }
        .boxed_local()
    }
}

/// The leader's process stands still for a while, as on a node that swaps or a machine that is moved.
#[derive(Debug)]
struct Freeze {
    leases: f64,
}

impl Fault for Freeze {
    fn name(&self) -> String {
        format!("sigstop-{}", self.leases)
    }

    fn what(&self) -> String {
        format!("The leader's process stands still (SIGSTOP) for {} lease durations.", self.leases)
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration.mul_f64(self.leases)
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move { scene.fleet.replica(scene.leader).stop().map(drop) }.boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move { scene.fleet.replica(scene.leader).cont().map(drop) }.boxed_local()
    }
}
