//! The command line, and what follows from it: the story and the timings.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use still_leading_testbed::{ServerKind, Timings, Variant};

use crate::faults::{Fault, UnknownFault};
use crate::keys::KEYS;

const EXAMPLE: &str = "\
Example: controller, a kube-rs Controller that copies labelled ConfigMaps, and only on the leader. The demo makes the \
ConfigMaps and changes them. What stops an old leader, side by side:
  cargo demo controller --story freeze: its gate does, so it writes nothing after the thaw
  cargo demo controller --story freeze --without-gate: only the end of its process does, and until then it may write beside the next leader
  cargo demo controller --story freeze --without-gate --fencing: the API server refuses what it writes until then";

const EXIT_CODES: &str = "\
Exit codes of a story, the same for every variant: 0 when somebody led after each fault and no replica acted after the \
end of its term; 1 when nobody led, or the demo could not run; 3 when somebody led after each fault, but a replica \
acted after the end of its term: then two may have acted at once. Some variants do that by design: the README of \
client-go says when. The example without its gate may; 4 when you quit before the outcome of every fault showed: then \
those are undecided, neither passed nor failed. Without a story: 0. Always: 2 for a bad command line, 130 after Ctrl-C, \
141 when nobody reads the output any more.";

/// Three replicas on this machine, one leader, and what happens when it is stopped, killed, frozen or cut off.
///
/// On a terminal it plays a short story until you press a key, and then does what your keys say. Without a terminal, or
/// with --story, it plays a story and ends.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo", max_term_width = 120)]
pub struct Args {
    /// Which variant or example to show
    #[arg(default_value = "native", value_parser = Variant::deployed)]
    pub variant: Variant,

    /// Play faults one after the other: quick (term, kill, freeze, cut), full, or faults by name, with commas between
    ///
    /// Without a terminal the default is quick.
    #[arg(long, value_name = "STORY", value_delimiter = ',')]
    pub story: Vec<Chapter>,

    /// How many replicas take part
    #[arg(long, value_name = "N", default_value = "3", value_parser = replicas())]
    pub replicas: usize,

    /// On a real kube-apiserver, as control-plane/build makes it or KUBEBUILDER_ASSETS names it
    #[arg(long)]
    pub real: bool,

    /// No story: watch for so long, then end
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "story")]
    pub stay: Option<Duration>,

    /// How long a standby waits after the last renewal it saw; whole seconds [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub lease_duration: Option<Duration>,

    /// How long a leader goes on without a renewal [default: 3s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub renew_deadline: Option<Duration>,

    /// Pause between two attempts to acquire or renew [default: 500ms; 1s where the variant takes no less]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub retry_period: Option<Duration>,

    /// How often the leader acts; with an example, how often it gets something to do
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub tick: Duration,

    /// Only controller: the API server refuses what an older leader writes (deploy/components/fencing)
    #[arg(long)]
    pub fencing: bool,

    /// Only controller: build it without its gate, so that a thawed leader may write until its process ends
    #[arg(long)]
    pub without_gate: bool,

    /// Write the timeline to this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// One word of `--story`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chapter {
    /// The faults of [`Fault::QUICK`].
    Quick,
    /// Every fault.
    Full,
    /// One fault.
    One(Fault),
}

/// What the demo does once the replicas run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Plays these faults and ends.
    Story(Vec<Fault>),
    /// Plays the quick story until a key is pressed, and then obeys the keys.
    Guided,
    /// Plays no story, obeys keys where there is a terminal, and ends after this time.
    Watch(Duration),
}

impl Args {
    /// Parses a command line.
    ///
    /// # Errors
    /// Help was asked for, or an argument cannot be used.
    pub fn try_from_words<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut command = Self::command().after_help(after_help());
        let args = Self::from_arg_matches(&command.try_get_matches_from_mut(words)?)?;
        // Before anything is built. A replica would refuse it too, but minutes later, and three times.
        if let Err(why) = args.timings().check(args.variant) {
            return Err(command.error(ErrorKind::ValueValidation, why));
        }
        if args.tick.is_zero() {
            return Err(command.error(ErrorKind::ValueValidation, "--tick must be longer than zero"));
        }
        for (flag, is_set) in [("--fencing", args.fencing), ("--without-gate", args.without_gate)] {
            if is_set && args.variant != Variant::Controller {
                let why = format!("{flag} is for the example {} only, not for {}", Variant::Controller, args.variant);
                return Err(command.error(ErrorKind::ArgumentConflict, why));
            }
        }
        Ok(args)
    }

    /// Returns what to do. That depends on whether somebody can press keys.
    pub fn plan(&self, on_terminal: bool) -> Plan {
        if !self.story.is_empty() {
            return Plan::Story(self.story.iter().flat_map(|chapter| chapter.faults()).collect());
        }
        match self.stay {
            Some(stay) => Plan::Watch(stay),
            None if on_terminal => Plan::Guided,
            None => Plan::Story(Fault::QUICK.to_vec()),
        }
    }

    /// The given durations. The others are short ones that the variant can keep.
    pub fn timings(&self) -> Timings {
        let default = Timings::short_for(self.variant);
        Timings {
            lease_duration: self.lease_duration.unwrap_or(default.lease_duration),
            renew_deadline: self.renew_deadline.unwrap_or(default.renew_deadline),
            retry_period: self.retry_period.unwrap_or(default.retry_period),
        }
    }

    /// The API server to run on.
    pub fn server(&self) -> ServerKind {
        if self.real { ServerKind::Real } else { ServerKind::Embedded }
    }
}

