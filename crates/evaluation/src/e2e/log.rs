//! The log of one pod, read from its start to the end of the pod: nothing twice, nothing left out.
//!
//! A stream breaks when a node is frozen for long, and ends without an error when the kubelet goes away. It is then read
//! again from the start, and as many lines are skipped as have been taken. If its first line is another one, the container
//! was restarted meanwhile, and the rest of the log before is read too.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::AsyncBufReadExt;
use k8s_openapi::api::core::v1::Pod as Object;
use kube::Api;
use kube::api::LogParams;
use serde_json::Map;
use still_leading_testbed::History;
use still_leading_testbed::history::{EXITED, LOG_LOST};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::pod::{CONTAINER, Pod};
use super::{line, now};

/// Until the next attempt to read a log that is not there, or not yet, or no longer.
const PAUSE: Duration = Duration::from_millis(300);

/// What others may know of a log, and ask of it.
#[derive(Clone, Default)]
pub(super) struct Log {
    taken: Arc<AtomicUsize>,
    again: Arc<Notify>,
}

impl Log {
    /// How many lines were taken of the container that runs now.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Lets go of a stream that may be dead without saying so.
    pub(super) fn read_again(&self) {
        self.again.notify_one();
    }
}

/// Reads the log of one pod.
pub(super) struct Follower {
    api: Api<Object>,
    pods: watch::Receiver<Vec<Pod>>,
    pod: Pod,
    log: Log,
    lines: Lines,
}

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// There is no more yet.
    Dry,
    /// It is the log of another container than the lines before.
    Another,
    /// There is no log: not yet, or no longer.
    Absent,
}

impl Follower {
    pub(super) fn new(
        api: Api<Object>,
        history: History,
        pods: watch::Receiver<Vec<Pod>>,
        pod: &Pod,
        log: Log,
    ) -> Self {
        let lines = Lines { history, pod: pod.replica.clone(), first: None, taken: log.taken.clone(), last_at: 0 };
        Self { api, pods, pod: pod.clone(), log, lines }
    }

    /// Reads until the pod is gone.
    pub(super) async fn follow(mut self) {
        let mut is_torn = false;
        loop {
            let end = self.read(false).await;
            // A log that is not there any more was read to its end, if it was not torn off before.
            is_torn = end.is_err() || is_torn && matches!(end, Ok(End::Absent));
            // As it is after the stream has ended, not before.
            let pod = self.pods.borrow().iter().find(|pod| pod.uid == self.pod.uid).cloned();
            let finished = pod.as_ref().and_then(|pod| pod.finished).unwrap_or_default();
            match (pod, end) {
                (None, _) => {
                    if is_torn {
                        self.lines.note(now(), LOG_LOST);
                    }
                    self.lines.exited(now());
                    return;
                }
                (Some(_), Ok(End::Another)) => {
                    // Of the container before this one there may be none any more.
                    self.read(true).await.ok();
                    self.lines.exited(finished);
                    self.lines.restart();
                    continue;
                }
                (Some(pod), Ok(End::Dry)) if !pod.is_running => self.lines.exited(finished),
                (Some(_), _) => {}
            }
            sleep(PAUSE).await;
        }
    }

    /// Takes what is new in the log, until its stream ends.
    async fn read(&mut self, previous: bool) -> Result<End> {
        let container = Some(CONTAINER.to_owned());
        let params = LogParams { container, follow: !previous, previous, ..LogParams::default() };
        let Ok(stream) = self.api.log_stream(&self.pod.name, &params).await else { return Ok(End::Absent) };
        let mut stream = pin!(stream);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            tokio::select! {
                read = stream.read_until(b'\n', &mut line) => read?,
                () = self.log.again.notified() => return Ok(End::Dry),
            };
            // A line that broke off comes again as a whole.
            let Some(line) = line.strip_suffix(b"\n") else { return Ok(End::Dry) };
            number += 1;
            if !self.lines.take(number, &String::from_utf8_lossy(line)) {
                return Ok(End::Another);
            }
        }
    }
}

/// The lines of one container after the other.
struct Lines {
    history: History,
    pod: String,
    /// The first line of this container, which no other begins with: it has a time in it.
    first: Option<String>,
    /// How many lines of this container were taken.
    taken: Arc<AtomicUsize>,
    /// The time of the last one.
    last_at: u64,
}

