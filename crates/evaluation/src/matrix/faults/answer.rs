//! What the API server answers, as the proxies pretend it: errors, lost answers, late writes, broken watches.

use std::time::Duration;

use futures::FutureExt;
use still_leading_testbed::Timings;
use still_leading_testbed::proxy::Action;

use crate::matrix::fault::{Fault, Step, open};
use crate::matrix::scene::Scene;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let leader = [Action::LateDelivery, Action::LostResponse].map(|action| Answer { action, to: To::Leader });
    let all = [
        Action::Conflict,
        Action::TooManyRequests,
        Action::InternalError,
        Action::Unavailable,
        Action::GatewayTimeout,
        Action::WatchClosed,
        Action::WatchStalled,
        Action::WatchGone,
    ];
    let all = all.map(|action| Answer { action, to: To::All });
    leader.into_iter().chain(all).map(|it| Box::new(it) as Box<dyn Fault>).collect()
}

#[derive(Clone, Copy, Debug)]
enum To {
    Leader,
    All,
}

/// Requests are tampered with for three lease durations.
#[derive(Debug)]
struct Answer {
    action: Action,
    to: To,
}

impl Fault for Answer {
    fn name(&self) -> String {
        self.action.name().to_owned()
    }

    fn what(&self) -> String {
        let whose = match self.to {
            To::Leader => "the leader",
            To::All => "every replica",
        };
        format!("For three lease durations, of {whose}: {}.", self.action.describe())
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let whom = match self.to {
                To::Leader => vec![scene.leader],
                To::All => (0..scene.fleet.len()).collect(),
            };
            scene.set_modes(&whom, self.action.into());
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        open(scene)
    }
}
