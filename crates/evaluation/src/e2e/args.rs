//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use still_leading_testbed::Variant;

use super::step::Step;

const EXIT_CODES: &str = "\
Exit codes: 0 when everything ended as expected, 1 when something else broke, 2 when it could not begin, 130 after \
Ctrl-C. However it ends, nodes are thawed, joined again and uncordoned. Figures are in seconds of the wall clock of the \
pods; those of different nodes can be compared because kind's nodes are containers of one machine.";

/// Tries the deployed thing on a cluster.
///
/// Deploys each variant with skaffold, deletes the leader's pod, rolls it out anew, freezes, cuts off and drains its node,
/// scales it, and takes it away again.
#[derive(Debug, Parser)]
#[command(name = "just e2e", bin_name = "just e2e", max_term_width = 120, after_help = EXIT_CODES)]
pub struct Args {
    /// Something else to try.
    #[command(subcommand)]
    pub command: Option<Other>,

    /// Variants to try, one after the other, or controller for that example [default: all variants]
    #[arg(value_parser = Variant::deployed)]
    pub variants: Vec<Variant>,

    /// Context of the kubeconfig [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// Use that context even if it is no kind cluster; freeze and cut are then not tried
    #[arg(long, global = true)]
    pub force_context: bool,

    /// How often to delete the leader's pod, or to try each row of single
    #[arg(long, global = true, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    pub trials: u8,

    /// How often to freeze the leader's node
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub freezes: u8,

    /// Try only these steps, with commas between: ready, leader, delete, force-delete, rollout, freeze, cut, drain, scale,
    /// mirror
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub only: Vec<Step>,

    /// Try what is deployed already, and leave it there
    #[arg(long, global = true)]
    pub no_deploy: bool,

    /// Leave it there
    #[arg(long, global = true)]
    pub keep: bool,

    /// Only look whether three are Ready and one leads: nothing is deployed, broken or deleted
    #[arg(long, conflicts_with_all = ["only", "no_deploy", "keep", "trials", "freezes", "output"])]
    pub verify: bool,

    /// Where to write what came of it [default: target/e2e.json of this repository]
    #[arg(long, global = true, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Show each command that is run
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// What can be tried instead of variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Other {
    /// One replica of native under each setting for one, with the election and without (twenty minutes with three trials)
    ///
    /// Rolls it out anew, deletes it, drains its node and cuts it off, and counts for how long two lead at once.
    Single,
}

impl Args {
    /// What to try.
    #[must_use]
    pub fn variants(&self) -> Vec<Variant> {
        if self.variants.is_empty() { Variant::ALL.to_vec() } else { self.variants.clone() }
    }

    /// The steps to try, in their order.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let chosen = |step: &Step| match self.verify {
            true => [Step::Ready, Step::Leader].contains(step),
            false => self.only.is_empty() || self.only.contains(step),
        };
        Step::choice().iter().copied().filter(chosen).collect()
    }

    /// Whether skaffold is to deploy it.
    #[must_use]
    pub fn deploys(&self) -> bool {
        !self.verify && !self.no_deploy
    }

    /// Whether skaffold is to delete it in the end.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.deploys() && !self.keep
    }
}

/// clap explains over several lines; a person in a hurry wants one.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    said.retain(|line| !line.is_empty() && !line.starts_with("For more information"));
    format!("{} (just e2e --help explains)", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["just e2e"].iter().chain(words))
    }

    #[test]
    fn by_default_every_step_of_every_variant_is_tried_and_nothing_is_left() {
        let args = parse(&[]).unwrap();
        assert_eq!((args.variants(), args.steps()), (Variant::ALL.to_vec(), Step::choice().to_vec()));
        assert!(args.deploys() && args.removes());
        assert_eq!((args.trials, args.freezes), (5, 1));
    }

    #[test]
    fn single_is_no_variant_and_takes_the_flags_that_it_needs() {
        let args = parse(&["single", "--trials", "3", "--output", "x.json", "--no-deploy"]).unwrap();
        assert_eq!((args.command, args.trials, args.deploys()), (Some(Other::Single), 3, false));
        assert_eq!(parse(&["native"]).unwrap().command, None);
    }

    #[test]
    fn steps_keep_their_order_however_they_are_asked_for() {
        let args = parse(&["native", "--only", "cut,delete", "--keep"]).unwrap();
        assert_eq!((args.variants(), args.steps()), (vec![Variant::Native], vec![Step::Delete, Step::Cut]));
        assert!(args.deploys() && !args.removes());
    }

    #[test]
    fn what_was_not_deployed_here_is_not_deleted_here() {
        for words in [["--no-deploy"], ["--verify"]] {
            let args = parse(&words).unwrap();
            assert!(!args.deploys() && !args.removes());
        }
        assert_eq!(parse(&["--verify"]).unwrap().steps(), [Step::Ready, Step::Leader]);
    }

    #[test]
    fn what_cannot_be_used_is_one_line_that_says_what_can() {
        for (words, part) in [
            (vec!["nativ"], "the variants are native, kube-leader-election"),
            (vec!["--only", "frezze"], "the steps are ready, leader, delete"),
            (vec!["--trials", "0"], "1..=255"),
            (vec!["--verify", "--keep"], "cannot be used with"),
            (vec!["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        ] {
            let message = one_line(&parse(&words).expect_err("this must be refused"));
            assert!(message.starts_with("error: ") && message.contains(part), "{message:?} lacks {part:?}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn help_names_every_step_and_the_exit_codes() {
        let help = parse(&["--help"]).expect_err("help").to_string();
        // However wide the terminal is.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let names: Vec<&str> = Step::choice().iter().map(|step| step.name()).collect();
        assert!(help.contains(&names.join(", ")), "{help}");
        assert!(help.contains("Exit codes: 0 ") && help.contains("Usage: just e2e"), "{help}");
    }
}
