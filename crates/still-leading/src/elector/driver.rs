//! One elector at work: it owns the state, the request in flight and the watch, and publishes what it decides.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::lease::{Action, Event, Lost, Moment, Release, State, Timing, note, step};
use crate::report::{Note, Reporter};
use crate::requests::{Failure, Requests, Watch};
use crate::status::Status;
use crate::term::Term;

/// The pause after the first failed attempt to release. It doubles each time, up to the retry period.
const RELEASE_RETRY: Duration = Duration::from_millis(100);
/// A claim that lasts longer than so many of this replica's lease durations is worth a line in the log.
const LONG_CLAIM: u32 = 4;

/// Why the Lease could not be released. It expires by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Each attempt within the renew deadline failed, the last one for this reason.
    #[error("{0}")]
    Failed(String),
    /// The elector has died before.
    #[error("the elector has died")]
    Died,
}

type Request = Pin<Box<dyn Future<Output = Event> + Send>>;

/// The answer to the request in flight; waits for ever if there is none.
async fn answer(request: &mut Option<Request>) -> Event {
    match request {
        Some(pending) => {
            let event = pending.await;
            *request = None;
            event
        }
        None => std::future::pending().await,
    }
}

/// What the application asks for: to hand over to the replica of this name, or to anybody.
pub type Wish = Option<String>;

/// The next wish of the application; waits for ever if it cannot have one.
async fn wished(wishes: &mut Option<mpsc::UnboundedReceiver<Wish>>) -> Wish {
    if let Some(open) = wishes
        && let Some(wish) = open.recv().await
    {
        return wish;
    }
    std::future::pending().await
}

/// Completes when the work of the term has ended before the term, for another replica to lead.
async fn given_up(term: &Option<(u64, Term)>) {
    match term {
        Some((_, term)) => term.given_up().await,
        None => std::future::pending().await,
    }
}

/// See the file.
pub struct Driver {
    timing: Timing,
    requests: Requests,
    reporter: Reporter,
    clock: Arc<dyn Clock>,
    publish: watch::Sender<Status>,
    state: State,
    /// The decided term's number, and the term as it was published.
    term: Option<(u64, Term)>,
    wishes: Option<mpsc::UnboundedReceiver<Wish>>,
    /// `lead` runs the work.
    is_led: bool,
    request: Option<Request>,
    watch: Watch,
    watching_since: Moment,
    said: Said,
}

/// What was logged already, so that it is logged once.
#[derive(Default)]
struct Said {
    settling_until: Moment,
    long_claim: Option<String>,
    is_impersonated: bool,
    dropped_request: Option<String>,
}

impl Drop for Driver {
    /// Without an elector there is no term, however it ended.
    fn drop(&mut self) {
        self.end_term(Lost::Stopped);
        self.publish.send_modify(|status| status.term = None);
    }
}

impl Driver {
    /// Must be called on the runtime that it is to run on.
    pub fn new(requests: Requests, reporter: Reporter, clock: Arc<dyn Clock>, publish: watch::Sender<Status>) -> Self {
        let (timing, watch) = (requests.timing().clone(), requests.watch());
        let (state, said, watching_since) = (State::default(), Said::default(), clock.now());
        Self {
            timing,
            requests,
            reporter,
            clock,
            publish,
            state,
            term: None,
            wishes: None,
            is_led: false,
            request: None,
            watch,
            watching_since,
            said,
        }
    }

    /// As `self`, with an application that may ask to hand over.
    pub fn with_wishes(mut self, wishes: mpsc::UnboundedReceiver<Wish>) -> Self {
        self.wishes = Some(wishes);
        self
    }

    /// As `self`, for work that `lead` runs: whoever else asks for a hand-over only has that work cancelled.
    pub(crate) fn led(mut self) -> Self {
        self.is_led = true;
        self
    }

    /// Contends for the Lease until `release` is cancelled, then gives it up.
    pub async fn run(mut self, release: CancellationToken) -> Result<(), ReleaseError> {
        let mut event = Event::Tick;
        while !release.is_cancelled() {
            let wake = self.advance(event);
            // Timers stand still while the machine is suspended. So it looks at the clock every retry period at least.
            let pause = wake.saturating_sub(self.clock.now()).min(self.timing.retry_period);
            event = select! {
                // In this order: a shutdown, then the answer that is due, then what others did.
                biased;
                () = release.cancelled() => break,
                () = given_up(&self.term) => {
                    select! {
                        biased;
                        () = release.cancelled() => break,
                        () = self.hand_over() => {}
                    }
                    Event::Tick
                }
                event = answer(&mut self.request) => event,
                wish = wished(&mut self.wishes) => self.note_wish(wish),
                event = self.watch.next() => event,
                () = sleep(pause) => Event::Tick,
            };
        }
        self.release().await
    }

