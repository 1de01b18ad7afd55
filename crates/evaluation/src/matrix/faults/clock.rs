//! A wall clock that is set while its replica runs: by NTP after a long time, by a person, by a machine that wakes up.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::FutureExt;
use still_leading_testbed::Timings;

use crate::matrix::fault::{Fault, Step};
use crate::matrix::needs::Needs;
use crate::matrix::scene::Scene;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let offsets = [1, -1, 20, -20, 3_600, -3_600];
    let clocks = [Whose::Leader, Whose::Standby].into_iter().flat_map(|whose| offsets.map(|by| Clock { whose, by }));
    clocks.map(|it| Box::new(it) as Box<dyn Fault>).collect()
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    Leader,
    Standby,
}

#[derive(Debug)]
struct Clock {
    whose: Whose,
    /// Seconds; above zero is ahead.
    by: i64,
}

impl Clock {
    /// In the order of their start: the first one leads.
    fn index(&self) -> usize {
        match self.whose {
            Whose::Leader => 0,
            Whose::Standby => 1,
        }
    }
}

impl Fault for Clock {
    fn name(&self) -> String {
        let whose = match self.whose {
            Whose::Leader => "leader",
            Whose::Standby => "standby",
        };
        match self.by {
            3_600 => format!("clock-{whose}+1h"),
            -3_600 => format!("clock-{whose}-1h"),
            by => format!("clock-{whose}{by:+}s"),
        }
    }

    fn what(&self) -> String {
        let whose = match self.whose {
            Whose::Leader => "the leader",
            Whose::Standby => "one standby",
        };
        let (by, way) = (self.by.unsigned_abs(), if self.by > 0 { "forward" } else { "back" });
        format!("The wall clock of {whose} is set {way} by {by} s, and set right three lease durations later.")
    }

    fn needs(&self) -> Needs {
        Needs { clock: Some(self.index()), ..Needs::default() }
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            // Another one may have come to lead meanwhile.
            let (index, leads) = (self.index(), matches!(self.whose, Whose::Leader));
            ensure!((scene.leader == index) == leads, "by then {} led", scene.fleet.replica(scene.leader).name());
            let pid = scene.fleet.replica(index).pid();
            let loaded =
                fs::read_to_string(format!("/proc/{pid}/maps")).context("reading what a process has loaded")?;
            ensure!(loaded.contains("libfaketime"), "the clock of this program cannot be set: it loads no library");
            scene.clock.as_ref().context("there is no clock to be set")?.set(self.by)
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move { scene.clock.as_ref().context("there is no clock to be set")?.set(0) }.boxed_local()
    }
}