impl Chapter {
    fn faults(self) -> Vec<Fault> {
        match self {
            Self::Quick => Fault::QUICK.to_vec(),
            Self::Full => Fault::all(),
            Self::One(fault) => vec![fault],
        }
    }
}

impl FromStr for Chapter {
    type Err = UnknownFault;

    fn from_str(word: &str) -> Result<Self, UnknownFault> {
        Ok(match word {
            "quick" => Self::Quick,
            "full" => Self::Full,
            fault => Self::One(fault.parse()?),
        })
    }
}

/// With one replica nobody can take over, and many only make the log long.
fn replicas() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(2..=20)
}

/// The variants, the keys, the faults with what they do, and the exit codes.
fn after_help() -> String {
    let variants: Vec<&str> = Variant::ALL.iter().map(|variant| variant.name()).collect();
    let mut text = format!("Variants: {}.\n\n{EXAMPLE}\n\nOn a terminal, {KEYS}.\n\nFaults:\n", variants.join(", "));
    for fault in Fault::all() {
        // Writing to a String cannot fail.
        writeln!(text, "  {}: {}", fault.name(), fault.describe()).ok();
    }
    text + "\n" + EXIT_CODES
}

/// The error in one line, for people. clap explains over several lines.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    said.retain(|line| !line.is_empty() && !line.starts_with("For more information"));
    format!("{} (cargo demo --help explains)", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use still_leading_testbed::Mode;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_from_words(["cargo demo"].iter().chain(words))
    }

    fn refused(words: &[&str]) -> String {
        one_line(&parse(words).expect_err("this must be refused"))
    }

    #[test]
    fn by_default_it_is_native_with_three_replicas_on_the_embedded_server() {
        let args = parse(&[]).unwrap();
        assert_eq!((args.variant, args.replicas, args.server()), (Variant::Native, 3, ServerKind::Embedded));
        assert_eq!(args.timings(), Timings::short_for(Variant::Native));
    }

    #[test]
    fn the_quick_story_is_played_to_its_end_or_on_a_terminal_until_a_key_is_pressed() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.plan(false), Plan::Story(Fault::QUICK.to_vec()));
        assert_eq!(args.plan(true), Plan::Guided);
    }

    #[test]
    fn a_story_is_played_on_a_terminal_too_and_a_stay_needs_none() {
        let args = parse(&["--story", "kill,cut", "--story", "term"]).unwrap();
        let expected = Plan::Story(vec![Fault::Kill, Fault::Network(Mode::Cut), Fault::Term]);
        assert_eq!(args.plan(true), expected);
        let args = parse(&["--for", "3s"]).unwrap();
        assert_eq!(args.plan(false), Plan::Watch(Duration::from_secs(3)));
    }

    #[test]
    fn the_full_story_has_every_fault_and_the_quick_one_is_part_of_it() {
        let Plan::Story(full) = parse(&["--story", "full"]).unwrap().plan(false) else { panic!("no story") };
        assert_eq!(full, Fault::all());
        assert!(Fault::QUICK.iter().all(|fault| full.contains(fault)));
    }

    #[test]
    fn given_durations_replace_the_short_ones() {
        let timings = parse(&["kubert", "--lease-duration", "9s"]).unwrap().timings();
        let expected = Timings { lease_duration: Duration::from_secs(9), ..Timings::short_for(Variant::Kubert) };
        assert_eq!(timings, expected);
    }

    #[test]
    fn what_cannot_be_used_is_one_line_that_says_what_can() {
        for (words, part) in [
            (vec!["nativ"], "the variants are native, kube-leader-election"),
            (vec!["--story", "flood"], "quick, full, term, kill, freeze, cut"),
            (vec!["--replicas", "1"], "2..=20"),
            (vec!["--for", "3"], "time unit needed"),
            (vec!["--for", "3s", "--story", "quick"], "cannot be used with"),
            (vec!["--tick", "0s"], "--tick must be longer than zero"),
            (vec!["--lease-duration", "3s"], "--lease-duration 3s must be longer than --renew-deadline 3s"),
            (vec!["--retry-period", "2s"], "--renew-deadline 3s must be longer than 2 x --retry-period 2s"),
            (vec!["kube-coordinate", "--lease-duration", "4s"], "kube-coordinate needs a lease duration of 4.25s"),
            (vec!["--tick", "soon"], "invalid value 'soon' for '--tick <DURATION>'"),
            (vec!["--fencing"], "--fencing is for the example controller only, not for native"),
            (
                vec!["client-go", "--without-gate"],
                "--without-gate is for the example controller only, not for client-go",
            ),
            (vec!["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        ] {
            let message = refused(&words);
            assert!(message.starts_with("error: ") && message.contains(part), "{message:?} lacks {part:?}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn help_names_every_variant_key_and_fault_and_the_exit_codes() {
        let help = parse(&["--help"]).expect_err("help").to_string();
        for fault in Fault::all() {
            assert!(help.contains(&format!("  {}: ", fault.name())), "{} is missing in\n{help}", fault.name());
        }
        assert!(help.contains("Variants: native, ") && help.contains("q quits"), "{help}");
        assert!(help.contains("Example: controller, ") && help.contains("--without-gate --fencing: "), "{help}");
        assert!(help.contains("Exit codes") && help.contains("Usage: cargo demo"), "{help}");
    }
}
