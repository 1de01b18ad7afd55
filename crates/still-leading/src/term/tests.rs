//! Terms on a clock that the tests move.

use std::future::{pending, poll_fn};
use std::sync::Mutex;
use std::task::Poll;

use tokio::time::{Instant, advance};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Ten seconds after the start, unless moved.
#[derive(Debug)]
struct Hand(Mutex<Moment>);

impl Clock for Hand {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

fn term(valid_for: Duration) -> (Term, Arc<Hand>) {
    let clock = Arc::new(Hand(Mutex::new(10 * SECOND)));
    (Term::new(7, 10 * SECOND + valid_for, clock.clone()), clock)
}

fn move_to(clock: &Hand, seconds: u32) {
    *clock.0.lock().unwrap() = seconds * SECOND;
}

#[test]
fn a_term_says_how_long_it_lasts_and_renewals_move_the_end_of_all_clones() {
    let (term, clock) = term(10 * SECOND);
    let other = term.clone();
    assert_eq!((term.epoch(), term.remaining()), (7, 10 * SECOND));
    move_to(&clock, 15);
    assert!(term.extend(25 * SECOND));
    assert_eq!(other.remaining(), 10 * SECOND);
    assert!(term.extend(20 * SECOND), "an older renewal does not shorten it");
    assert_eq!(other.remaining(), 10 * SECOND);
}

#[test]
fn once_over_a_term_stays_over() {
    let (term, clock) = term(10 * SECOND);
    move_to(&clock, 20);
    assert!(term.is_over());
    assert!(!term.extend(60 * SECOND), "a renewal that was judged in time and comes too late");
    move_to(&clock, 10);
    assert!(term.is_over(), "even if the clock went back");
}

#[test]
fn a_renewal_after_the_end_is_refused_also_if_nobody_has_asked_since() {
    let (term, clock) = term(10 * SECOND);
    move_to(&clock, 20);
    assert!(!term.extend(60 * SECOND));
    assert!(term.is_over());
}

#[tokio::test(start_paused = true)]
async fn the_end_that_the_elector_declares_wakes_with_its_reason() {
    let (term, _clock) = term(10 * SECOND);
    let waiting = tokio::spawn({
        let term = term.clone();
        async move { term.ended().await }
    });
    tokio::task::yield_now().await;
    term.end(Lost::Cleared);
    assert_eq!(waiting.await.unwrap(), Lost::Cleared);
    assert!(term.is_over());
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_by_the_clock_if_nobody_declares_it() {
    let (term, clock) = term(10 * SECOND);
    let waiting = tokio::spawn({
        let term = term.clone();
        async move { term.ended().await }
    });
    tokio::task::yield_now().await;
    move_to(&clock, 20);
    advance(10 * SECOND).await;
    assert_eq!(waiting.await.unwrap(), Lost::RenewDeadline);
}

#[tokio::test(start_paused = true)]
async fn work_is_cancelled_by_a_shutdown_and_by_the_end_of_the_term() {
    let (first, _clock) = term(10 * SECOND);
    first.cancellation_token().cancel();
    first.cancelled().await;
    assert!(!first.is_over(), "it goes on until the work has ended");
    let (second, _clock) = term(10 * SECOND);
    second.end(Lost::Deleted);
    second.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_guarded_future_completes_or_is_dropped_at_the_end_of_the_term() {
    let (term, clock) = term(10 * SECOND);
    assert_eq!(term.guard(async { 5 }).await, Ok(5));
    let begin = Instant::now();
    let guarded = async {
        sleep(5 * SECOND).await;
        move_to(&clock, 20);
        pending::<()>().await;
    };
    assert_eq!(term.guard(guarded).await, Err(TermOver(Lost::RenewDeadline)));
    assert_eq!(begin.elapsed().as_secs(), 10);
    assert_eq!(term.guard(async { panic!("polled after the end") }).await, Err(TermOver(Lost::RenewDeadline)));
}

/// A process that was stopped: time has passed, and no timer has fired yet.
#[tokio::test(start_paused = true)]
async fn a_guarded_future_takes_no_step_after_the_end_although_no_timer_has_fired() {
    let (term, clock) = term(10 * SECOND);
    let mut steps = 0;
    let guarded = poll_fn(|context| {
        steps += 1;
        move_to(&clock, 20);
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    assert!(term.guard(guarded).await.is_err());
    assert_eq!(steps, 1);
}
