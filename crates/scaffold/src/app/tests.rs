//! How a replica ends, on paused time.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, sleep};

use super::*;
use crate::args::Listen;

fn app() -> App {
    let (args, flags) = Args::try_parse_for("test", ["still-leading-test", "--listen", ""]).unwrap();
    let (metrics, shutdown) = (Metrics::new("my-lease"), CancellationToken::new());
    let (identity, workers) = ("pod-0_1".to_owned(), Workers::Given(Handle::current()));
    let (lockout, last_words) = (Lockout::default(), TaskTracker::new());
    App { args, flags, identity, metrics, lockout, last_words, shutdown, workers }
}

fn election(task: impl Future<Output = Result<()>> + Send + 'static, release: &CancellationToken) -> Election<Status> {
    let (publish, beliefs) = watch::channel(Status { term: Some(Term::for_life()), ..Status::default() });
    let task = tokio::spawn(async move {
        let end = task.await;
        drop(publish);
        end
    });
    Election { lease: None, beliefs, view: Clone::clone, task, release: release.clone() }
}

#[tokio::test(start_paused = true)]
async fn an_elector_that_fails_ends_the_replica_with_its_reason() {
    let election = election(async { bail!("the network is gone") }, &CancellationToken::new());
    let error = app().run(election).await.unwrap_err().to_string();
    assert_eq!(error, "the elector ended by itself: the network is gone");
}

#[tokio::test(start_paused = true)]
async fn an_elector_that_returns_or_panics_ends_the_replica_too() {
    let returned = app().run(election(async { Ok(()) }, &CancellationToken::new())).await;
    assert!(returned.unwrap_err().to_string().contains("it returned"));
    let panicked = app().run(election(async { panic!("a bug") }, &CancellationToken::new())).await;
    assert!(panicked.unwrap_err().to_string().contains("panic"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_releases_the_lease_and_succeeds() {
    let (app, release) = (app(), CancellationToken::new());
    let (shutdown, asked) = (app.shutdown.clone(), release.clone());
    let elector = async move {
        asked.cancelled().await;
        Ok(())
    };
    let running = tokio::spawn(app.run(election(elector, &release)));
    sleep(Duration::from_secs(12)).await;
    assert!(!release.is_cancelled(), "nobody asked to release");
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(release.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_hangs_delays_the_end_by_the_renew_deadline_at_most() {
    let app = app();
    app.shutdown.cancel();
    let begin = Instant::now();
    app.run(election(pending(), &CancellationToken::new())).await.unwrap();
    assert!(begin.elapsed() <= Duration::from_secs(11), "{:?}", begin.elapsed());
}

/// An election with this term. Its elector ends as soon as it is asked to release.
fn released_when_asked(term: Term, release: &CancellationToken) -> Election<Status> {
    let (publish, beliefs) = watch::channel(Status { term: Some(term), ..Status::default() });
    let asked = release.clone();
    let task = tokio::spawn(async move {
        asked.cancelled().await;
        drop(publish);
        Ok(())
    });
    Election { lease: None, beliefs, view: Clone::clone, task, release: release.clone() }
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_fails_the_replica_after_a_release() {
    let release = CancellationToken::new();
    let asked = AtomicUsize::new(0);
    // The election asks the first two times, and the work the third time, before its first act.
    let term = Term::new(None, move || {
        assert!(asked.fetch_add(1, Ordering::Relaxed) != 2, "at noon");
        Duration::from_secs(60)
    });
    let error = app().run(released_when_asked(term, &release)).await.unwrap_err().to_string();
    assert_eq!(error, "the work panicked: at noon");
    assert!(release.is_cancelled(), "the lease was kept although nothing runs any more");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_taken_fails_the_replica_after_a_release() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut app, release) = (app(), CancellationToken::new());
    app.args.listen = Listen(taken.local_addr().ok());
    let error = app.run(released_when_asked(Term::for_life(), &release)).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on 127.0.0.1:"), "{error}");
    assert!(release.is_cancelled(), "the lease was kept although nothing runs");
}

#[tokio::test(start_paused = true)]
async fn work_that_fails_fails_the_replica_with_its_reason_after_a_release() {
    let release = CancellationToken::new();
    let work = Work::new(|_, _| async { bail!("the watch is gone") });
    let election = released_when_asked(Term::for_life(), &release);
    let error = app().work_while_leading(election, work).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "the work ended by itself: the watch is gone");
    assert!(release.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn last_words_are_waited_for_but_not_for_long() {
    for (takes, waited) in [(0.5, 0.5), (600.0, 1.0)] {
        let app = app();
        app.shutdown.cancel();
        app.last_words.spawn(sleep(Duration::from_secs_f64(takes)));
        let begin = Instant::now();
        app.run(released_when_asked(Term::for_life(), &CancellationToken::new())).await.unwrap();
        let waited = Duration::from_secs_f64(waited);
        assert!(begin.elapsed().abs_diff(waited) < Duration::from_millis(50), "{:?}", begin.elapsed());
    }
}

/// The messages of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut said = String::new();
        event.record(&mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| said += &format!("{value:?}"));
        self.0.lock().unwrap().push(said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_never_seen_is_worth_a_word_about_the_policy_and_one_that_is_seen_is_not() {
    use tracing_subscriber::layer::SubscriberExt;
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    let told = || lines.0.lock().unwrap().iter().filter(|line| line.contains("NetworkPolicy")).count();
    let (publish, beliefs) = watch::channel(Status::default());
    tokio::spawn(say_if_never_ready(beliefs.clone(), Clone::clone, Duration::from_secs(30)));
    sleep(Duration::from_secs(29)).await;
    assert_eq!(told(), 0);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(told(), 1, "once");
    publish.send_replace(Status { ready: true, ..Status::default() });
    tokio::spawn(say_if_never_ready(beliefs, Clone::clone, Duration::from_secs(30)));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(told(), 1, "it was seen");
}