impl Lines {
    /// Takes the line of this number, counted from one, unless it was taken before. False if it is of another container.
    fn take(&mut self, number: usize, line: &str) -> bool {
        if number == 1 && self.first.as_ref().is_some_and(|first| first != line) {
            return false;
        }
        if number == 1 {
            self.first = Some(line.to_owned());
        }
        if number > self.count() {
            self.taken.store(number, Ordering::Relaxed);
            match line::parse(&self.pod, line) {
                Some(event) => {
                    self.last_at = event.at;
                    self.history.record_at(event.at, &self.pod, &event.message, event.fields);
                }
                // Such as a panic, for whoever reads the events of a run that failed.
                None => self.note(self.last_at, line),
            }
        }
        true
    }

    fn count(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn note(&self, at: u64, message: &str) {
        self.history.record_at(at, &self.pod, message, Map::new());
    }

    /// The container has ended, at this time or with its last line.
    fn exited(&self, at: u64) {
        let events = self.history.events();
        // It may be found out more than once.
        let last = events.iter().rfind(|event| event.replica == self.pod && event.at >= self.last_at);
        if last.is_some_and(|event| event.message != EXITED) {
            self.note(at.max(self.last_at), EXITED);
        }
    }

    /// From here on it is the next container.
    fn restart(&mut self) {
        self.first = None;
        self.taken.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use still_leading_testbed::history::judge::{Term, terms};

    fn lines() -> Lines {
        let (history, taken) = (History::default(), Arc::default());
        Lines { history, pod: "pod-0".to_owned(), first: None, taken, last_at: 0 }
    }

    fn line(second: u8, message: &str) -> String {
        format!("1970-01-01T00:00:0{second}.000000Z  INFO {message}")
    }

    fn messages(lines: &Lines) -> Vec<String> {
        lines.history.events().into_iter().map(|event| event.message).collect()
    }

    /// Reads a log from its start; false if it is of another container.
    fn read(lines: &mut Lines, log: &[String]) -> bool {
        log.iter().enumerate().all(|(place, line)| lines.take(place + 1, line))
    }

    #[test]
    fn a_log_that_is_read_again_gives_each_line_once() {
        let log = [line(1, "a"), line(1, "a"), line(2, "b"), line(3, "c")];
        let mut lines = lines();
        assert!(read(&mut lines, &log[..2]) && read(&mut lines, &log[..1]) && read(&mut lines, &log));
        assert_eq!(messages(&lines), ["a", "a", "b", "c"]);
    }

    #[test]
    fn a_restarted_container_ends_the_term_of_the_one_before_and_loses_no_line_of_either() {
        let (before, after) = ([line(1, "leading"), line(2, "still leading")], [line(5, "leading")]);
        let mut lines = lines();
        assert!(read(&mut lines, &before[..1]));
        assert!(!read(&mut lines, &after), "the log of another container");
        assert!(read(&mut lines, &before), "the rest of the one before");
        lines.exited(3_000_000_000);
        lines.restart();
        assert!(read(&mut lines, &after));
        assert_eq!(messages(&lines), ["leading", "still leading", EXITED, "leading"]);
        let term = |from, until| Term { replica: "pod-0".to_owned(), from, until };
        let [one, three, five] = [1, 3, 5].map(|second| second * 1_000_000_000);
        assert_eq!(terms(&lines.history.events()), [term(one, Some(three)), term(five, None)]);
    }

    #[test]
    fn an_end_is_noted_once_and_never_before_the_last_line() {
        let mut lines = lines();
        lines.exited(1);
        assert_eq!(messages(&lines), [""; 0], "what said nothing needs no end");
        read(&mut lines, &[line(4, "leading")]);
        lines.exited(3_000_000_000);
        lines.exited(5_000_000_000);
        let events = lines.history.events();
        assert_eq!((events.len(), events[1].at), (2, 4_000_000_000));
    }

    #[test]
    fn what_is_no_event_is_kept_beside_the_last_one() {
        let mut lines = lines();
        read(&mut lines, &[line(4, "leading"), "thread 'main' panicked".to_owned()]);
        let events = lines.history.events();
        assert_eq!((events[1].at, events[1].message.as_str()), (4_000_000_000, "thread 'main' panicked"));
    }
}
