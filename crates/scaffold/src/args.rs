//! The flags, the same in every variant, each with an environment name. Relations between durations are checked here,
//! before the first request: an election with impossible timings must not start at all.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use clap_complete::Shell;
use still_leading::Identity;

/// How many attempts must fit into the renew deadline, also if the first one hangs. A leader acts for at most the renew
/// deadline after its last renewal. client-go asks for 1.2.
const ATTEMPTS: u32 = 2;

/// One line per paragraph: clap breaks them at the width of the terminal.
const AFTER_HELP: &str = "\
Durations are written like 15s, 500ms or 1m30s. The relations lease duration > renew deadline > 2 x retry period are \
checked at start. The lease duration is how long nobody leads after a crash; what it exceeds the renew deadline by is \
what work that is slow to stop, or a clock that is slow, may cost before two replicas could act at once.

Exit codes: 0 after a shutdown that was asked for, 1 when the election failed, or the work did, or did not stop in time \
(the last line says why), 2 for a flag that cannot be used, 130 or 143 after a second SIGINT or SIGTERM.

docs/troubleshooting.md of still-leading says what the lines of the log mean, and what to do.";

/// The commit, if the build names it, as the Dockerfile does with `--build-arg COMMIT=…`. A build needs no Git, and a copied
/// folder has none.
const COMMIT: Option<&str> = option_env!("STILL_LEADING_COMMIT");

/// Three replicas, one leader: only the leader works, the others wait for their turn.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = AFTER_HELP, max_term_width = 120)]
pub struct Args {
    /// Take part in the election. Without it no cluster is needed: this single replica leads for life
    #[arg(long, env, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub enable_leader_election: bool,

    /// Name of the Lease that the replicas compete for
    #[arg(long, env, value_name = "NAME", value_parser = lease_name)]
    pub lease_name: String,

    /// Namespace of the Lease [default: the one of the kubeconfig or of the pod]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub lease_namespace: Option<String>,

    /// This replica's name [default: the host name]
    ///
    /// A random part is added, since a restarted container keeps its pod's name and must not mistake the lease of its
    /// predecessor for its own.
    #[arg(long, env = "POD_NAME", value_name = "NAME", value_parser = not_empty)]
    pub identity: Option<String>,

    /// How long a standby waits after the last renewal it saw before it takes over; whole seconds
    #[arg(long, env, value_name = "DURATION", default_value = "15s", value_parser = humantime::parse_duration)]
    pub lease_duration: Duration,

    /// How long a leader goes on without a successful renewal, counted from when that renewal was sent
    #[arg(long, env, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub renew_deadline: Duration,

    /// Pause between two attempts to acquire or renew
    #[arg(long, env, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub retry_period: Duration,

    /// How long the work may take to end after SIGTERM; the lease is renewed meanwhile
    ///
    /// Keep it below the pod's terminationGracePeriodSeconds, with room for the release. The end of the term ends the wait
    /// earlier.
    #[arg(long, env, value_name = "DURATION", default_value = "20s", value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,

    /// Address for /healthz, /readyz, /leader and /metrics; port 0 lets the kernel choose, empty serves nothing
    ///
    /// [::] is all addresses, of IPv4 and of IPv6; of IPv4 alone on a machine without IPv6.
    #[arg(long, env, value_name = "ADDRESS", default_value = "[::]:8080", value_parser = listen_address)]
    pub listen: Listen,

    /// Form of the log lines on standard output
    #[arg(long, env, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Print what makes this shell complete the flags, and exit
    ///
    /// For bash: source <(PROGRAM --completions bash)
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<Shell>,
}

/// Where to serve HTTP. An empty `--listen` means `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, message, `key=value`.
    Text,
    /// One flat JSON object per line.
    Json,
}

