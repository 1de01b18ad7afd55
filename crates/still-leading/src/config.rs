//! What an elector is configured with, and the relations that must hold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::Identity;
use crate::lease::Timing;

/// Standbys spread their attempts over this time. After a release nobody leads meanwhile, so it is short; a crash has
/// cost a lease duration already.
const SPREAD_AFTER_RELEASE: Duration = Duration::from_millis(8);
const SPREAD_AFTER_EXPIRY: Duration = Duration::from_millis(50);

/// The head start of whoever is preferred after a release: room for a watch's hop and a write on a slow API server.
const HEAD_START: Duration = Duration::from_millis(250);

/// Which Lease to contend for, in whose name, and how patiently.
///
/// The defaults are client-go's: 15 s, 10 s and 2 s. `lease` and `identity` have none.
///
/// ```
/// use still_leading::Config;
///
/// let config = Config { lease: "my-controller".into(), identity: "my-pod".into(), ..Config::default() };
/// assert!(config.check().is_ok());
/// ```
pub struct Config {
    /// The namespace of the Lease. Default: the one of the kubeconfig or of the pod.
    pub namespace: Option<String>,
    /// The name of the Lease.
    pub lease: String,
    /// The identity of this process. Make it of the replica's name, for example the pod's: the random part is added.
    pub identity: Identity,
    /// What this process is a version of, for example the label `pod-template-hash` of its pod. After a release the standbys of
    /// the generation that has released let those of another one try first, for an eighth of the retry period and at most
    /// 250 ms. So the leadership moves to the new version once in a rollout. Default: none, and nobody is preferred.
    pub generation: Option<String>,
    /// Whether this replica takes part in the hand-overs that are asked for on the Lease: as a standby it accepts one, as a leader
    /// its work is cancelled for one. Switch it on where the work ends then: [`Elector::lead`](crate::Elector::lead) sees to it.
    /// Who calls [`Elector::start`](crate::Elector::start) has to end the work when the term's token is cancelled, and to call
    /// [`Term::hand_over`](crate::Term::hand_over) then, or nobody works although the Lease is renewed. Default: `false`.
    pub hands_over: bool,
    /// How long a standby waits after the last renewal that it saw before it takes over. Whole seconds: the Lease
    /// stores seconds. Default: 15 s.
    pub lease_duration: Duration,
    /// How long a leader goes on without a successful renewal, counted from when that renewal was sent. Default: 10 s.
    pub renew_deadline: Duration,
    /// The pause between two attempts to acquire or renew. Default: 2 s.
    pub retry_period: Duration,
    /// How long the work may take to end after a shutdown was asked for. The Lease is renewed meanwhile, and the end of
    /// the term ends the wait earlier. Default: 20 s. If the API server does not answer, the release takes up to one and a half
    /// renew deadlines more: keep the sum below the pod's `terminationGracePeriodSeconds`.
    pub drain_timeout: Duration,
    /// What happens when the work outlives its term or the drain time-out. Default: the process ends.
    pub on_overstay: OnOverstay,
    /// Called after each request for the Lease, for metrics. It shares a thread with the log, not with the election.
    pub on_attempt: Option<Arc<dyn Fn(Attempt) + Send + Sync>>,
}

/// What to do with work that does not end although it must: another replica may lead already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOverstay {
    /// Logs the reason and ends the process with exit code 1. This works also if the work blocks every thread of the
    /// application. A log that buffers its lines may lose the last one.
    #[default]
    ExitProcess,
    /// Returns [`LeadError::Overstayed`](crate::LeadError::Overstayed). The work may still run: the caller must end it.
    Return,
}

/// How a request for the Lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A write was accepted after this time.
    Wrote(Duration),
    /// A request was refused, failed or timed out.
    Failed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: None,
            lease: String::new(),
            identity: Identity::from(""),
            generation: None,
            hands_over: false,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(20),
            on_overstay: OnOverstay::default(),
            on_attempt: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, lease, identity, lease_duration, renew_deadline, retry_period, .. } = self;
        f.debug_struct("Config")
            .field("namespace", namespace)
            .field("lease", lease)
            .field("identity", identity)
            .field("generation", &self.generation)
            .field("hands_over", &self.hands_over)
            .field("lease_duration", lease_duration)
            .field("renew_deadline", renew_deadline)
            .field("retry_period", retry_period)
            .field("drain_timeout", &self.drain_timeout)
            .field("on_overstay", &self.on_overstay)
            .finish_non_exhaustive()
    }
}