    /// Takes note of `event`, sends what is to be sent, and returns when to look again.
    fn advance(&mut self, mut event: Event) -> Moment {
        loop {
            let was_watching = self.state.is_watching();
            let by_read = matches!(event, Event::Read { .. });
            let action = step(&self.timing, &mut self.state, event, self.clock.now());
            self.tell();
            if by_read {
                self.look_after_watch(was_watching);
                if self.state.is_refused_without_race() {
                    self.reporter.note(Note::RefusedWithoutRace);
                }
            }
            let requests = self.requests.clone();
            match action {
                Action::Wait(wake) => {
                    if !self.state.is_waiting() {
                        self.request = None;
                    }
                    return wake;
                }
                Action::Read => self.request = Some(Box::pin(async move { requests.read().await })),
                Action::Write => {
                    let lease = self.state.claim(&self.timing, MicroTime(Timestamp::now()));
                    self.request = Some(Box::pin(async move { requests.write(lease).await }));
                    self.say_what_was_dropped();
                }
                Action::Accept => {
                    let lease = self.state.accept(&self.timing);
                    self.request = Some(Box::pin(async move { requests.write(lease).await }));
                    self.reporter.note(Note::HandOverAccepted);
                }
            }
            event = Event::Tick;
        }
    }

    /// Opens another watch if this one has stalled, or has said nothing since it was opened.
    fn look_after_watch(&mut self, was_watching: bool) {
        let now = self.clock.now();
        let is_mute = now.saturating_sub(self.watching_since) >= self.timing.renew_deadline;
        if !self.state.is_watching() && (was_watching || is_mute) {
            (self.watch, self.watching_since) = (self.requests.watch(), now);
            if was_watching {
                self.reporter.note(Note::WatchStalled);
            }
        }
    }

    /// Publishes what has changed. A term that is over turns invalid before anybody learns of it.
    fn tell(&mut self) {
        let decided = self.state.term();
        if self.term.as_ref().is_some_and(|(number, _)| decided.is_none_or(|decided| decided.number != *number)) {
            self.end_term(self.state.lost().cloned().unwrap_or(Lost::RenewDeadline));
        }
        if let Some(decided) = self.state.term() {
            let still_lasts = match &self.term {
                Some((_, term)) => term.extend(decided.valid_until),
                None => {
                    let term = Term::new(decided.epoch, decided.valid_until, Arc::clone(&self.clock));
                    self.term = Some((decided.number, if self.is_led { term.led() } else { term }));
                    true
                }
            };
            if !still_lasts {
                // Time has passed since this was decided, and somebody may have seen the end.
                self.state.forget_term();
                self.end_term(Lost::RenewDeadline);
            }
        }
        if let Some(successor) = self.state.successor(&self.timing) {
            self.ask_to_hand_over(Some(successor.to_owned()));
        }
        let of = |term: Option<&Term>| term.map(Term::epoch);
        let term = self.term.as_ref().map(|(_, term)| term);
        let (synced, leader) = (self.state.has_seen_lease(), self.state.holder());
        let locked_out = self.requests.locked_out();
        self.publish.send_if_modified(|status| {
            let is_same_term = match (&status.term, term) {
                (Some(before), Some(now)) => before.is_same_as(now),
                (before, now) => of(before.as_ref()) == of(now),
            };
            // What it says may vary. Since when it says so does not.
            let is_as_locked_out = status.locked_out.is_some() == locked_out.is_some();
            if is_same_term && is_as_locked_out && status.synced == synced && status.leader.as_deref() == leader {
                return false;
            }
            let (leader, lost) = (leader.map(str::to_owned), self.state.lost().cloned());
            *status = Status { synced, leader, term: term.cloned(), lost, locked_out };
            true
        });
        self.say();
    }

    fn end_term(&mut self, lost: Lost) {
        if let Some((_, term)) = self.term.take() {
            term.end(lost);
        }
    }

    fn note_wish(&mut self, wish: Wish) -> Event {
        match wish {
            Some(name) => Event::Asked(name),
            None => {
                self.ask_to_hand_over(None);
                Event::Tick
            }
        }
    }

