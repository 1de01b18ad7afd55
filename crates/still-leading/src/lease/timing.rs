//! Who contends, and how patiently.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A point of this process's own clock: the time since the elector started.
pub type Moment = Duration;

/// Who contends, and how patiently. `lease_duration > renew_deadline > 2 × retry_period` must hold.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The identity of this process, unique among all processes that ever contend for the Lease.
    pub identity: String,
    /// What this process is a version of, such as the hash of its pod template. `None`: it prefers nobody.
    pub generation: Option<String>,
    /// Whether it takes part in the hand-overs that are asked for on the Lease.
    pub hands_over: bool,
    /// How long a standby waits after the last change that it saw; stored in whole seconds.
    pub lease_duration: Duration,
    /// How long a leader goes on after it sent its last successful renewal.
    pub renew_deadline: Duration,
    /// The pause between two attempts.
    pub retry_period: Duration,
    /// Standbys spread their attempts over this time after a release.
    pub spread_after_release: Duration,
    /// Standbys spread their attempts over this time after an expiry.
    pub spread_after_expiry: Duration,
    /// How long a standby lets another one try first after a release, where that one is preferred.
    pub head_start: Duration,
}

impl Timing {
    /// How long one request may take: two attempts fit into a renew deadline even if the first one hangs.
    pub fn attempt_timeout(&self) -> Duration {
        self.renew_deadline / 2
    }

    /// The longest time for which a Lease that was made anew is kept without a leader, whatever duration the holder of
    /// its predecessor asked for.
    pub fn longest_wait(&self) -> Duration {
        (self.lease_duration * 4).max(Duration::from_secs(60))
    }

    /// When this replica tries, within `spread` after a Lease became free in its version `version`. The first of a crowd
    /// tries early and the others see it in time: exponentially distributed timers, as in Nonnenmacher and Biersack,
    /// "Scalable Feedback for Large Groups" (1999), for a group of a hundred.
    pub(super) fn share_of(&self, spread: Duration, version: Option<&str>) -> Duration {
        const GROUP: f64 = 100.0;
        // Below 2^53, so that the division is exact; never zero, which has no logarithm.
        let hash = number(&(&self.identity, version)) >> 11;
        let uniform = (hash as f64 + 1.0) / (1u64 << 53) as f64;
        spread.mul_f64((1.0 + uniform.ln() / GROUP.ln()).max(0.0))
    }
}

/// A number that differs between replicas and from version to version, and is the same each time it is asked for.
pub(crate) fn number(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