/// All that is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidConfig(pub Vec<Violation>);

/// One thing that is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The name cannot be that of a Lease.
    #[error(
        "lease {0:?} is not a DNS-1123 subdomain: at most 253 characters, lower case letters, digits, '-' and '.', \
         and it starts and ends with a letter or digit"
    )]
    Lease(String),
    /// The name cannot be that of a namespace.
    #[error(
        "namespace {0:?} is not a DNS-1123 label: at most 63 characters, lower case letters, digits and '-', and it \
         starts and ends with a letter or digit"
    )]
    Namespace(String),
    /// There is no identity.
    #[error("identity must not be empty")]
    NoIdentity,
    /// The lease duration cannot be stored.
    #[error("lease_duration {0:?} must be whole seconds, at least 1 s: a Lease stores seconds")]
    LeaseDuration(Duration),
    /// Standbys would take over before the leader has stopped.
    #[error("lease_duration {lease_duration:?} must be longer than renew_deadline {renew_deadline:?}")]
    RenewDeadlineTooLong {
        /// The configured lease duration.
        lease_duration: Duration,
        /// The configured renew deadline.
        renew_deadline: Duration,
    },
    /// Two attempts would not fit into a renew deadline.
    #[error("renew_deadline {renew_deadline:?} must be longer than twice the retry_period {retry_period:?}")]
    RetryPeriodTooLong {
        /// The configured renew deadline.
        renew_deadline: Duration,
        /// The configured retry period.
        retry_period: Duration,
    },
    /// The API server would be asked without a pause.
    #[error("retry_period must be longer than zero")]
    NoRetryPeriod,
}

impl Config {
    /// Checks every relation between the values.
    ///
    /// # Errors
    /// All violations at once.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        self.check_in(self.namespace.as_deref())
    }

    /// As `check`, with the namespace that it comes to.
    pub(crate) fn check_in(&self, namespace: Option<&str>) -> Result<(), InvalidConfig> {
        let mut violations = Vec::new();
        if !is_subdomain(&self.lease) {
            violations.push(Violation::Lease(self.lease.clone()));
        }
        if let Some(namespace) = namespace.filter(|name| !is_label(name)) {
            violations.push(Violation::Namespace(namespace.to_owned()));
        }
        if self.identity.name().is_empty() {
            violations.push(Violation::NoIdentity);
        }
        let Self { lease_duration, renew_deadline, retry_period, .. } = *self;
        if lease_duration.subsec_nanos() != 0 || !(1..=i32::MAX as u64).contains(&lease_duration.as_secs()) {
            violations.push(Violation::LeaseDuration(lease_duration));
        }
        if lease_duration <= renew_deadline {
            violations.push(Violation::RenewDeadlineTooLong { lease_duration, renew_deadline });
        }
        if retry_period.is_zero() {
            violations.push(Violation::NoRetryPeriod);
        }
        if renew_deadline <= retry_period.saturating_mul(2) {
            violations.push(Violation::RetryPeriodTooLong { renew_deadline, retry_period });
        }
        if violations.is_empty() { Ok(()) } else { Err(InvalidConfig(violations)) }
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            identity: self.identity.to_string(),
            generation: self.generation.clone(),
            hands_over: self.hands_over,
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
            spread_after_release: SPREAD_AFTER_RELEASE.min(self.retry_period),
            spread_after_expiry: SPREAD_AFTER_EXPIRY.min(self.retry_period),
            head_start: HEAD_START.min(self.retry_period / 8),
        }
    }
}

fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_part(name)
}

/// As Kubernetes checks it: labels of any length between dots.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(is_inner) && !part.starts_with('-') && !part.ends_with('-')
}

#[cfg(test)]
mod tests;
