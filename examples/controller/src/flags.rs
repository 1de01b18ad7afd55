//! The flags of the controller, besides those that every application has.

use std::time::Duration;

use clap::Args;

/// How the controller works.
#[derive(Clone, Copy, Debug, Args)]
pub struct Flags {
    /// Keep the caches on standbys, so that a new leader need not list everything first
    #[arg(long, env, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value = "false", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub warm: bool,

    /// Do not start unless the API server refuses writes of an older leader
    ///
    /// The policy is in deploy/components/fencing. It is proven at start by a dry run.
    #[arg(long, env, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value = "false", default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub require_fencing: bool,

    /// So many objects are reconciled at once; 0 means no limit
    #[arg(long, env, value_name = "N", default_value = "4")]
    pub concurrency: u16,

    /// How long each reconcile pretends to work before it writes, for demonstrations
    #[arg(long, env, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub delay: Duration,
}