impl Args {
    /// Parses the command line of the application `still-leading-<variant>`, with the flags of its work, `F`. Ends the
    /// process on `--help`, `--version` and `--completions` (code 0), and on a flag that cannot be used (one line, code 2).
    #[must_use]
    pub fn parse_for<F: clap::Args>(variant: &str) -> (Self, F) {
        let (args, flags) = Self::try_parse_for(variant, env::args_os()).unwrap_or_else(|error| {
            if error.use_stderr() {
                let message = one_line(&error);
                let variables = variables(&command::<F>(variant), &message, |name| env::var_os(name).is_some());
                eprintln!("{message}{variables} (--help explains the flags)");
                process::exit(2);
            }
            error.exit()
        });
        if let Some(shell) = args.completions {
            // If the reader is gone, nobody needs the script.
            io::stdout().write_all(&completions::<F>(variant, shell)).ok();
            process::exit(0);
        }
        (args, flags)
    }

    /// As [`Args::parse_for`], from any iterator. It does not end the process.
    ///
    /// # Errors
    /// Help was asked for, a flag does not parse, or durations do not fit each other.
    pub fn try_parse_for<F, I, T>(variant: &str, args: I) -> Result<(Self, F), clap::Error>
    where
        F: clap::Args,
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut command = command::<F>(variant);
        let matches = command.try_get_matches_from_mut(args)?;
        let (args, flags) = (Self::from_arg_matches(&matches)?, F::from_arg_matches(&matches)?);
        args.check().map_err(|message| command.error(ErrorKind::ValueValidation, message))?;
        Ok((args, flags))
    }

    fn check(&self) -> Result<(), String> {
        let show = |duration: Duration| humantime::format_duration(duration).to_string();
        let (lease, deadline, retry) = (self.lease_duration, self.renew_deadline, self.retry_period);
        if retry.is_zero() {
            return Err("--retry-period must be longer than zero".to_owned());
        }
        if lease.subsec_nanos() != 0 || !(1..=i32::MAX as u64).contains(&lease.as_secs()) {
            let lease = show(lease);
            return Err(format!("--lease-duration {lease} must be whole seconds, at least 1s: a Lease stores seconds"));
        }
        if lease <= deadline {
            let (lease, deadline) = (show(lease), show(deadline));
            return Err(format!("--lease-duration {lease} must be longer than --renew-deadline {deadline}"));
        }
        if deadline <= retry.saturating_mul(ATTEMPTS) {
            let (deadline, retry) = (show(deadline), show(retry));
            return Err(format!("--renew-deadline {deadline} must be longer than {ATTEMPTS} x --retry-period {retry}"));
        }
        Ok(())
    }

    /// A new identity for this process: its name and a random part. Each call returns another one.
    #[must_use]
    pub fn new_identity(&self) -> Identity {
        let host_name = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Identity::from(self.identity.clone().unwrap_or_else(host_name))
    }
}

/// The command line of an application with the flags of its work, `F`.
fn command<F: clap::Args>(variant: &str) -> Command {
    let name = format!("still-leading-{variant}");
    let shared =
        Args::command().name(name.clone()).mut_arg("lease_name", |arg| arg.default_value(name.clone()).required(false));
    let about = shared.get_about().cloned().unwrap_or_default();
    // Clap would otherwise use the documentation of `F` as the program's.
    F::augment_args(shared).bin_name(name).version(version(COMMIT)).about(about.clone()).long_about(about)
}

fn version(commit: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    commit.filter(|commit| !commit.is_empty()).map_or_else(|| version.to_owned(), |it| format!("{version} ({it})"))
}

fn completions<F: clap::Args>(variant: &str, shell: Shell) -> Vec<u8> {
    let mut command = command::<F>(variant);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// The variables of the environment that may have set the flags in a message. In a pod, nobody gives flags.
fn variables(command: &Command, message: &str, is_set: impl Fn(&OsStr) -> bool) -> String {
    let is_named = |arg: &&Arg| arg.get_long().is_some_and(|long| names(message, long));
    let variables = command.get_arguments().filter(is_named).filter_map(Arg::get_env).filter(|name| is_set(name));
    let variables: Vec<_> = variables.map(OsStr::to_string_lossy).collect();
    if variables.is_empty() { String::new() } else { format!("; the environment sets {}", variables.join(" and ")) }
}

/// Whether the message has `--flag`, and not only as a part of a longer flag.
fn names(message: &str, flag: &str) -> bool {
    let mut words = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.any(|word| word.strip_prefix("--") == Some(flag))
}

fn not_empty(value: &str) -> Result<String, &'static str> {
    if value.is_empty() { Err("must not be empty") } else { Ok(value.to_owned()) }
}

