//! What a trial leaves behind: all that was seen, and nothing of what it means. Times are nanoseconds since its start.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use still_leading_testbed::{Event, Timings};

/// One trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was tried.
    pub subject: String,
    /// What happened to it.
    pub fault: String,
    /// The how manieth of these it is, from 1.
    pub number: usize,
    /// What decided the moment of the fault, and jitter.
    pub seed: u64,
    /// `embedded` or `real`.
    pub server: String,
    /// The election's durations.
    pub timings: Millis,
    /// How long after the fault had gone somebody had to lead again, in milliseconds.
    pub bound_ms: u64,
    /// The assumption that the fault breaks, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaks: Option<String>,
    /// When the fault came and went, and how long was watched.
    pub marks: Marks,
    /// What the replicas logged and what was done to them.
    pub events: Vec<Line>,
    /// Lines on standard output that were no events.
    pub malformed: Vec<String>,
    /// Every state of the Lease.
    pub lease: Vec<LeaseState>,
    /// Each replica.
    pub replicas: Vec<Replica>,
    /// Why it shows nothing, if so: it could not be tried, or the fault did not reach the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// The election's durations, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Millis {
    /// How long a standby waits after the last renewal that it saw.
    pub lease_duration: u64,
    /// How long a leader goes on without a renewal.
    pub renew_deadline: u64,
    /// The time between two attempts.
    pub retry_period: u64,
}

/// When what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// When the fault came.
    pub injected: u64,
    /// When it had gone.
    pub healed: u64,
    /// When the watching ended.
    pub ended: u64,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at: u64,
    /// Whose.
    pub replica: String,
    /// What.
    pub message: String,
    /// The rest.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// A state of the Lease, as a watch told it that no fault touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseState {
    /// When it was heard of.
    pub at: u64,
    /// `spec.holderIdentity`, none where it is empty.
    pub holder: Option<String>,
    /// `spec.leaseTransitions`.
    pub transitions: Option<i32>,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// Whether this is its deletion.
    pub deleted: bool,
}

/// One replica: what a pod is in a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Each end of a process of that name: that of the last one, if it has ended, comes last.
    pub exits: Vec<Exit>,
    /// The processor time that it had used when the fault came, in milliseconds; none if it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_before_ms: Option<u64>,
    /// The processor time that it used, in milliseconds; none if it has ended.
    pub cpu_ms: Option<u64>,
    /// Its resident memory, in bytes; none if it has ended.
    pub rss: Option<u64>,
    /// The last lines of its standard error, if it has not ended: a task may panic and leave the process alive.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// Its requests, in the order of arrival.
    pub requests: Vec<Request>,
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How it ended.
    pub status: String,
    /// Whether nobody had asked it to.
    pub by_itself: bool,
    /// The last lines of its standard error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

impl Exit {
    /// Whether it panicked.
    #[must_use]
    pub fn is_a_panic(&self) -> bool {
        panics(&self.stderr) > 0
    }
}

/// How many panics standard error tells of, of Rust and of Go.
#[must_use]
pub fn panics(stderr: &str) -> usize {
    let is_panic =
        |line: &&str| (line.starts_with("thread '") && line.contains(" panicked at ")) || line.starts_with("panic: ");
    stderr.lines().filter(is_panic).count()
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// When its head had arrived.
    pub at: u64,
    /// What it asked for.
    pub verb: String,
    /// Whether of Leases.
    pub lease: bool,
    /// The answer, if there was one.
    pub status: Option<u16>,
}

impl Trial {
    /// Whether the fault came. If not, another attempt may show more.
    #[must_use]
    pub fn was_tried(&self) -> bool {
        self.failed.is_none() || !self.events.is_empty()
    }

    /// The events, as the judge of histories wants them.
    #[must_use]
    pub fn history(&self) -> Vec<Event> {
        let event = |line: &Line| Event {
            at: line.at,
            replica: line.replica.clone(),
            message: line.message.clone(),
            fields: line.fields.clone(),
        };
        self.events.iter().map(event).collect()
    }
}

/// As `5/3/1`, in seconds.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lease, deadline, retry] =
            [self.lease_duration, self.renew_deadline, self.retry_period].map(|ms| ms as f64 / 1e3);
        write!(f, "{lease}/{deadline}/{retry}")
    }
}

impl From<Timings> for Millis {
    fn from(timings: Timings) -> Self {
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            lease_duration: millis(timings.lease_duration),
            renew_deadline: millis(timings.renew_deadline),
            retry_period: millis(timings.retry_period),
        }
    }
}