    /// Has the work of the term end, if there is one.
    fn ask_to_hand_over(&self, to: Option<String>) {
        if self.term.as_ref().is_some_and(|(_, term)| term.ask_to_hand_over()) {
            self.reporter.note(Note::HandingOver(to));
        }
    }

    /// Logs once that nobody answers to a name. A claim that is refused is drafted again.
    fn say_what_was_dropped(&mut self) {
        let dropped = self.state.dropped_request().map(str::to_owned);
        if dropped != self.said.dropped_request {
            self.said.dropped_request.clone_from(&dropped);
            dropped.into_iter().for_each(|name| self.reporter.note(Note::HandOverDropped(name)));
        }
    }

    /// Logs what keeps this replica, or everybody, from leading.
    fn say(&mut self) {
        let now = self.clock.now();
        if let Some(settling) = self.state.settling(now).filter(|it| it.until > self.said.settling_until) {
            self.said.settling_until = settling.until;
            self.reporter.note(Note::Settling(settling.predecessor.clone(), settling.until.saturating_sub(now)));
        }
        let long = self
            .state
            .claimed_until(&self.timing)
            .filter(|(_, claimed)| *claimed > self.timing.lease_duration.saturating_mul(LONG_CLAIM));
        let holder = long.and(self.state.holder()).map(str::to_owned);
        if holder != self.said.long_claim {
            self.said.long_claim.clone_from(&holder);
            if let Some((holder, (_, claimed))) = holder.zip(long) {
                self.reporter.note(Note::LongClaim(holder, claimed));
            }
        }
        let is_impersonated = self.state.is_impersonated(&self.timing);
        if is_impersonated && !self.said.is_impersonated {
            self.reporter.note(Note::Impersonated(self.timing.identity.clone()));
        }
        self.said.is_impersonated = is_impersonated;
    }

    /// Belief off, then one guarded write, retried until the renew deadline. A request in flight is awaited first: it may
    /// be the one that acquires.
    async fn release(mut self) -> Result<(), ReleaseError> {
        self.end_term(Lost::Stopped);
        self.publish.send_modify(|status| status.term = None);
        self.give_up().await
    }

    /// Gives the Lease up in favour of another replica, in the same order. Then this one contends again, after the others.
    /// Nothing is lost if it is dropped for a release.
    async fn hand_over(&mut self) {
        self.state.hand_over();
        self.tell();
        if let Err(error) = self.give_up().await {
            self.reporter.note(Note::CouldNotRelease(error.to_string()));
        }
        // They were about the term that is over.
        if let Some(wishes) = &mut self.wishes {
            (0..wishes.len()).for_each(|_| drop(wishes.try_recv()));
        }
    }

    async fn give_up(&mut self) -> Result<(), ReleaseError> {
        if self.request.is_some() {
            // A read brings nothing that the release does not ask for itself.
            let event = if self.state.is_writing() { answer(&mut self.request).await } else { Event::ReadFailed };
            self.request = None;
            self.note(event);
        }
        let bound = self.timing.renew_deadline;
        let mut failure = "no answer".to_owned();
        match timeout(bound, self.release_until_done(&mut failure)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(ReleaseError::Failed(failure)),
        }
    }

    async fn release_until_done(&mut self, failure: &mut String) {
        let mut pause = RELEASE_RETRY.min(self.timing.retry_period);
        let mut was_refused = false;
        loop {
            let now = self.clock.now();
            let result = match self.state.release(MicroTime(Timestamp::now()), now) {
                Release::Nothing => return,
                Release::Unsettled(until) => {
                    self.reporter.note(Note::LeftToExpire(until.saturating_sub(now)));
                    return;
                }
                Release::Read => self.requests.get().await.map(|(lease, age)| self.note(Event::Read { lease, age })),
                Release::Put(lease) => match self.requests.put(*lease).await {
                    Ok(released) => return self.note(Event::Wrote(released)),
                    // Somebody wrote since, or took it: ask, and give up what is still ours. A second time in a row, as
                    // after any other failure, not at once.
                    Err(refused @ Failure::Refused(_)) => {
                        self.state.doubt();
                        if std::mem::replace(&mut was_refused, true) { Err(refused) } else { Ok(()) }
                    }
                    Err(failure) => Err(failure),
                },
            };
            if let Err(error) = result {
                *failure = error.to_string();
                sleep(pause).await;
                pause = (pause * 2).min(self.timing.retry_period);
            }
        }
    }

    fn note(&mut self, event: Event) {
        note(&self.timing, &mut self.state, event, self.clock.now());
    }
}

#[cfg(test)]
mod tests;