/// Accepts a DNS-1123 subdomain, as Kubernetes does. Without this check the API server would refuse each request.
fn lease_name(value: &str) -> Result<String, &'static str> {
    let is_valid = value.len() <= 253 && value.split('.').all(is_label);
    let wrong = "expected a DNS-1123 subdomain: lower case letters, digits, '-' and '.', at most 253 characters";
    if is_valid { Ok(value.to_owned()) } else { Err(wrong) }
}

/// A DNS-1123 label.
fn namespace(value: &str) -> Result<String, &'static str> {
    let is_valid = value.len() <= 63 && is_label(value);
    let wrong = "expected a DNS-1123 label: lower case letters, digits and '-', at most 63 characters";
    if is_valid { Ok(value.to_owned()) } else { Err(wrong) }
}

fn is_label(part: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(is_inner) && !part.starts_with('-') && !part.ends_with('-')
}

fn listen_address(value: &str) -> Result<Listen, String> {
    if value.is_empty() {
        return Ok(Listen(None));
    }
    let hint = |_| "expected ADDRESS:PORT such as [::]:8080, or nothing at all".to_owned();
    value.parse().map(|address| Listen(Some(address))).map_err(hint)
}

/// The error in one line, for log collectors and people. clap explains over several lines.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    said.retain(|line| !line.is_empty() && !line.starts_with("For more information"));
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        let parsed = Args::try_parse_for::<work::Flags, _, _>("native", ["still-leading-native"].iter().chain(flags));
        parsed.map(|(args, _)| args)
    }

    fn message(flags: &[&str]) -> String {
        one_line(&parse(flags).expect_err("these flags must be refused"))
    }

    #[test]
    fn the_defaults_are_those_of_client_go() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.lease_name, "still-leading-native");
        assert!(!args.enable_leader_election);
        let seconds = [args.lease_duration, args.renew_deadline, args.retry_period].map(|d| d.as_secs());
        assert_eq!(seconds, [15, 10, 2]);
    }

    #[test]
    fn a_flag_can_be_switched_off_as_well_as_on() {
        assert!(parse(&["--enable-leader-election"]).unwrap().enable_leader_election);
        assert!(!parse(&["--enable-leader-election=false"]).unwrap().enable_leader_election);
    }

    #[test]
    fn an_empty_listen_address_serves_nothing() {
        assert_eq!(parse(&["--listen", ""]).unwrap().listen, Listen(None));
        assert_eq!(parse(&[]).unwrap().listen, Listen("[::]:8080".parse().ok()));
        assert_eq!(parse(&["--listen", "127.0.0.1:0"]).unwrap().listen, Listen("127.0.0.1:0".parse().ok()));
    }

    #[test]
    fn durations_that_do_not_fit_each_other_are_refused_in_one_line() {
        for (flags, part) in [
            (vec!["--lease-duration", "10s"], "--lease-duration 10s must be longer than --renew-deadline 10s"),
            (vec!["--renew-deadline", "4s"], "--renew-deadline 4s must be longer than 2 x --retry-period 2s"),
            (vec!["--lease-duration", "15500ms"], "must be whole seconds"),
            (vec!["--lease-duration", "3000000000s"], "must be whole seconds"),
            (vec!["--retry-period", "0s"], "--retry-period must be longer than zero"),
            (vec!["--tick", "0s"], "invalid value '0s' for '--tick <DURATION>': must be longer than zero"),
            (vec!["--lease-duration", "soon"], "invalid value 'soon' for '--lease-duration <DURATION>'"),
            (vec!["--listen", "everywhere"], "expected ADDRESS:PORT"),
            (vec!["--identity", ""], "must not be empty"),
            (vec!["--lease-name", "UPPER_case"], "expected a DNS-1123 subdomain"),
            (vec!["--lease-name", ""], "expected a DNS-1123 subdomain"),
            (vec!["--lease-name=-a"], "expected a DNS-1123 subdomain"),
            (vec!["--lease-namespace", "a.b"], "expected a DNS-1123 label"),
            (vec!["--drain-timeout", "never"], "invalid value 'never' for '--drain-timeout <DURATION>'"),
            (vec!["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        ] {
            let message = message(&flags);
            assert!(message.starts_with("error: "), "{message}");
            assert!(message.contains(part), "{message:?} lacks {part:?}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn what_the_environment_sets_is_named_by_its_variable() {
        let command = command::<work::Flags>("native");
        let message = message(&["--lease-duration", "10s"]);
        let variables = |set: &[&str]| variables(&command, &message, |name| set.iter().any(|it| name == *it));
        assert_eq!(variables(&["LEASE_DURATION", "TICK"]), "; the environment sets LEASE_DURATION");
        let both = "; the environment sets LEASE_DURATION and RENEW_DEADLINE";
        assert_eq!(variables(&["RENEW_DEADLINE", "LEASE_DURATION"]), both);
        assert_eq!(variables(&[]), "");
        assert!(names("no --tick, please", "tick") && !names("--tick-tock", "tick"));
    }

    #[test]
    fn a_shell_learns_every_flag() {
        for (shell, begins) in
            [(Shell::Bash, "_still__leading__native() {"), (Shell::Zsh, "#compdef still-leading-native")]
        {
            let script = String::from_utf8(completions::<work::Flags>("native", shell)).unwrap();
            assert!(script.starts_with(begins), "{script}");
            for flag in ["--lease-duration", "--tick", "--log-format", "--completions"] {
                assert!(script.contains(flag), "{shell} does not learn {flag}");
            }
        }
        assert!(parse(&["--completions", "fish"]).unwrap().completions == Some(Shell::Fish));
        assert!(message(&["--completions", "cmd"]).contains("[possible values: bash, elvish, fish, powershell, zsh]"));
    }

    #[test]
    fn the_version_has_the_commit_where_the_build_knows_it() {
        assert_eq!(version(None), env!("CARGO_PKG_VERSION"));
        assert_eq!(version(Some("")), env!("CARGO_PKG_VERSION"));
        assert_eq!(version(Some("f12ab8a")), concat!(env!("CARGO_PKG_VERSION"), " (f12ab8a)"));
        let shown = parse(&["--version"]).expect_err("a version").to_string();
        assert!(shown.starts_with("still-leading-native 0."), "{shown}");
    }

    #[test]
    fn help_fits_a_terminal_of_60_and_of_80_columns_and_leaves_no_line_cut_short() {
        for width in [60, 80] {
            let help = command::<work::Flags>("native").term_width(width).render_long_help().to_string();
            let lines: Vec<&str> = help.lines().collect();
            for (line, next) in lines.iter().zip(&lines[1..]) {
                assert!(line.chars().count() <= width, "{width}: {line}");
                // If the next word would still fit, somebody has broken the line by hand.
                let word = next.split_whitespace().next().unwrap_or_default();
                let is_same = next.starts_with(&" ".repeat(line.len() - line.trim_start().len()));
                let is_text = |line: &str| line.trim_start().starts_with(|c: char| c.is_ascii_alphanumeric());
                let fits = line.chars().count() + 1 + word.chars().count() <= width;
                let is_prose = is_text(line) && is_text(next) && is_same && !line.ends_with(':');
                assert!(!(is_prose && fits), "{width}: {line:?} ends early, before {next:?}");
            }
        }
    }

    #[test]
    fn each_process_has_an_identity_of_its_own() {
        let args = parse(&["--identity", "pod-0"]).unwrap();
        let (first, second) = (args.new_identity(), args.new_identity());
        assert_eq!((first.name(), second.name()), ("pod-0", "pod-0"));
        assert_ne!(first, second);
    }

    #[test]
    fn help_names_every_flag_with_its_environment_variable() {
        let help = parse(&["--help"]).expect_err("help").to_string();
        assert!(help.starts_with("Three replicas, one leader"), "{help}");
        for name in [
            "ENABLE_LEADER_ELECTION",
            "LEASE_NAME",
            "POD_NAMESPACE",
            "POD_NAME",
            "LEASE_DURATION",
            "RENEW_DEADLINE",
            "RETRY_PERIOD",
            "DRAIN_TIMEOUT",
            "TICK",
            "ACT_DURATION",
            "LISTEN",
            "LOG_FORMAT",
            "Exit codes",
        ] {
            assert!(help.contains(name), "{name} is missing in\n{help}");
        }
    }
}
