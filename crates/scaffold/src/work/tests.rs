//! The terms of a replica, on paused time. How long `lead` takes and how it ends shows what the work does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits { after_loss: Duration::from_secs(5), drain: Duration::from_secs(20) };

fn view(status: &Status) -> Status {
    status.clone()
}

/// A term that runs out at `until`.
fn term(epoch: u64, until: Instant) -> Term {
    Term::new(Some(epoch), move || until.saturating_duration_since(Instant::now()))
}

fn status(term: Option<Term>) -> Status {
    Status { ready: true, leader: None, term, lost: Some("another replica leads".to_owned()) }
}

struct Lead {
    publish: watch::Sender<Status>,
    shutdown: CancellationToken,
    contended: Arc<AtomicUsize>,
    task: JoinHandle<Result<End<Result<()>>, LeadError>>,
}

impl Lead {
    fn start() -> Self {
        let (publish, beliefs) = watch::channel(status(None));
        let (shutdown, contended) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (token, count) = (shutdown.clone(), Arc::clone(&contended));
        let task = tokio::spawn(async move {
            let contending = move || {
                count.fetch_add(1, Ordering::Relaxed);
            };
            lead(
                beliefs,
                view,
                token,
                LIMITS,
                Work::ticking(Flags { tick: SECOND, act_duration: Duration::ZERO }),
                &Handle::current(),
                contending,
            )
            .await
        });
        Self { publish, shutdown, contended, task }
    }

    fn contended(&self) -> usize {
        self.contended.load(Ordering::Relaxed)
    }
}

/// Collects the messages of this thread's events while it is the default subscriber.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Messages {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut message = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            if field.name() == "message" {
                message = format!("{value:?}");
            }
        });
        self.0.lock().unwrap().push(message);
    }
}

