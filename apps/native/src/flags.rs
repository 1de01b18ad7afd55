//! The flags of this application, besides those that every variant has.

use clap::Args;
use still_leading_scaffold::work;

/// Those of the demo's work, and those of the library that no other variant knows.
#[derive(Clone, Debug, Args)]
// The demo's are called the same.
#[group(skip)]
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

#[cfg(test)]
mod tests {
    use still_leading_scaffold as scaffold;

    use super::*;

    #[test]
    fn they_are_parsed_beside_those_of_every_variant() {
        let words = ["native", "--generation", "6dd86f648c", "--tick", "1s", "--retry-period", "1s"];
        let (args, flags) = scaffold::Args::try_parse_for::<Flags, _, _>("native", words).unwrap();
        assert_eq!(flags.generation.as_deref(), Some("6dd86f648c"));
        assert_eq!((flags.work.tick.as_secs(), args.retry_period.as_secs()), (1, 1));
    }
}
