//! Gates over a deadline that the tests move.

use std::future::pending;
use std::sync::Mutex;

use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// When the term is over, on Tokio's clock.
#[derive(Clone, Debug)]
struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    fn in_seconds(seconds: u32) -> Self {
        Self(Arc::new(Mutex::new(Instant::now() + seconds * SECOND)))
    }

    fn move_to_seconds_from_now(&self, seconds: u32) {
        *self.0.lock().unwrap() = Instant::now() + seconds * SECOND;
    }

    fn gate(&self) -> Gate {
        let until = self.0.clone();
        Gate::new(move || until.lock().unwrap().saturating_duration_since(Instant::now()), CancellationToken::new())
    }
}

#[tokio::test(start_paused = true)]
async fn an_act_that_ends_in_time_has_its_output() {
    let gate = Deadline::in_seconds(10).gate();
    assert!(gate.is_open());
    let act = async {
        sleep(9 * SECOND).await;
        7
    };
    assert_eq!(gate.run(act).await, Ok(7));
    assert_eq!(gate.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_act_begins_once_the_term_is_over() {
    let gate = Deadline::in_seconds(0).gate();
    assert!(!gate.is_open());
    assert_eq!(gate.run(async { unreachable!("it must not be polled") }).await, Err::<(), _>(NotLeading));
}

/// A reconcile that runs when a shutdown is asked for has yet to write.
#[tokio::test(start_paused = true)]
async fn what_has_begun_may_write_after_a_shutdown_was_asked_for() {
    let gate = Deadline::in_seconds(10).gate();
    let work = async {
        gate.cancellation_token().cancel();
        assert!(!gate.is_open(), "nothing else begins");
        gate.run(async { 7 }).await
    };
    assert_eq!(gate.run(work).await, Ok(Ok(7)));
}

#[tokio::test(start_paused = true)]
async fn an_act_is_dropped_at_the_end_of_the_term_which_renewals_move() {
    let deadline = Deadline::in_seconds(10);
    let gate = deadline.gate();
    let began = Instant::now();
    let run = gate.run(pending::<()>());
    let renew = async {
        sleep(8 * SECOND).await;
        deadline.move_to_seconds_from_now(10);
    };
    let (end, ()) = tokio::join!(run, renew);
    assert_eq!(end, Err(NotLeading));
    assert_eq!(began.elapsed().as_secs(), 18);
}

#[tokio::test(start_paused = true)]
async fn an_act_is_dropped_when_the_term_ends_before_its_time() {
    let deadline = Deadline::in_seconds(10);
    let gate = deadline.gate();
    let began = Instant::now();
    let lose = async {
        sleep(2 * SECOND).await;
        deadline.move_to_seconds_from_now(0);
    };
    let (end, ()) = tokio::join!(gate.run(pending::<()>()), lose);
    assert_eq!(end, Err(NotLeading));
    assert!(began.elapsed() <= 2 * SECOND + ASK_AGAIN, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_act_goes_on_after_a_shutdown_was_asked_for_and_ends_with_the_term() {
    let gate = Deadline::in_seconds(10).gate();
    let (token, began) = (gate.cancellation_token(), Instant::now());
    let ask = async {
        sleep(SECOND).await;
        token.cancel();
    };
    let act = async {
        sleep(5 * SECOND).await;
        7
    };
    let (done, never, ()) = tokio::join!(gate.run(act), gate.run(pending::<()>()), ask);
    assert_eq!((done, never), (Ok(7), Err(NotLeading)));
    assert_eq!(began.elapsed().as_secs(), 10);
}

/// The process was stopped in the middle of the act: no timer has fired since.
#[tokio::test(start_paused = true)]
async fn the_term_is_asked_before_each_step_of_an_act() {
    let deadline = Deadline::in_seconds(10);
    let gate = deadline.gate();
    let mut steps = 0;
    let act = async {
        steps += 1;
        deadline.move_to_seconds_from_now(0);
        yield_now().await;
        steps += 1;
    };
    assert_eq!(gate.run(act).await, Err(NotLeading));
    assert_eq!(steps, 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_idle_once_every_act_has_ended_also_those_that_were_dropped() {
    let gate = Deadline::in_seconds(10).gate();
    let of_task = gate.clone();
    let task = tokio::spawn(async move { of_task.run(pending::<()>()).await });
    let idle = gate.run(sleep(3 * SECOND));
    assert_eq!(idle.await, Ok(()));
    assert_eq!(gate.running(), 1);
    assert!(timeout(SECOND, gate.idle()).await.is_err(), "an act runs");
    task.abort();
    timeout(SECOND, gate.idle()).await.unwrap();
}

/// Else `idle` could return between the question and the act.
#[tokio::test(start_paused = true)]
async fn an_act_counts_before_the_term_is_asked() {
    let asked: Arc<Mutex<Option<Gate>>> = Arc::default();
    let counts = Arc::new(Mutex::new(Vec::new()));
    let (of_remaining, of_gate) = (counts.clone(), asked.clone());
    let remaining = move || {
        let gate = of_gate.lock().unwrap();
        of_remaining.lock().unwrap().extend(gate.as_ref().map(Gate::running));
        10 * SECOND
    };
    let gate = Gate::new(remaining, CancellationToken::new());
    *asked.lock().unwrap() = Some(gate.clone());
    assert_eq!(gate.run(async {}).await, Ok(()));
    assert!(counts.lock().unwrap().iter().all(|running| *running == 1), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_act_may_run_others_after_a_shutdown_was_asked_for_and_its_tasks_may_not() {
    let deadline = Deadline::in_seconds(10);
    let gate = deadline.gate();
    let of_task = gate.clone();
    let act = async {
        gate.cancellation_token().cancel();
        let within = gate.run(async { 7 }).await;
        let spawned = tokio::spawn(async move { of_task.run(async { 7 }).await }).await.unwrap();
        deadline.move_to_seconds_from_now(0);
        let late = gate.run(async { 7 }).await;
        (within, spawned, late)
    };
    assert_eq!(gate.run(act).await.unwrap(), (Ok(7), Err(NotLeading), Err(NotLeading)));
    assert_eq!(gate.run(async {}).await, Err(NotLeading));
}

/// Nothing can stop it, so it is waited for.
#[tokio::test]
async fn an_act_that_blocks_is_left_at_the_end_of_the_term_and_still_waited_for() {
    let deadline = Deadline::in_seconds(10);
    let gate = deadline.gate();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let act = gate.run_blocking(move || {
        deadline.move_to_seconds_from_now(0);
        wait.recv()
    });
    assert_eq!(act.await, Err(NotLeading));
    assert_eq!(gate.running(), 1);
    assert!(timeout(SECOND / 10, gate.idle()).await.is_err(), "the act runs");
    go.send(()).unwrap();
    timeout(60 * SECOND, gate.idle()).await.unwrap();
    assert_eq!(gate.run_blocking(|| unreachable!("it must not run")).await, Err::<(), _>(NotLeading));
}
