//! A future that goes on only while a term lasts.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Runs `future` until it has completed, or until the term is over: `None`. `is_over` asks the clock, and `over` wakes when that
/// may have changed.
pub(crate) async fn bounded<F: Future>(future: F, is_over: impl Fn() -> bool, over: impl Future) -> Option<F::Output> {
    let (mut future, mut over) = (pin!(future), pin!(over));
    poll_fn(|context| {
        // Asks the clock before each step: this process may have been stopped since the last one.
        if is_over() || over.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}
