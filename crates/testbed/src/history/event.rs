//! The events of a history, and how a log line becomes one.

use serde_json::{Map, Value};

/// The `replica` of an event that the harness caused: a signal, a fault.
pub const HARNESS: &str = "harness";

/// An event of the harness: it stops the replica in the field `to`. A stopped replica cannot act.
pub const FROZEN: &str = "SIGSTOP";
/// An event of the harness: it resumes the replica in the field `to`.
pub const THAWED: &str = "SIGCONT";

/// An event of a replica whose process has ended in any way. The harness adds it under the replica's name.
pub const EXITED: &str = "exited";
/// An event of a replica whose last log lines could not be read. The harness adds it under the replica's name.
pub const LOG_LOST: &str = "the end of its log was lost";

/// One line of a replica's log, or one thing that the harness did.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The time, in nanoseconds of `CLOCK_MONOTONIC`. For a log line, the replica's own time.
    pub at: u64,
    /// Whose event it is: a replica by its name in the testbed, or [`HARNESS`].
    pub replica: String,
    /// The log message, such as `still leading`.
    pub message: String,
    /// The other fields of the line.
    pub fields: Map<String, Value>,
}

/// A line that is not an event of the log contract, unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The replica that printed it.
    pub replica: String,
    /// The line.
    pub line: String,
}

impl Event {
    /// Parses one line of the log contract: a flat JSON object with a message and a time.
    pub(super) fn parse(replica: &str, line: &str) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        let at = fields.remove("monotonic_ns")?.as_u64()?;
        let Value::String(message) = fields.remove("message")? else { return None };
        Some(Self { at, replica: replica.to_owned(), message, fields })
    }
}
