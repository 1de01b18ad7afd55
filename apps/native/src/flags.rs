//! The flags of this application, besides those that every variant has.

use clap::Args;
use still_leading_scaffold::work;

/// Those of the demo's work, and those of the library that no other variant knows.
#[derive(Clone, Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    pub work: work::Flags,

    /// What this replica is a version of, such as the hash of its pod template
    ///
    /// After a release, standbys of the generation that has released let those of another one try first, so that a rollout
    /// changes the leader once. The component one-change of the deployment kit sets it. Empty: nobody is preferred.
    #[arg(long, env, value_name = "GENERATION")]
    pub generation: Option<String>,
}
