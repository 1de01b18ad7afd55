//! What happens between a replica and the API server: the way is cut, or slow.

use std::time::Duration;

use futures::FutureExt;
use still_leading_testbed::proxy::Action;
use still_leading_testbed::{Mode, Timings};

use crate::matrix::fault::{Fault, Step, open};
use crate::matrix::scene::Scene;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let leader =
        [Mode::Refuse, Mode::Reset, Mode::BlackHole, Mode::HalfOpen].map(|mode| Cut { mode, who: Who::Leader });
    let cuts = leader.into_iter().chain([Cut { mode: Mode::BlackHole, who: Who::Standby }]);
    let all = [1, 6].map(|deadlines| AllCut { deadlines });
    let latencies = [0.1, 0.4, 1.2].map(|leases| Latency { leases });
    let cuts = cuts.map(|it| Box::new(it) as Box<dyn Fault>);
    let all = all.into_iter().map(|it| Box::new(it) as Box<dyn Fault>);
    cuts.chain(all).chain(latencies.into_iter().map(|it| Box::new(it) as Box<dyn Fault>)).collect()
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Leader,
    Standby,
}

/// One replica is cut off for two lease durations.
#[derive(Debug)]
struct Cut {
    mode: Mode,
    who: Who,
}

impl Fault for Cut {
    fn name(&self) -> String {
        let who = match self.who {
            Who::Leader => "leader",
            Who::Standby => "standby",
        };
        format!("{who}-{}", self.mode)
    }

    fn what(&self) -> String {
        let who = match self.who {
            Who::Leader => "The leader",
            Who::Standby => "One standby",
        };
        format!("{who} loses its way to the API server for two lease durations: {}.", self.mode.describe())
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 2
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let who = match self.who {
                Who::Leader => vec![scene.leader],
                Who::Standby => scene.standbys().into_iter().take(1).collect(),
            };
            scene.set_modes(&who, self.mode);
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        open(scene)
    }
}

/// Every replica is cut off.
#[derive(Debug)]
struct AllCut {
    deadlines: u32,
}

impl Fault for AllCut {
    fn name(&self) -> String {
        format!("all-cut-{}", self.deadlines)
    }

    fn what(&self) -> String {
        match self.deadlines {
            1 => "Every replica is refused by the API server's port for one renew deadline.".to_owned(),
            deadlines => format!("Every replica is refused by the API server's port for {deadlines} renew deadlines."),
        }
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.renew_deadline * self.deadlines
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let all: Vec<usize> = (0..scene.fleet.len()).collect();
            scene.set_modes(&all, Mode::Refuse);
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        open(scene)
    }
}

/// Every answer comes late, and later by up to a quarter.
#[derive(Debug)]
struct Latency {
    leases: f64,
}

impl Fault for Latency {
    fn name(&self) -> String {
        format!("latency-{}", self.leases)
    }

    fn what(&self) -> String {
        let leases = self.leases;
        format!(
            "For four lease durations every answer comes late, by {leases} lease durations and up to a quarter more."
        )
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 4
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let fixed = scene.timings.lease_duration.mul_f64(self.leases);
            let late = Action::Latency { fixed, jitter: fixed / 4 };
            let all: Vec<usize> = (0..scene.fleet.len()).collect();
            scene.set_modes(&all, late.into());
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        open(scene)
    }
}