impl Messages {
    fn collect() -> (Self, tracing::subscriber::DefaultGuard) {
        use tracing_subscriber::layer::SubscriberExt;
        let messages = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(messages.clone()));
        (messages, guard)
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_term_is_announced_acted_in_and_ended_in_this_order() {
    let (messages, _guard) = Messages::collect();
    let lead = Lead::start();
    lead.publish.send_replace(status(Some(term(1, Instant::now() + 60 * SECOND))));
    sleep(SECOND * 5 / 2).await;
    lead.shutdown.cancel();
    assert!(matches!(lead.task.await.unwrap(), Ok(End::Shutdown)));
    assert_eq!(messages.get(), ["leading", "still leading", "still leading", "leading cancelled", "stopped leading"]);
}

#[tokio::test(start_paused = true)]
async fn the_work_ends_with_its_term_even_if_the_elector_says_nothing() {
    let (messages, _guard) = Messages::collect();
    let lead = Lead::start();
    lead.publish.send_replace(status(Some(term(1, Instant::now() + SECOND * 3 / 2))));
    sleep(10 * SECOND).await;
    assert_eq!(messages.get(), ["leading", "still leading", "leading cancelled", "stopped leading"]);
    assert_eq!(lead.contended(), 2, "contends again");
}

#[tokio::test(start_paused = true)]
async fn a_lost_term_ends_the_work_at_once_and_another_one_starts_it_again() {
    let (messages, _guard) = Messages::collect();
    let lead = Lead::start();
    let far = Instant::now() + 60 * SECOND;
    lead.publish.send_replace(status(Some(term(1, far))));
    sleep(SECOND / 2).await;
    lead.publish.send_replace(status(None));
    sleep(SECOND / 2).await;
    lead.publish.send_replace(status(Some(term(2, far))));
    sleep(SECOND / 2).await;
    let once = ["leading", "leading cancelled", "stopped leading", "leading"];
    assert_eq!(messages.get(), once);
}

#[tokio::test(start_paused = true)]
async fn a_term_that_follows_another_without_a_gap_is_not_mistaken_for_it() {
    let (messages, _guard) = Messages::collect();
    let lead = Lead::start();
    let far = Instant::now() + 60 * SECOND;
    lead.publish.send_replace(status(Some(term(1, far))));
    sleep(SECOND / 2).await;
    lead.publish.send_replace(status(Some(term(2, far))));
    sleep(SECOND / 2).await;
    assert_eq!(messages.get(), ["leading", "leading cancelled", "stopped leading", "leading"]);
}

#[tokio::test(start_paused = true)]
async fn a_term_that_is_over_starts_nothing() {
    let (messages, _guard) = Messages::collect();
    let lead = Lead::start();
    lead.publish.send_replace(status(Some(term(1, Instant::now()))));
    sleep(5 * SECOND).await;
    assert!(messages.get().is_empty(), "{:?}", messages.get());
}

/// A term that is over when the work asks, and renewed a moment later.
#[tokio::test(start_paused = true)]
async fn a_term_that_is_renewed_just_as_it_is_over_stays_over_and_does_not_end_the_process() {
    let lead = Lead::start();
    for question in 0..10 {
        let asked = AtomicUsize::new(0);
        let flicker = Term::new(Some(question as u64), move || {
            if asked.fetch_add(1, Ordering::Relaxed) == question { Duration::ZERO } else { 10 * SECOND }
        });
        lead.publish.send_replace(status(Some(flicker.clone())));
        sleep(3 * SECOND).await;
        assert!(!lead.task.is_finished(), "{:?} after {question} questions", lead.task.await);
        while !flicker.remaining().is_zero() {}
        assert!(!flicker.may_act() && flicker.remaining().is_zero());
    }
}

/// A process that was stopped for a minute: the work gets no more time than the lease has left.
#[tokio::test(start_paused = true)]
async fn how_long_a_term_was_over_when_that_was_noticed_is_known() {
    for (lasts, belief_ends, overdue) in [(5, 60, 0), (60, 5, 0), (1 << 25, 5, 0)] {
        let first = term(1, Instant::now() + lasts * SECOND);
        let (publish, beliefs) = watch::channel(status(Some(first.clone())));
        tokio::spawn(async move {
            sleep(belief_ends * SECOND).await;
            publish.send_replace(status(None));
            pending::<()>().await;
        });
        let mut terms = Beliefs { beliefs, view, overdue: Duration::MAX };
        terms.over(&first).await;
        assert_eq!(terms.overdue(&first).as_secs(), overdue, "{lasts} s");
    }
    let for_life = Term::for_life();
    let (publish, beliefs) = watch::channel(status(Some(for_life.clone())));
    let mut terms = Beliefs { beliefs, view, overdue: Duration::MAX };
    let waiting = async {
        sleep(60 * SECOND).await;
        publish.send_replace(status(None));
    };
    tokio::join!(terms.over(&for_life), waiting);
    assert_eq!(terms.overdue(&for_life), Duration::ZERO);

    let second = term(2, Instant::now() + 5 * SECOND);
    let (_publish, beliefs) = watch::channel(status(Some(second.clone())));
    let mut terms = Beliefs { beliefs, view, overdue: Duration::ZERO };
    {
        let mut over = std::pin::pin!(terms.over(&second));
        assert!(tokio::time::timeout(SECOND, &mut over).await.is_err());
        // Nothing runs for a minute.
        tokio::time::advance(60 * SECOND).await;
        over.await;
    }
    assert_eq!(terms.overdue(&second).as_secs(), 56);
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_ends_the_work_then_gives_the_lease_and_contends_again() {
    let (messages, _guard) = Messages::collect();
    let lead = Lead::start();
    let (asked, publish) = (CancellationToken::new(), lead.publish.clone());
    let term = term(1, Instant::now() + 60 * SECOND);
    let give = move || drop(publish.send_replace(status(None)));
    lead.publish.send_replace(status(Some(term.with_hand_over(asked.clone(), give))));
    sleep(SECOND / 2).await;
    assert_eq!(lead.contended(), 1);
    asked.cancel();
    sleep(SECOND / 2).await;
    assert!(lead.publish.borrow().term.is_none(), "the lease is kept");
    assert_eq!(lead.contended(), 2);
    assert!(!lead.task.is_finished());
    assert_eq!(messages.get(), ["leading", "leading cancelled", "stopped leading"]);
}
