//! `Elector::lead` against the embedded API server, in real time: the order of an end, and work that gets in the way.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use still_leading::{Config, End, Gate, LeadError, Lost, Term};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::common::{ApiServer, BOUND};

/// Lease duration, renew deadline and retry period of client-go.
const DEFAULT: (Duration, Duration, Duration) =
    (Duration::from_secs(15), Duration::from_secs(10), Duration::from_secs(2));

/// Blocks its thread for so long, whatever is asked of it.
fn block(duration: Duration) {
    thread::sleep(duration);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn the_lease_is_released_after_the_work_has_ended_and_the_next_one_leads_at_once() {
    let api = ApiServer::start();
    let (begun, mut terms) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let ended = Arc::new(AtomicBool::new(false));
    let (of_work, first) = (Arc::clone(&ended), api.elector("first"));
    let leading = tokio::spawn(first.lead(shutdown.clone().cancelled_owned(), move |term: Term| {
        let (begun, ended) = (begun.clone(), Arc::clone(&of_work));
        async move {
            begun.send(term.clone()).unwrap();
            term.cancelled().await;
            // Longer than the lease: it is renewed while the work drains.
            sleep(Duration::from_secs(4)).await;
            assert!(!term.is_over());
            ended.store(true, Ordering::SeqCst);
        }
    }));
    let term = terms.recv().await.unwrap();
    let mut second = api.elector("second").start();
    sleep(Duration::from_secs(1)).await;
    shutdown.cancel();
    let mut status = second.status();
    let next = tokio::select! {
        status = status.wait_for(|status| status.term.is_some()) => status.unwrap().term.clone().unwrap(),
        () = second.died() => panic!("the second elector has died"),
    };
    assert!(ended.load(Ordering::SeqCst), "the work had ended first");
    assert!(next.epoch() > term.epoch());
    assert_eq!(leading.await.unwrap(), Ok(End::Shutdown));
    assert_eq!(term.ended().await, Lost::Stopped);
    second.release().await.unwrap();
    assert_eq!(api.holder().as_deref(), Some(""));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn work_that_returns_or_panics_has_the_lease_released() {
    let api = ApiServer::start();
    let returned = api.elector("returns").lead(pending(), |_| async { 7 }).await;
    assert_eq!(returned, Ok(End::Returned(7)));
    assert_eq!(api.holder().as_deref(), Some(""));
    let panicked = api.elector("panics").lead(pending(), |_| async { panic!("a bug") }).await;
    assert_eq!(panicked, Err::<End<()>, _>(LeadError::Panicked("a bug".to_owned())));
    assert_eq!(api.holder().as_deref(), Some(""));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn work_that_overstays_keeps_the_lease_and_is_an_error() {
    let api = ApiServer::start();
    let elector = api.elector_with("stays", |config| config.drain_timeout = Duration::from_millis(500));
    let (begun, mut terms) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let leading = tokio::spawn(elector.lead(shutdown.clone().cancelled_owned(), move |term| {
        begun.send(term).unwrap();
        pending::<()>()
    }));
    let term: Term = terms.recv().await.unwrap();
    shutdown.cancel();
    let error = leading.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the work did not stop within 500ms (shutting down)");
    assert!(term.is_over(), "belief goes although the Lease stays");
    assert!(api.holder().unwrap().starts_with("stays_"));
}

/// The work occupies every thread of the application for longer than a lease, with the durations that most people use.
pub fn work_that_blocks_every_thread_of_the_application_costs_no_term() {
    const BLOCKED: Duration = Duration::from_secs(20);
    let api = ApiServer::start();
    let (begun, terms) = std::sync::mpsc::channel();
    let shutdown = CancellationToken::new();
    let with_defaults = |config: &mut Config| {
        (config.lease_duration, config.renew_deadline, config.retry_period) = DEFAULT;
    };
    let (leader, asked) = (api.elector_with("blocks", with_defaults), shutdown.clone());
    let application = thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(leader.lead(asked.cancelled_owned(), move |term: Term| {
            let begun = begun.clone();
            async move {
                // Two workers are all the threads that there are for tasks.
                tokio::spawn(async { thread::sleep(BLOCKED) });
                begun.send(term.clone()).unwrap();
                thread::sleep(BLOCKED);
                term.cancelled().await;
            }
        }))
    });
    let term: Term = terms.recv_timeout(BOUND).unwrap();
    let standby = api.elector_with("stands-by", with_defaults).start();
    let status = standby.status();
    let begin = Instant::now();
    let mut shortest = Duration::MAX;
    while begin.elapsed() < BLOCKED {
        shortest = shortest.min(term.remaining());
        assert!(status.borrow().term.is_none(), "a standby leads beside it");
        thread::sleep(Duration::from_millis(20));
    }
    // Renewed every two seconds, a term of ten lasts for eight at least. Half of that says that renewals went on.
    assert!(shortest > DEFAULT.1 / 2, "at one time it would have lasted for {shortest:?} only");
    shutdown.cancel();
    assert_eq!(application.join().unwrap(), Ok(End::Shutdown));
    assert_eq!(api.holder().as_deref().filter(|holder| holder.starts_with("blocks_")), None);
}

/// The future of `lead` is dropped. What it ran must not go on unnoticed, and the Lease must not be given away before it ends.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn dropping_the_future_aborts_the_work_and_releases_the_lease_after_its_end() {
    struct Running(Arc<AtomicBool>);
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }
    let api = ApiServer::start();
    let running = Arc::new(AtomicBool::new(false));
    let of_work = Arc::clone(&running);
    let leading = api.elector("dropped").lead(pending(), move |_| {
        let running = Arc::clone(&of_work);
        async move {
            running.store(true, Ordering::SeqCst);
            let _running = Running(running);
            loop {
                // Shorter than what a lost term leaves, so that it ends in time.
                block(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        }
    });
    let work_began = async {
        while !running.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        end = leading => panic!("{end:?}"),
        () = work_began => {}
    }
    let released = tokio::task::spawn_blocking(move || api.wait_for_holder(str::is_empty));
    released.await.unwrap();
    assert!(!running.load(Ordering::SeqCst), "the work had ended first");
}

/// How work ends while an act that it has begun blocks its thread, in a task of its own as those of a `Controller`.
#[derive(Clone, Copy, Debug)]
enum Way {
    Returns,
    Panics,
    IsDropped,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 3)]
