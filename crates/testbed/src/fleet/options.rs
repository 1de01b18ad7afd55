//! What a fleet is made of.

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
    /// The time between two attempts.
    pub retry_period: Duration,
}

impl Timings {
    /// 5 s, 3 s and 0.5 s: short enough to wait for, long enough that a busy machine, which may hold a leader up for
    /// three seconds, does not lose a lease.
    pub const SHORT: Self = Self {
        lease_duration: Duration::from_secs(5),
        renew_deadline: Duration::from_secs(3),
        retry_period: Duration::from_millis(500),
    };

    /// [`Timings::SHORT`], with a retry period that the variant can keep: kube-coordinate refuses less than a second,
    /// and most other crates count in whole ones.
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

impl Default for Timings {
    /// client-go's: 15 s, 10 s and 2 s.
    fn default() -> Self {
        let [lease_duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
        Self { lease_duration, renew_deadline, retry_period }
    }
}

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// Which variant: for the names of its objects and its manifest.
    pub variant: Variant,
    /// Its executable; see [`Variant::build`].
    pub program: PathBuf,
    /// How many replicas to start at once.
    pub replicas: usize,
    /// Whole milliseconds; what is shorter is cut off. So is `tick`.
    pub timings: Timings,
    /// How often the leader acts. Examples have no such flag.
    pub tick: Duration,
    /// Objects to apply in place of [`Variant::install_yaml`]; see [`crate::manifests::parse`].
    pub manifests: Option<Vec<DynamicObject>>,
    /// Further arguments of each replica. They come last.
    pub args: Vec<String>,
    /// Whether each replica finds its token in a file, as in a pod, instead of in its kubeconfig.
    pub token_files: bool,
}

/// What one replica has and the others have not.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Its name in the election, in place of the one that the testbed gives it.
    pub identity: Option<String>,
    /// Further arguments. They come last.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// What its proxy does from the start.
    pub mode: Mode,
}

impl FleetOptions {
    /// Three replicas with the default durations and the shipped manifest.
    pub fn new(variant: Variant, program: PathBuf) -> Self {
        let (timings, tick) = (Timings::default(), Duration::from_secs(5));
        Self { variant, program, replicas: 3, timings, tick, manifests: None, args: Vec::new(), token_files: false }
    }
}
