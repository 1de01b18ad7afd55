//! The options with which a fleet is started.

use std::path::PathBuf;
use std::time::Duration;

use kube::api::DynamicObject;

use crate::proxy::Mode;
use crate::variant::Variant;

/// The election's three durations, in client-go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long a standby waits after the last renewal that it saw.
    pub lease_duration: Duration,
    /// How long a leader goes on without a renewal.
    pub renew_deadline: Duration,
    /// The pause between two attempts.
    pub retry_period: Duration,
}

impl Timings {
    /// 5 s, 3 s and 0.5 s. They are short to wait for, and long enough to keep a lease on a busy machine, which may delay a
    /// leader by three seconds.
    pub const SHORT: Self = Self {
        lease_duration: Duration::from_secs(5),
        renew_deadline: Duration::from_secs(3),
        retry_period: Duration::from_millis(500),
    };

    /// [`Timings::SHORT`], with a retry period that the variant can keep. kube-coordinate refuses less than a second, and most
    /// other crates count whole seconds.
    pub fn short_for(variant: Variant) -> Self {
        match variant {
            Variant::Native
            | Variant::K8sController
            | Variant::ClientGo
            | Variant::Controller
            | Variant::ControllerGo => Self::SHORT,
            Variant::KubeLeaderElection | Variant::KubeCoordinate | Variant::Kubert | Variant::KubeLeaseManager => {
                Self { retry_period: Duration::from_secs(1), ..Self::SHORT }
            }
        }
    }
}

impl Timings {
    /// Checks whether a variant takes these durations, before any replica is started.
    ///
    /// # Errors
    /// Returns what does not fit, in one line, in the words of the variants' flags.
    pub fn check(self, variant: Variant) -> Result<(), String> {
        let Self { lease_duration: lease, renew_deadline: deadline, retry_period: retry } = self;
        let show = humantime::format_duration;
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
        if deadline <= retry.saturating_mul(2) {
            let (deadline, retry) = (show(deadline), show(retry));
            return Err(format!("--renew-deadline {deadline} must be longer than 2 x --retry-period {retry}"));
        }
        let least = self.least_lease(variant).filter(|least| lease < *least);
        least.map_or(Ok(()), |least| Err(format!("{variant} needs a lease duration of {least:?} or more beside these")))
    }

    /// The shortest lease duration that a crate takes with these other durations, where its `election.rs` asks for more than
    /// the flags.
    fn least_lease(self, variant: Variant) -> Option<Duration> {
        const SECOND: Duration = Duration::from_secs(1);
        match variant {
            Variant::KubeCoordinate => {
                let period = self.retry_period.max(Duration::from_millis(1250));
                let timeout = (self.renew_deadline.saturating_sub(period) / 2).max(SECOND);
                Some(period + 2 * timeout + SECOND)
            }
            Variant::KubeLeaseManager | Variant::K8sController => Some(self.renew_deadline.saturating_add(SECOND)),
            _ => None,
        }
    }
}

impl Default for Timings {
    /// client-go's: 15 s, 10 s and 2 s.
    fn default() -> Self {
        let [lease_duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
        Self { lease_duration, renew_deadline, retry_period }
    }
}

/// The options of a fleet.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// The variant, for the names of its objects and its manifest.
    pub variant: Variant,
    /// Its executable; see [`Variant::build`].
    pub program: PathBuf,
    /// How many replicas to start at once.
    pub replicas: usize,
    /// The durations, in whole milliseconds: a fraction is cut off. The same holds for `tick`.
    pub timings: Timings,
    /// How often the leader acts. Examples have no such flag.
    pub tick: Duration,
    /// Objects to apply instead of [`Variant::install_yaml`]; see [`crate::manifests::parse`].
    pub manifests: Option<Vec<DynamicObject>>,
    /// Further arguments of each replica. They come last.
    pub args: Vec<String>,
    /// Whether each replica reads its token from a file, as in a pod, and not from its kubeconfig.
    pub token_files: bool,
}

/// A program that is not a variant, but takes the flags of one.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name of its replicas, before the number.
    pub name: String,
    /// Its executable.
    pub path: PathBuf,
}

/// What one replica has and the others do not have.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// The program that it runs instead of the fleet's, with the same flags and the same rights.
    pub program: Option<Program>,
    /// Its name in the election, instead of the testbed's.
    pub identity: Option<String>,
    /// Further arguments. They come last.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// What its proxy does from the start.
    pub mode: Mode,
}

impl FleetOptions {
    /// Returns options for three replicas with the default durations and the shipped manifest.
    pub fn new(variant: Variant, program: PathBuf) -> Self {
        let (timings, tick) = (Timings::default(), Duration::from_secs(5));
        Self { variant, program, replicas: 3, timings, tick, manifests: None, args: Vec::new(), token_files: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_durations_that_are_used_fit_every_variant() {
        for variant in Variant::ALL.iter().chain(Variant::EXAMPLES) {
            assert_eq!(Timings::default().check(*variant), Ok(()), "{variant}");
            assert_eq!(Timings::short_for(*variant).check(*variant), Ok(()), "{variant}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_in_the_words_of_the_flags() {
        let timings = |lease: u64, deadline, retry| {
            let [lease_duration, renew_deadline, retry_period] = [lease, deadline, retry].map(Duration::from_millis);
            Timings { lease_duration, renew_deadline, retry_period }
        };
        for (timings, variant, why) in [
            (
                timings(3_000, 3_000, 500),
                Variant::Native,
                "--lease-duration 3s must be longer than --renew-deadline 3s",
            ),
            (timings(5_500, 3_000, 500), Variant::Native, "--lease-duration 5s 500ms must be whole seconds"),
            (timings(5_000, 3_000, 0), Variant::ClientGo, "--retry-period must be longer than zero"),
            (timings(5_000, 3_000, 1_500), Variant::Kubert, "--renew-deadline 3s must be longer than 2 x"),
            (timings(4_000, 3_000, 500), Variant::KubeCoordinate, "kube-coordinate needs a lease duration of 4.25s"),
            (timings(4_000, 3_500, 500), Variant::K8sController, "k8s-controller needs a lease duration of 4.5s"),
        ] {
            let error = timings.check(variant).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
