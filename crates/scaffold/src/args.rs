//! The flags, the same in every variant, each with an environment name. Relations between durations are checked here,
//! before the first request: an election with impossible timings must not start at all.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, ValueEnum};
use still_leading::Identity;

/// A leader acts for at most the renew deadline after its last renewal. So many attempts must fit into it, also if the first
/// one hangs; client-go asks for 1.2.
const ATTEMPTS: u32 = 2;

const AFTER_HELP: &str = "\
Durations are written like 15s, 500ms or 1m30s. The relations lease duration > renew deadline > 2 x retry period are
checked at start. The lease duration is how long nobody leads after a crash; what it exceeds the renew deadline by is
what work that is slow to stop, or a clock that is slow, may cost before two replicas could act at once.

Exit codes: 0 after a shutdown that was asked for, 1 when the election or the work failed (the last line says why),
2 for a flag that cannot be used, 130 or 143 after a second SIGINT or SIGTERM.";

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
}

/// Where to serve HTTP; `None` is what an empty `--listen` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, message, `key=value`.
    Text,
    /// One flat JSON object a line.
    Json,
}

impl Args {
    /// Parses the command line of the application `still-leading-<variant>`, with the flags of its work, `F`. Ends the
    /// process on `--help` (code 0) and on a flag that cannot be used (one line, code 2).
    #[must_use]
    pub fn parse_for<F: clap::Args>(variant: &str) -> (Self, F) {
        Self::try_parse_for(variant, std::env::args_os()).unwrap_or_else(|error| {
            if error.use_stderr() {
                eprintln!("{}", one_line(&error));
                process::exit(2);
            }
            error.exit()
        })
    }

    /// As [`Args::parse_for`], from any iterator and without ending the process.
    ///
    /// # Errors
    /// Help that was asked for, a flag that does not parse, or durations that do not fit each other.
    pub fn try_parse_for<F, I, T>(variant: &str, args: I) -> Result<(Self, F), clap::Error>
    where
        F: clap::Args,
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let name = format!("still-leading-{variant}");
        let shared =
            Self::command().name(name.clone()).mut_arg("lease_name", |arg| arg.default_value(name).required(false));
        let about = shared.get_about().cloned().unwrap_or_default();
        // Clap would take over what the documentation of `F` says.
        let mut command = F::augment_args(shared).about(about.clone()).long_about(about);
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

    /// The identity of this process: its name and a random part. Another one at each call.
    #[must_use]
    pub fn new_identity(&self) -> Identity {
        let host_name = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Identity::from(self.identity.clone().unwrap_or_else(host_name))
    }
}

fn not_empty(value: &str) -> Result<String, &'static str> {
    if value.is_empty() { Err("must not be empty") } else { Ok(value.to_owned()) }
}

/// A DNS-1123 subdomain, as Kubernetes checks it. Without the check the API server refuses each request, for ever.
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

/// clap explains over several lines; a log collector, and a person in a hurry, wants one.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    said.retain(|line| !line.is_empty() && !line.starts_with("For more information"));
    format!("{} (--help explains the flags)", said.join("; "))
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
            "LISTEN",
            "LOG_FORMAT",
            "Exit codes",
        ] {
            assert!(help.contains(name), "{name} is missing in\n{help}");
        }
    }
}
