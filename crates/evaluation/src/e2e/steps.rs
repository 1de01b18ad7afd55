//! The steps: what each does, and what it finds.

mod mirror;
mod node;
mod replicas;

use anyhow::Result;

use super::args::Args;
use super::fixture::Fixture;
use super::found::Found;
use super::step::Step;

/// Tries one step.
pub(super) async fn take(step: Step, fixture: &Fixture<'_>, args: &Args) -> Result<Found> {
    match step {
        Step::Ready => replicas::ready(fixture).await,
        Step::Leader => replicas::leader(fixture).await,
        Step::Delete => replicas::delete(fixture, args.trials.into()).await,
        Step::ForceDelete => replicas::force_delete(fixture).await,
        Step::Rollout => replicas::rollout(fixture).await,
        Step::Freeze => node::freeze(fixture, args.freezes.into()).await,
        Step::Cut => node::cut(fixture).await,
        Step::Drain => replicas::drain(fixture).await,
        Step::Scale => replicas::scale(fixture).await,
        Step::Mirror => mirror::mirror(fixture).await,
        // `run` does them before, after and around all others.
        Step::Deploy | Step::OneLeader | Step::Remove => Ok(Found::default()),
    }
}