pub async fn acts_of_every_gate_of_a_term_are_waited_for_before_the_release() {
    for way in [Way::Returns, Way::Panics, Way::IsDropped] {
        let api = ApiServer::start();
        let elector = api.elector_with("acts", |config| config.lease_duration = Duration::from_secs(4));
        let (begun, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (of_act, of_work) = (Arc::clone(&ended), Arc::clone(&begun));
        let leading = elector.lead(pending(), move |term| {
            let (ended, begun) = (Arc::clone(&of_act), Arc::clone(&of_work));
            async move {
                let (gate, told) = (Gate::from(term), Arc::clone(&begun));
                tokio::spawn(async move {
                    let act = async {
                        told.store(true, Ordering::SeqCst);
                        block(Duration::from_millis(700));
                        ended.store(true, Ordering::SeqCst);
                    };
                    gate.run(act).await
                });
                while !begun.load(Ordering::SeqCst) {
                    sleep(Duration::from_millis(10)).await;
                }
                match way {
                    Way::Returns => {}
                    Way::Panics => panic!("a bug"),
                    Way::IsDropped => pending().await,
                }
            }
        });
        let has_begun = async {
            while !begun.load(Ordering::SeqCst) || !matches!(way, Way::IsDropped) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = leading => {}
            () = has_begun => {}
        }
        let api = tokio::task::spawn_blocking(move || api.wait_for_holder(str::is_empty));
        api.await.unwrap();
        assert!(ended.load(Ordering::SeqCst), "{way:?}: an act ran on after the release");
    }
}
