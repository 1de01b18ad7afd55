//! What the log says about waiting, so that nobody has to guess.

use std::sync::Mutex;

use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;

/// What the elector logs goes to the subscriber of the thread that starts it.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| line += &format!(" {value:?}"));
        self.0.lock().unwrap().push(line);
    }
}

impl Lines {
    pub fn collect() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
        (lines, guard)
    }

    pub fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    /// Waits for a line of this level with these words. The log has a thread of its own, in real time.
    pub fn wait_for(&self, level: &str, words: &str) {
        let begin = std::time::Instant::now();
        while !self.0.lock().unwrap().iter().any(|line| line.starts_with(level) && line.contains(words)) {
            assert!(begin.elapsed() < Duration::from_secs(30), "{words}: {:?}", self.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn how_long_nobody_leads_after_a_deletion_and_for_whom() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    api.change(|spec| {
        spec.holder_identity = Some("gone_9".to_owned());
        spec.lease_duration_seconds = Some(i32::MAX);
    });
    let _running = Running::start(api.clone());
    seconds(1.0).await;
    lines.wait_for("WARN", "the holder claims the lease for 2147483647s");
    lines.wait_for("WARN", "\"gone_9\"");
    api.0.lock().unwrap().delete();
    seconds(3.0).await;
    lines.wait_for("INFO", "nobody leads for 60s: the lease is new");
    lines.wait_for("INFO", "\"gone_9\"");
}

#[tokio::test(start_paused = true)]
async fn that_an_unsettled_lease_is_left_to_expire() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::new();
    api.0.lock().unwrap().delete();
    let running = Running::start(api);
    seconds(1.0).await;
    running.released().await.unwrap();
    lines.wait_for("INFO", "leaving the lease to expire");
}

#[tokio::test(start_paused = true)]
async fn that_somebody_claimed_the_lease_in_this_replicas_name() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    let mut running = Running::start(api.clone());
    running.leads().await;
    api.change(|spec| spec.renew_time = None);
    running.lost().await;
    lines.wait_for("WARN", "somebody else claimed the lease in this replica's name");
}

#[tokio::test(start_paused = true)]
async fn that_the_watch_has_stalled() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    api.give_to("other_2");
    let _running = Running::start(api.clone());
    seconds(1.0).await;
    api.0.lock().unwrap().is_stalled = true;
    api.change(|spec| spec.lease_transitions = Some(5));
    seconds(12.0).await;
    lines.wait_for("WARN", "the watch has stalled");
}

const FORBIDDEN: &str = r#"{"kind":"Status","reason":"Forbidden","code":403,"message":"leases is forbidden"}"#;

#[tokio::test(start_paused = true)]
async fn what_to_do_about_a_lease_that_is_gone_and_may_not_be_created() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::with_watches();
    let mut running = Running::start(api.clone());
    running.leads().await;
    api.set(Mood::FailingPuts(403, FORBIDDEN));
    seconds(3.0).await;
    lines.wait_for("WARN", "failed to update lease");
    assert!(!lines.all().contains("create-lease"), "the Lease is there: {}", lines.all());
    api.0.lock().unwrap().delete();
    seconds(30.0).await;
    lines.wait_for("WARN", "the lease does not exist: apply it again");
    let told = lines.all().matches("component create-lease").count();
    assert_eq!(told, 1, "once, not at every attempt: {}", lines.all());
}

#[tokio::test(start_paused = true)]
async fn what_to_look_at_when_the_api_server_cannot_be_reached() {
    let (lines, _guard) = Lines::collect();
    let api = FakeApi::new();
    api.give_to("other_2");
    let _running = Running::start(api.clone());
    seconds(1.0).await;
    let told = || lines.all().matches("whether a NetworkPolicy or a firewall lets this pod out").count();
    for outage in 1..=2 {
        api.set(Mood::Hanging);
        seconds(60.0).await;
        let begin = std::time::Instant::now();
        while told() < outage && begin.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(told(), outage, "once in each outage, not at every attempt: {}", lines.all());
        api.set(Mood::Well);
        seconds(10.0).await;
    }
    api.set(Mood::Failing(500, "{}"));
    seconds(30.0).await;
    lines.wait_for("WARN", "(500)");
    assert_eq!(told(), 2, "it answers");
}
