//! Everything that the replicas logged and everything that was done to them, on one monotonic clock.

mod event;
pub mod judge;
mod rows;
mod table;

pub use event::{EXITED, Event, FROZEN, HARNESS, LOG_LOST, Malformed, THAWED};
pub use judge::{acts, terms};
pub use rows::rows;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How often a wait checks again without a new event.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// The events of all replicas of a test, in the order of their times. A clone is a handle to the same history.
#[derive(Clone, Default)]
pub struct History(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    malformed: Vec<Malformed>,
    followers: Vec<UnboundedSender<Event>>,
}

impl History {
    /// Returns the events so far, by time.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// Returns the lines on replicas' standard output that are not events. A test that ends well should find none.
    pub fn malformed(&self) -> Vec<Malformed> {
        self.state().malformed.clone()
    }

    /// Returns the events so far by time, and then each new event as it arrives. A later arrival may have an earlier time.
    pub fn follow(&self) -> UnboundedReceiver<Event> {
        let (sender, events) = unbounded_channel();
        let mut state = self.state();
        if state.events.iter().all(|event| sender.send(event.clone()).is_ok()) {
            state.followers.push(sender);
        }
        events
    }

    /// Records something that the harness did now, and returns that time.
    pub fn record(&self, message: &str, fields: Map<String, Value>) -> u64 {
        self.record_at(now(), HARNESS, message, fields)
    }

    /// Records something under a given time and name, and returns that time. All events of a history must use one clock; a
    /// history of pods may use another one than this machine's.
    pub fn record_at(&self, at: u64, replica: &str, message: &str, fields: Map<String, Value>) -> u64 {
        self.add(Event { at, replica: replica.to_owned(), message: message.to_owned(), fields });
        at
    }

    /// Adds one line of a replica's standard output.
    pub(crate) fn record_line(&self, replica: &str, line: &str) {
        match Event::parse(replica, line) {
            Some(event) => self.add(event),
            None => {
                let malformed = Malformed { replica: replica.to_owned(), line: line.to_owned() };
                self.state().malformed.push(malformed);
                self.0.changes.send_replace(());
            }
        }
    }

    /// Waits until `find` returns something. It gets the events after every change, and ten times a second besides, since it
    /// may also check what is not an event, such as the requests of a proxy.
    ///
    /// # Errors
    /// Fails after `bound`, with the whole history as a table, so that a failed test explains itself.
    pub async fn wait_for<T>(&self, bound: Duration, mut find: impl FnMut(&[Event]) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + bound;
        let mut changes = self.0.changes.subscribe();
        loop {
            // A copy, so that `find` may use the history without a deadlock. A change meanwhile is not missed: `changed`
            // reports it at once.
            if let Some(found) = find(&self.events()) {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                bail!("the expected event did not come within {bound:?}; these did:\n{}", self.table());
            }
            // In both cases, check again.
            timeout_at(deadline.min(Instant::now() + LOOK_PERIOD), changes.changed()).await.ok();
        }
    }

    /// Formats the whole history for people: seconds since the first event, replica, message, and fields.
    pub fn table(&self) -> String {
        let state = self.state();
        table::render(&state.events, &state.malformed)
    }

    fn add(&self, event: Event) {
        let mut state = self.state();
        state.followers.retain(|follower| follower.send(event.clone()).is_ok());
        // Lines of several processes arrive in any order, though almost always at the end.
        let place = state.events.partition_point(|other| other.at <= event.at);
        state.events.insert(place, event);
        drop(state);
        self.0.changes.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows only its size, since every replica has a handle. [`History::table`] shows the rest.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("History")
            .field("events", &state.events.len())
            .field("malformed", &state.malformed.len())
            .finish_non_exhaustive()
    }
}

