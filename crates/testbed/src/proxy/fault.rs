//! Faults of single requests: what happens, to which requests, and how often.

use std::time::Duration;

use crate::verb::Verb;

/// A fault on the level of requests.
///
/// ```
/// use still_leading_testbed::proxy::{Action, Fault, Mode, Scope};
///
/// let mode: Mode = Fault::new(Action::TooManyRequests).on(Scope::Writes).times(3).into();
/// assert_eq!(mode.to_string(), "too-many-requests");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub what: Action,
    /// The requests that are affected.
    pub on: Scope,
    /// The maximum number of requests affected; later requests pass. `None`: no maximum while the mode lasts.
    pub times: Option<usize>,
}

/// The requests to which a fault applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All requests.
    All,
    /// Requests that may renew a Lease: [`Verb::is_write`].
    Writes,
    /// Watches.
    Watches,
    /// Requests with one of these verbs.
    Verbs(&'static [Verb]),
}

/// What happens to a request.
///
/// Where the proxy answers in place of the API server, the API server never sees the request. Faults of answers do not affect a
/// watch whose answer has begun; [`Action::Latency`] and the actions named `Watch…` affect watches in flight too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Each answer, and each event of a watch, is delayed by `fixed` and up to `jitter` more. Their order stays, and what is
    /// held back when the mode changes is sent at once.
    Latency {
        /// The shortest delay.
        fixed: Duration,
        /// The most that is added to it, at random.
        jitter: Duration,
    },
    /// The API server carries it out, and the connection ends instead of an answer.
    LostResponse,
    /// The request is held back, and reaches the API server when the mode changes, even if the replica no longer waits.
    LateDelivery,
    /// 409, as for a change of an object that has changed meanwhile.
    Conflict,
    /// 429 with `Retry-After` and plain text, as priority and fairness answers.
    TooManyRequests,
    /// 500, as when etcd does not answer in time.
    InternalError,
    /// 503 with `Retry-After`, as an API server answers that shuts down.
    Unavailable,
    /// 504, as for a request that took too long.
    GatewayTimeout,
    /// A watch ends regularly, and a new one right after its headers. In HTTP/1.1 its connection ends too.
    WatchClosed,
    /// A watch delivers nothing more, not even bookmarks, and does not end. When the mode changes it continues with what was held
    /// back.
    WatchStalled,
    /// A watch gets an ERROR event, 410 Expired, and ends. A new watch ends right after its headers, whose status is 200.
    WatchGone,
}

impl Fault {
    /// Makes a fault of the requests that the action is made for, without a maximum number.
    pub const fn new(what: Action) -> Self {
        Self { what, on: what.usual_scope(), times: None }
    }

    /// Limits the fault to these requests. Requests that the action cannot affect pass, such as a GET when watches are closed.
    #[must_use]
    pub const fn on(self, on: Scope) -> Self {
        Self { on, ..self }
    }

    /// Limits the fault to this many requests, counted from the change of the mode, over all connections.
    #[must_use]
    pub const fn times(self, times: usize) -> Self {
        Self { times: Some(times), ..self }
    }

    pub(super) fn concerns(&self, verb: Verb) -> bool {
        let in_scope = match self.on {
            Scope::All => true,
            Scope::Writes => verb.is_write(),
            Scope::Watches => verb == Verb::Watch,
            Scope::Verbs(verbs) => verbs.contains(&verb),
        };
        in_scope && (verb == Verb::Watch || !self.what.is_for_watches())
    }
}

/// Makes a fault with the usual parameters.
impl From<Action> for Fault {
    fn from(what: Action) -> Self {
        Self::new(what)
    }
}

impl Action {
    /// Between half a second and a second. That shows, and a sound elector keeps its Lease.
    pub const LATENCY: Self = Self::Latency { fixed: Duration::from_millis(500), jitter: Duration::from_millis(500) };

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::LostResponse => "lost-response",
            Self::LateDelivery => "late-delivery",
            Self::Conflict => "conflict",
            Self::TooManyRequests => "too-many-requests",
            Self::InternalError => "internal-error",
            Self::Unavailable => "unavailable",
            Self::GatewayTimeout => "gateway-timeout",
            Self::WatchClosed => "watch-closed",
            Self::WatchStalled => "watch-stalled",
            Self::WatchGone => "watch-gone",
        }
    }

    /// What it does, in one line for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Latency { .. } => "every answer and every event of a watch comes late",
            Self::LostResponse => "writes are carried out, but the connection ends instead of an answer",
            Self::LateDelivery => "writes are held back and reach the API server when the fault is over",
            Self::Conflict => "changes of an object are answered with 409 Conflict",
            Self::TooManyRequests => "requests are answered with 429 and Retry-After, as under overload",
            Self::InternalError => "requests are answered with 500, as when etcd does not answer",
            Self::Unavailable => "requests are answered with 503, as by an API server that shuts down",
            Self::GatewayTimeout => "requests are answered with 504, as when they take too long",
            Self::WatchClosed => "every watch ends regularly, new ones right after their headers",
            Self::WatchStalled => "watches deliver nothing more and do not end, everything else passes",
            Self::WatchGone => "every watch gets the error 410 Expired and ends",
        }
    }

    /// The requests to which the API server itself may give such an answer; all, where that could be any request.
    const fn usual_scope(self) -> Scope {
        match self {
            Self::LostResponse | Self::LateDelivery => Scope::Writes,
            Self::Conflict => Scope::Verbs(&[Verb::Update, Verb::Patch, Verb::Delete]),
            Self::WatchClosed | Self::WatchStalled | Self::WatchGone => Scope::Watches,
            _ => Scope::All,
        }
    }

    const fn is_for_watches(self) -> bool {
        matches!(self, Self::WatchClosed | Self::WatchStalled | Self::WatchGone)
    }

    /// Whether it affects a watch that has had its headers.
    pub(super) const fn meets_watches_in_flight(self) -> bool {
        self.is_for_watches() || matches!(self, Self::Latency { .. })
    }

    /// Whether no watch outlives it.
    pub(super) const fn ends_watches(self) -> bool {
        matches!(self, Self::WatchClosed | Self::WatchGone)
    }
}
