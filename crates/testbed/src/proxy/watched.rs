//! The body of a watch. It may last longer than a mode, so it checks each new mode.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::answer::{self, Body};
use super::fault::Action;
use super::record::Effect;
use super::route::Route;
use super::state::{Met, State};

/// How many parts of a delayed watch are held back here. Further parts wait in the connection.
const ARRIVED_MAX: usize = 1024;

/// A part of the body; `None` at its end.
type Part = Option<Result<Frame<Bytes>, hyper::Error>>;

pub(super) struct Watched<B> {
    body: B,
    /// The parts that have not been sent on yet, each with the moment until which latency holds it back. Only the first part
    /// may be sent, so the order stays.
    arrived: VecDeque<(Instant, Part)>,
    /// Whether the whole body has arrived, and whether everything for the replica has been sent.
    has_arrived: bool,
    has_ended: bool,
    /// Whether the replica has whole lines. Only then may something else follow.
    at_line_start: bool,
    met: Met,
    state: watch::Receiver<State>,
    route: Arc<Route>,
    place: usize,
}

impl<B> Watched<B>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + Send + Unpin + 'static,
{
    /// Makes the body of a watch that met `met` when it arrived. `place` is its place in the record.
    pub(super) fn new(body: B, met: Met, state: watch::Receiver<State>, route: Arc<Route>, place: usize) -> Self {
        let (arrived, has_arrived, has_ended, at_line_start) = (VecDeque::new(), false, false, true);
        Self { body, arrived, has_arrived, has_ended, at_line_start, met, state, route, place }
    }

    pub(super) fn into_body(self) -> Body {
        let parts = stream::unfold(self, |mut watched| async move { Some((watched.next().await?, watched)) });
        StreamBody::new(parts).boxed_unsync()
    }

    async fn next(&mut self) -> Part {
        while !self.has_ended {
            let action = self.look();
            match action {
                Some(Action::WatchClosed) if self.at_line_start => return self.end(None),
                Some(Action::WatchGone) if self.at_line_start => {
                    return self.end(Some(Ok(Frame::data(answer::expired()))));
                }
                _ => {}
            }
            let stalled = action == Some(Action::WatchStalled);
            let due = match action {
                Some(Action::Latency { .. }) => self.arrived.front().map(|(due, _)| *due),
                _ if stalled => None,
                _ if self.arrived.is_empty() => None,
                _ => return self.hand_on(),
            };
            let reads = !stalled && !self.has_arrived && self.arrived.len() < ARRIVED_MAX;
            tokio::select! {
                // The mode first: a part that arrives in the same moment has to meet it.
                biased;
                () = changed(&mut self.state) => {}
                () = until(due) => return self.hand_on(),
                part = self.body.frame(), if reads => self.take_in(action, part),
            }
        }
        None
    }

    /// Returns what the present mode does to this watch. Called once for each setting of the mode, since each call counts.
    fn look(&mut self) -> Option<Action> {
        let state = self.state.borrow_and_update();
        if state.is_over(self.met) {
            self.met = state.meet_in_flight();
        }
        drop(state);
        let effect = match self.met.action {
            Some(Action::WatchClosed | Action::WatchGone) => Effect::Lost,
            Some(Action::WatchStalled | Action::Latency { .. }) => Effect::Late,
            _ => return self.met.action,
        };
        self.route.record.met(self.place, effect);
        self.met.action
    }

    fn take_in(&mut self, action: Option<Action>, part: Part) {
        self.has_arrived = !matches!(part, Some(Ok(_)));
        let delay = match action {
            Some(Action::Latency { fixed, jitter }) => self.route.delay(fixed, jitter),
            _ => Duration::ZERO,
        };
        self.arrived.push_back((Instant::now() + delay, part));
    }

    fn hand_on(&mut self) -> Part {
        let (_, part) = self.arrived.pop_front()?;
        match &part {
            Some(Ok(frame)) => {
                self.at_line_start = frame.data_ref().is_none_or(|data| data.ends_with(b"\n"));
                part
            }
            // The end, or an error that ended it.
            _ => self.end(part),
        }
    }

    fn end(&mut self, last: Part) -> Part {
        self.has_ended = true;
        last
    }
}

/// Waits for a change of the mode. Never returns once the proxy is gone: the connection ends then, and this with it.
async fn changed(state: &mut watch::Receiver<State>) {
    if state.changed().await.is_err() {
        std::future::pending().await
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
