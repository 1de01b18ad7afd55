//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser};

use still_leading_simulation::control::Control;

const AFTER_HELP: &str = "\
Each seed is one history of 300 virtual seconds or more. The last line is `N seeds, N overlaps, N stuck, S s`: in how many \
seeds two replicas could act at once or another rule of safety was broken, and in how many nobody led in the end.

Exit codes: 0 when both numbers are 0, 1 when one is not, 2 for a bad command line.";

/// The election's decisions under random histories.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(name = "cargo simulate", bin_name = "cargo simulate", max_term_width = 120, after_help = AFTER_HELP)]
pub struct Args {
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value = "10000", conflicts_with = "seed")]
    pub seeds: u64,

    /// The first of them
    #[arg(long, value_name = "SEED", default_value = "0", conflicts_with = "seed")]
    pub from: u64,

    /// Replay one seed: its plan, the trace of all that happens, and what came of it
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,

    /// Draw the timeline of that seed, or of the first one that fails, to this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Break one rule on purpose, to see that it is found
    #[arg(long, value_name = "NAME")]
    pub control: Option<Control>,
}

impl Args {
    /// Reads a command line.
    ///
    /// # Errors
    /// Help that was asked for, or something that cannot be used.
    pub fn try_from_words<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        Self::from_arg_matches(&Self::command().try_get_matches_from_mut(words)?)
    }
}

/// clap explains over several lines; a person in a hurry wants one.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    said.retain(|line| !line.is_empty() && !line.starts_with("For more information"));
    format!("{} (cargo simulate --help explains)", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_from_words(["cargo simulate"].iter().chain(words))
    }

    #[test]
    fn by_default_ten_thousand_seeds_are_run() {
        let args = parse(&[]).unwrap();
        assert_eq!((args.seeds, args.from, args.seed, args.control), (10_000, 0, None, None));
    }

    #[test]
    fn what_cannot_be_used_is_one_line_that_says_what_can() {
        for (words, part) in [
            (vec!["--control", "none"], "the controls are no-compare-and-swap, from-the-answer"),
            (vec!["--seed", "x"], "invalid value 'x' for '--seed <SEED>'"),
            (vec!["--seed", "1", "--seeds", "2"], "cannot be used with"),
            (vec!["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        ] {
            let message = one_line(&parse(&words).expect_err("this must be refused"));
            assert!(message.starts_with("error: ") && message.contains(part), "{message:?} lacks {part:?}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
