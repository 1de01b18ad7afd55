//! The order of things, on paused time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits { after_loss: Duration::from_secs(5), drain: Duration::from_secs(20) };

/// A term that lasts until this moment.
type Until = Instant;

struct Published(watch::Receiver<Option<Until>>);

impl Terms for Published {
    type Term = Until;

    async fn begin(&mut self) -> Until {
        self.0.wait_for(|term| term.is_some_and(|until| until > Instant::now())).await.unwrap().unwrap()
    }

    async fn over(&mut self, term: &Until) -> String {
        select! {
            _ = self.0.wait_for(|now| *now != Some(*term)) => "another replica leads".to_owned(),
            () = sleep_until(*term) => "the term ran out".to_owned(),
        }
    }

    fn is_over(&self, term: &Until) -> bool {
        *term <= Instant::now() || *self.0.borrow() != Some(*term)
    }
}

struct Leading {
    publish: watch::Sender<Option<Until>>,
    shutdown: CancellationToken,
    phases: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<Result<End<u32>, LeadError>>,
}

/// Leads with `work`, with no term yet.
fn leading<W, F>(work: W) -> Leading
where
    W: Fn(Until, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = u32> + Send + 'static,
{
    let (publish, terms) = watch::channel(None);
    let (shutdown, phases) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
    let (asked, seen) = (shutdown.clone(), Arc::clone(&phases));
    let observe = move |phase: Phase<'_, Until>| {
        seen.lock().unwrap().push(match phase {
            Phase::Contending => "contending".to_owned(),
            Phase::Leading(_) => "leading".to_owned(),
            Phase::Stopped(reason) => format!("stopped: {reason}"),
        });
    };
    let workers = Handle::current();
    let task =
        tokio::spawn(
            async move { lead(Published(terms), asked.cancelled_owned(), LIMITS, &workers, observe, work).await },
        );
    Leading { publish, shutdown, phases, task }
}

impl Leading {
    /// A term that begins now. Returns once its work may run.
    async fn begin(&self, lasts: Duration) {
        self.publish.send_replace(Some(Instant::now() + lasts));
        sleep(Duration::from_millis(1)).await;
    }

    fn phases(&self) -> Vec<String> {
        self.phases.lock().unwrap().clone()
    }
}