/// Returns the time on `CLOCK_MONOTONIC`, in nanoseconds: the clock of every `at` here and of the replicas' log lines.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // The clock counts from the start of the machine, so neither part is negative.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Converts a moment of the wall clock to monotonic nanoseconds. The result may be a little too early, never too late, and is
/// zero for a moment before this machine started. It is valid as long as nobody sets the wall clock.
pub fn monotonic(moment: Timestamp) -> u64 {
    // This clock first: time that passes between the two readings makes the moment seem earlier.
    let monotonic = now();
    let ago = Timestamp::now().duration_since(moment).as_nanos();
    u64::try_from(i128::from(monotonic) - ago).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    fn line(at: u64, message: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","message":"{message}","monotonic_ns":{at},"n":7}}"#
        )
    }

    #[test]
    fn a_line_of_the_contract_becomes_an_event_with_its_fields() {
        let history = History::default();
        history.record_line("a", &line(5, "still leading"));
        let events = history.events();
        assert_eq!((events[0].at, events[0].replica.as_str(), events[0].message.as_str()), (5, "a", "still leading"));
        assert_eq!(events[0].fields["n"], 7);
        assert_eq!(history.malformed(), []);
    }

    #[test]
    fn any_other_line_is_kept_as_it_was() {
        let lines = ["", "panicked at", "[1]", r#"{"message":"x"}"#, r#"{"message":"x","monotonic_ns":"1"}"#];
        let history = History::default();
        for line in lines {
            history.record_line("a", line);
        }
        let kept: Vec<String> = history.malformed().into_iter().map(|it| it.line).collect();
        assert_eq!(kept, lines);
        assert_eq!(history.events(), []);
    }

    #[test]
    fn events_are_in_the_order_of_their_times_and_otherwise_of_their_arrival() {
        let history = History::default();
        for (at, message) in [(3, "c"), (1, "a"), (2, "b"), (3, "d")] {
            history.record_line("a", &line(at, message));
        }
        let order: Vec<String> = history.events().into_iter().map(|it| it.message).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_follower_gets_each_event_once_as_it_arrives() {
        let history = History::default();
        history.record_line("a", &line(1, "before"));
        let mut events = history.follow();
        for (at, message) in [(3, "c"), (2, "b")] {
            history.record_line("a", &line(at, message));
        }
        let arrived: Vec<String> = std::iter::from_fn(|| events.try_recv().ok()).map(|it| it.message).collect();
        assert_eq!(arrived, ["before", "c", "b"]);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_event_that_was_waited_for() {
        let history = History::default();
        let writer = history.clone();
        let waiting = history.wait_for(BOUND, |events| events.iter().find(|it| it.message == "b").cloned());
        let writing = async {
            // Lets the wait begin, so that it has to be woken.
            tokio::task::yield_now().await;
            std::thread::spawn(move || ["a", "b"].map(|message| writer.record(message, Map::new())));
        };
        let (found, ()) = tokio::join!(waiting, writing);
        assert_eq!(found.unwrap().message, "b");
    }

    #[tokio::test]
    async fn waiting_in_vain_ends_with_the_whole_history() {
        let history = History::default();
        history.record_line("a", &line(5, "leading"));
        let error = history.wait_for(Duration::from_millis(1), |_| None::<()>).await.unwrap_err().to_string();
        assert!(error.contains("within 1ms") && error.contains("leading"), "{error}");
    }

    #[tokio::test]
    async fn a_wait_sees_what_no_event_tells() {
        let history = History::default();
        let mut looks = 0;
        let waiting = history.wait_for(BOUND, |_| {
            looks += 1;
            (looks > 2).then_some(())
        });
        waiting.await.unwrap();
    }

    #[test]
    fn a_moment_of_the_wall_clock_becomes_one_of_the_monotonic_clock_and_never_a_later_one() {
        let before = now();
        let moment = Timestamp::now();
        let converted = monotonic(moment);
        assert!(converted <= now());
        // The error may be large, since this thread may have slept between the readings.
        let error = Duration::from_nanos(before.abs_diff(converted));
        assert!(error < Duration::from_secs(5), "{error:?}");
        assert_eq!(monotonic(Timestamp::MIN), 0);
        let ahead = Timestamp::now() + Duration::from_secs(3600);
        assert!(monotonic(ahead) > now() + Duration::from_secs(3000).as_nanos() as u64);
    }

    #[test]
    fn the_clock_goes_forward() {
        let before = now();
        assert!(before > 0 && now() >= before);
    }
}
