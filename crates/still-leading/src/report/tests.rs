//! What is said, and that nobody waits for it.

use std::sync::Mutex;

use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;

/// Collects messages; the first one blocks for as long as the gate is locked.
#[derive(Clone, Default)]
struct Lines {
    said: Arc<Mutex<Vec<String>>>,
    gate: Arc<Mutex<()>>,
}

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        drop(self.gate.lock().unwrap());
        let mut line = event.metadata().level().to_string();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            line += &format!(" {}={value:?}", field.name());
        });
        self.said.lock().unwrap().push(line);
    }
}

fn reporter(lines: &Lines, on_attempt: Option<OnAttempt>) -> Reporter {
    let subscriber = tracing_subscriber::registry().with(lines.clone());
    tracing::subscriber::with_default(subscriber, || Reporter::start(Duration::from_secs(60), on_attempt).unwrap())
}

#[test]
fn events_go_to_the_subscriber_of_whoever_started_it() {
    let lines = Lines::default();
    let reporter = reporter(&lines, None);
    reporter.note(Note::CannotWrite("leases is forbidden (403)".to_owned()));
    reporter.flush(Duration::from_secs(60));
    let said = lines.said.lock().unwrap();
    assert_eq!(*said, [r#"WARN message=failed to update lease error="leases is forbidden (403)""#]);
}

#[test]
fn a_log_that_blocks_holds_nobody_up_and_what_was_lost_is_counted() {
    let lines = Lines::default();
    let reporter = reporter(&lines, None);
    let blocked = lines.gate.lock().unwrap();
    let begin = Instant::now();
    for n in 0..WAITING_MAX * 2 {
        reporter.note(Note::NewLeader(n.to_string()));
    }
    reporter.flush(Duration::from_millis(10));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    drop(blocked);
    // The flush found no room either; now there is some.
    while lines.said.lock().unwrap().len() < WAITING_MAX {
        thread::yield_now();
    }
    reporter.note(Note::NewLeader("after".to_owned()));
    reporter.flush(Duration::from_secs(60));
    let said = lines.said.lock().unwrap();
    assert!(said.iter().any(|line| line.contains("the log was too slow for the elector dropped=")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("after")), "{said:?}");
}

#[test]
fn attempts_are_told_on_a_thread_of_their_own() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_callback = Arc::clone(&seen);
    let on_attempt: OnAttempt = Arc::new(move |attempt| {
        of_callback.lock().unwrap().push((attempt, thread::current().name().map(str::to_owned)));
    });
    let reporter = reporter(&Lines::default(), Some(on_attempt));
    reporter.attempt(Attempt::Failed);
    reporter.flush(Duration::from_secs(60));
    assert_eq!(*seen.lock().unwrap(), [(Attempt::Failed, Some("lease-reporter".to_owned()))]);
}

#[test]
fn a_trouble_that_lasts_is_logged_once_a_minute_and_a_new_one_at_once() {
    let mut troubles = Troubles { repeat_after: Duration::from_secs(60), last: HashMap::new() };
    let start = Instant::now();
    let forbidden = Note::CannotWrite("forbidden".to_owned());
    assert!(troubles.are_news(&forbidden, start));
    assert!(!troubles.are_news(&forbidden, start + Duration::from_secs(59)));
    assert!(troubles.are_news(&Note::CannotRead("forbidden".to_owned()), start));
    assert!(troubles.are_news(&Note::CannotWrite("no namespace".to_owned()), start + Duration::from_secs(2)));
    assert!(troubles.are_news(&forbidden, start + Duration::from_secs(3)));
    assert!(troubles.are_news(&forbidden, start + Duration::from_secs(63)));
}

#[test]
fn a_callback_that_panics_does_not_silence_the_log() {
    let lines = Lines::default();
    let reporter = reporter(&lines, Some(Arc::new(|_| panic!("a bug in the metrics"))));
    reporter.attempt(Attempt::Failed);
    reporter.attempt(Attempt::Failed);
    reporter.note(Note::NewLeader("after".to_owned()));
    reporter.flush(Duration::from_secs(60));
    let said = lines.said.lock().unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("ERROR") && said[1].contains("after"), "{said:?}");
}