/// Ends so long after it was cancelled.
fn takes(to_end: Duration) -> impl Fn(Until, CancellationToken) -> std::pin::Pin<Box<dyn Future<Output = u32> + Send>> {
    move |_, cancelled| {
        Box::pin(async move {
            cancelled.cancelled().await;
            sleep(to_end).await;
            7
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_term_is_announced_worked_in_and_ended_in_this_order() {
    let it = leading(takes(SECOND));
    it.begin(60 * SECOND).await;
    it.shutdown.cancel();
    assert_eq!(it.task.await.unwrap(), Ok(End::Shutdown));
    assert_eq!(*it.phases.lock().unwrap(), ["contending", "leading", "stopped: shutting down"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_term_ends_the_work_and_another_one_starts_it_again() {
    let it = leading(takes(SECOND));
    it.begin(60 * SECOND).await;
    it.publish.send_replace(None);
    sleep(2 * SECOND).await;
    it.begin(60 * SECOND).await;
    assert_eq!(it.phases(), ["contending", "leading", "stopped: another replica leads", "contending", "leading"]);
}

#[tokio::test(start_paused = true)]
async fn the_work_ends_with_its_term_even_if_the_elector_says_nothing() {
    let it = leading(takes(SECOND));
    it.begin(3 * SECOND).await;
    sleep(5 * SECOND).await;
    assert_eq!(it.phases(), ["contending", "leading", "stopped: the term ran out", "contending"]);
}

#[tokio::test(start_paused = true)]
async fn a_term_that_is_over_starts_nothing() {
    let it = leading(takes(SECOND));
    it.publish.send_replace(Some(Instant::now()));
    sleep(5 * SECOND).await;
    assert_eq!(it.phases(), ["contending"]);
}

#[tokio::test(start_paused = true)]
async fn no_term_begins_once_a_shutdown_was_asked_for() {
    for _ in 0..50 {
        let it = leading(takes(SECOND));
        it.shutdown.cancel();
        it.publish.send_replace(Some(Instant::now() + 60 * SECOND));
        assert_eq!(it.task.await.unwrap(), Ok(End::Shutdown));
        assert_eq!(*it.phases.lock().unwrap(), ["contending"]);
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_stops_with_its_term_first_is_no_failure() {
    let it = leading(|until, _| async move {
        sleep_until(until).await;
        7
    });
    it.begin(3 * SECOND).await;
    sleep(5 * SECOND).await;
    assert!(!it.task.is_finished());
    assert_eq!(it.phases().len(), 4, "{:?}", it.phases());
}

#[tokio::test(start_paused = true)]
async fn work_that_returns_by_itself_ends_leading_with_its_result() {
    let it = leading(|_, _| async { 7 });
    it.begin(60 * SECOND).await;
    assert_eq!(it.task.await.unwrap(), Ok(End::Returned(7)));
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_ends_leading_with_its_message_wherever_it_panics() {
    let in_future = leading(|_, _| async { panic!("at {}", "noon") });
    in_future.begin(60 * SECOND).await;
    assert_eq!(in_future.task.await.unwrap(), Err(LeadError::Panicked("at noon".to_owned())));

    fn at_once(_: Until, _: CancellationToken) -> std::future::Ready<u32> {
        panic!("before the first await")
    }
    let in_closure = leading(at_once);
    in_closure.begin(60 * SECOND).await;
    assert_eq!(in_closure.task.await.unwrap(), Err(LeadError::Panicked("before the first await".to_owned())));

    let while_draining = leading(|_, cancelled| async move {
        cancelled.cancelled().await;
        panic!("too late")
    });
    while_draining.begin(60 * SECOND).await;
    while_draining.shutdown.cancel();
    assert_eq!(while_draining.task.await.unwrap(), Err(LeadError::Panicked("too late".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn work_that_outlives_a_lost_term_is_an_error_after_what_the_lease_has_left() {
    let it = leading(takes(3600 * SECOND));
    it.begin(60 * SECOND).await;
    let begin = Instant::now();
    it.publish.send_replace(None);
    let error = it.task.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the work did not stop within 5s (another replica leads)");
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn work_that_outlives_the_drain_time_out_is_an_error() {
    let it = leading(takes(3600 * SECOND));
    it.begin(3600 * SECOND).await;
    let begin = Instant::now();
    it.shutdown.cancel();
    let error = it.task.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the work did not stop within 20s (shutting down)");
    assert_eq!(begin.elapsed().as_secs(), 20);
}

/// The API server was away for nine seconds when the shutdown was asked for.
#[tokio::test(start_paused = true)]
async fn a_term_that_ends_while_the_work_drains_bounds_the_drain() {
    let it = leading(takes(8 * SECOND));
    it.begin(SECOND).await;
    let begin = Instant::now();
    it.shutdown.cancel();
    let error = it.task.await.unwrap().unwrap_err();
    assert_eq!(error, LeadError::Overstayed { bound: 5 * SECOND, reason: "the term ran out".to_owned() });
    assert_eq!(begin.elapsed().as_secs(), 5, "one second of the term and five after it, less what was used");
}

#[tokio::test(start_paused = true)]
async fn a_term_that_ends_while_the_work_drains_is_no_error_if_the_work_ends_in_time() {
    let it = leading(takes(4 * SECOND));
    it.begin(SECOND).await;
    it.shutdown.cancel();
    assert_eq!(it.task.await.unwrap(), Ok(End::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn dropping_it_drops_the_work() {
    struct Running(Arc<AtomicUsize>);
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let running = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&running);
    let it = leading(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        let alive = Running(Arc::clone(&count));
        async move {
            let _alive = alive;
            std::future::pending::<u32>().await
        }
    });
    it.begin(60 * SECOND).await;
    assert_eq!(running.load(Ordering::Relaxed), 1);
    it.task.abort();
    sleep(SECOND).await;
    assert_eq!(running.load(Ordering::Relaxed), 0);
}

/// Terms that can be handed over.
struct HandsOver {
    terms: Published,
    asked: CancellationToken,
    publish: watch::Sender<Option<Until>>,
    /// Done once, after it was looked whether a hand-over is asked for and before it is looked whether the work has ended.
    between: Option<Box<dyn FnOnce() + Send>>,
    /// The token of the work, if it is to be cancelled before the lease is given away.
    token: Arc<Mutex<Option<CancellationToken>>>,
}

impl Terms for HandsOver {
    type Term = Until;

    async fn begin(&mut self) -> Until {
        self.terms.begin().await
    }

    async fn over(&mut self, term: &Until) -> String {
        self.between.take().into_iter().for_each(|act| act());
        self.terms.over(term).await
    }

    fn is_over(&self, term: &Until) -> bool {
        self.terms.is_over(term)
    }

    fn asked_to_hand_over(&self, _: &Until) -> CancellationToken {
        self.asked.clone()
    }

    async fn hand_over(&mut self, _: &Until) -> Result<(), LeadError> {
        assert!(self.token.lock().unwrap().as_ref().is_none_or(CancellationToken::is_cancelled), "acts may begin");
        self.publish.send_replace(None);
        self.asked = CancellationToken::new();
        Ok(())
    }
}

/// Work that takes so long to end, a term that begins now, and a hand-over after a second.
async fn hands_over<W, F>(work: W, asks: bool) -> (Vec<String>, Result<End<u32>, LeadError>, Duration)
where
    W: Fn(Until, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = u32> + Send + 'static,
{
    let (publish, terms) = watch::channel(Some(Instant::now() + 60 * SECOND));
    let asked = CancellationToken::new();
    let token = Arc::default();
    let terms =
        HandsOver { terms: Published(terms), asked: asked.clone(), publish: publish.clone(), between: None, token };
    let (phases, shutdown) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let (seen, stop) = (Arc::clone(&phases), shutdown.clone());
    let began = Instant::now();
    let observe =
        move |phase: Phase<'_, Until>| seen.lock().unwrap().push(format!("{phase:?} {}", began.elapsed().as_secs()));
    let workers = Handle::current();
    let leading = async move { lead(terms, stop.cancelled_owned(), LIMITS, &workers, observe, work).await };
    let leading = tokio::spawn(leading);
    sleep(SECOND).await;
    if asks {
        asked.cancel();
    }
    while publish.borrow().is_some() && !leading.is_finished() {
        sleep(SECOND / 100).await;
    }
    let took = began.elapsed();
    shutdown.cancel();
    let end = leading.await.unwrap();
    let phases = phases.lock().unwrap().iter().filter(|phase| phase.starts_with("Stopped")).cloned().collect();
    (phases, end, took)
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_for_the_work_and_goes_on_to_the_next_term() {
    let (phases, end, took) = hands_over(takes(7 * SECOND), true).await;
    assert_eq!(phases, ["Stopped(\"handing over\") 8"]);
    assert_eq!(end, Ok(End::Shutdown), "it contended again");
    assert!(took >= 8 * SECOND, "given away after {took:?}, while the work still ran");
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_for_a_hand_over_keeps_the_lease() {
    let (_, end, _) = hands_over(|_, _| std::future::pending::<u32>(), true).await;
    let reason = "handing over".to_owned();
    assert_eq!(end, Err(LeadError::Overstayed { bound: LIMITS.drain, reason }));
}

/// The work asks for the hand-over itself and returns, on a thread of its own: its end may be seen before what it asked for.
#[tokio::test(start_paused = true)]
async fn work_that_returns_because_of_a_hand_over_does_not_end_the_replica() {
    let asked = CancellationToken::new();
    let (publish, terms) = watch::channel(Some(Instant::now() + 60 * SECOND));
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let begun = Arc::new(Mutex::new(begun));
    let of_between = asked.clone();
    let between = move || {
        of_between.cancel();
        begin.send(()).unwrap();
        // So long the work may take to return. If it takes longer, this test says nothing.
        std::thread::sleep(SECOND / 5);
    };
    let between: Option<Box<dyn FnOnce() + Send>> = Some(Box::new(between));
    let token = Arc::<Mutex<_>>::default();
    let of_work = Arc::clone(&token);
    let terms = HandsOver { terms: Published(terms), asked, publish: publish.clone(), between, token };
    let work = move |_, token| {
        *of_work.lock().unwrap() = Some(token);
        let begun = Arc::clone(&begun);
        async move {
            begun.lock().unwrap().recv().unwrap();
            7
        }
    };
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (shutdown, workers) = (CancellationToken::new(), threads.handle().clone());
    let stop = shutdown.clone();
    let leading =
        tokio::spawn(async move { lead(terms, stop.cancelled_owned(), LIMITS, &workers, |_| (), work).await });
    sleep(SECOND).await;
    assert!(publish.borrow().is_none() && !leading.is_finished());
    shutdown.cancel();
    assert_eq!(leading.await.unwrap(), Ok(End::Shutdown));
    threads.shutdown_background();
}
