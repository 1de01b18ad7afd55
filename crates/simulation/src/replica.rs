//! One process with an elector: the same steps as the library's elector/driver.rs, with virtual time in place of tokio.
//!
//! This is a mirror, and a mirror may be wrong. `tests/driver.rs` runs the real driver through the same histories and
//! compares.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use still_leading::Lost;
use still_leading::internals::{Action, Event, Moment, State, Timing, step};

use crate::control::{Control, shown, timed};
use crate::releasing::Releasing;
use crate::server::{holder, version};
use crate::time::{Clock, NEVER, Ns, nanos};
use crate::wall::Wall;
use crate::watch::{Want, Watch};

/// What a replica does to the world.
#[derive(Clone, Debug)]
pub enum Effect {
    /// It sends a read, or a write of this Lease.
    Request(u64, Option<Box<Lease>>),
    /// It asks for a watch.
    Watch(u64),
    /// Its term began, with this epoch.
    Began(u64),
    /// Its term ended.
    Ended(Lost),
    /// It leads although it was shown this Lease, which another one holds.
    Saw(Box<Lease>),
    /// Its process has ended in order.
    Exited,
    /// Something for the trace.
    Said(String),
}

/// The request in flight.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) id: u64,
    pub(crate) is_write: bool,
    gives_up: Ns,
    answer: Option<Event>,
}

/// The term as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    number: u64,
    /// The fencing token.
    pub epoch: u64,
    /// The end by the replica's own clock.
    pub valid_until: Moment,
}

/// See the file.
#[derive(Debug)]
pub struct Replica {
    pub(crate) timing: Timing,
    /// Its own clock, which decides.
    pub clock: Clock,
    /// Its wall clock, which only goes into the Lease.
    pub wall: Wall,
    pub(crate) state: State,
    pub(crate) published: Option<Published>,
    pub(crate) pending: Option<Pending>,
    inbox: VecDeque<Event>,
    /// What its application asks for.
    wishes: VecDeque<String>,
    watch: Watch,
    /// When it was opened, on the replica's clock.
    watching_since: Duration,
    wake: Ns,
    pub(crate) releasing: Option<Releasing>,
    /// It was asked to end while it hands over.
    is_stopping: bool,
    /// When its work has ended for a hand-over.
    work_ends: Option<Ns>,
    has_exited: bool,
    requests: u64,
    control: Option<Control>,
    is_traced: bool,
    pub(crate) effects: Vec<Effect>,
    /// The highest resourceVersion that it was shown.
    pub(crate) shown: u64,
}

impl Replica {
    /// A process that starts at `clock.started`.
    pub fn start(timing: Timing, clock: Clock, wall: Wall, control: Option<Control>, is_traced: bool) -> Self {
        Self {
            timing: timed(control, timing),
            clock,
            wall,
            state: State::default(),
            published: None,
            pending: None,
            inbox: VecDeque::new(),
            wishes: VecDeque::new(),
            watch: Watch::start(0, clock.started),
            watching_since: Duration::ZERO,
            wake: 0,
            releasing: None,
            is_stopping: false,
            work_ends: None,
            has_exited: false,
            requests: 0,
            control,
            is_traced,
            effects: Vec::new(),
            shown: 0,
        }
    }

    /// Its name in the Lease.
    pub fn identity(&self) -> &str {
        &self.timing.identity
    }

    /// The term that its work believes in at `now`, if it lasts.
    pub fn term(&self, now: Ns) -> Option<Published> {
        self.published.filter(|term| self.clock.local(now) < term.valid_until)
    }

    /// The answer to the request `id`. Nobody waits for that of one that was given up.
    pub fn answered(&mut self, id: u64, event: Event) {
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.id == id) {
            pending.answer = Some(event);
        }
    }

    /// What the watch `number` shows.
    pub fn watched(&mut self, number: u64, event: Event) {
        if self.watch.is_open(number) {
            self.inbox.push_back(event);
        }
    }

    /// The server has accepted the watch `number`.
    pub fn watch_opened(&mut self, number: u64) -> bool {
        self.watch.opened(number)
    }

    /// The watch `number` has ended or was refused.
    pub fn watch_ended(&mut self, number: u64) {
        if self.watch.ends(number).is_some() {
            self.inbox.push_back(Event::WatchEnded);
        }
    }

    /// The number of its present watch.
    pub fn watch_number(&self) -> u64 {
        self.watch.number()
    }

    /// SIGTERM: from now on its work does not act, and it gives the Lease up.
    pub fn stop(&mut self) {
        if self.has_exited {
            return;
        }
        self.end(Lost::Stopped);
        match &self.releasing {
            Some(releasing) => self.is_stopping |= releasing.is_hand_over,
            None => self.releasing = Some(Releasing::default()),
        }
    }

    /// The application asks to hand over to the replica of this name.
    pub fn wish(&mut self, name: String) {
        self.wishes.push_back(name);
    }

    /// The application gives its leadership away, if it has it.
    pub fn give_up(&mut self, now: Ns) {
        if self.published.is_some() {
            self.work_ends = Some(now);
        }
    }

    /// When something is due without anything coming from outside.
    pub fn due(&self) -> Ns {
        if self.has_exited {
            return NEVER;
        }
        let request = self.pending.as_ref().map_or(NEVER, |pending| pending.gives_up);
        let work_ends = self.work_ends.unwrap_or(NEVER);
        let own = self.releasing.as_ref().map_or(self.wake.min(work_ends), Releasing::due);
        // The watch goes on while it releases, although nobody looks at it.
        own.min(request).min(self.watch.due().unwrap_or(NEVER))
    }

    /// Does all that is due at `now`, in the order in which the driver's `select!` takes it: the answer, then what others
    /// did, then the timer.
    pub fn poll(&mut self, now: Ns) -> Vec<Effect> {
        while !self.has_exited {
            self.poll_watch(now);
            if let Some(mut releasing) = self.releasing.take() {
                let goes_on = releasing.poll(self, now);
                self.releasing = Some(releasing).filter(|releasing| !releasing.is_done);
                if releasing.is_done && self.is_stopping {
                    self.releasing = Some(Releasing::default());
                } else if releasing.is_done {
                    self.advance(Event::Tick, now);
                }
                if goes_on {
                    continue;
                }
                break;
            }
            if self.work_ends.is_some_and(|ends| ends <= now) {
                self.hand_over(now);
                continue;
            }
            if let Some(name) = self.wishes.pop_front() {
                self.advance(Event::Asked(name), now);
            } else if let Some(event) = self.due_answer(now) {
                self.advance(event, now);
            } else if let Some(event) = self.inbox.pop_front() {
                self.advance(event, now);
            } else if self.wake <= now {
                self.advance(Event::Tick, now);
            } else {
                break;
            }
        }
        std::mem::take(&mut self.effects)
    }

    /// Ends its term and gives the Lease up. It contends again after that.
    fn hand_over(&mut self, now: Ns) {
        self.state.hand_over();
        self.publish(self.clock.local(now));
        self.work_ends = None;
        self.releasing = Some(Releasing { is_hand_over: true, ..Releasing::default() });
    }

    pub(crate) fn exit(&mut self) {
        (self.has_exited, self.pending) = (true, None);
        self.effects.push(Effect::Exited);
    }

    fn poll_watch(&mut self, now: Ns) {
        let (timeout, retry) =
            (self.in_virtual(self.timing.attempt_timeout()), self.in_virtual(self.timing.retry_period));
        while let Some(want) = self.watch.poll(now, timeout, retry) {
            match want {
                Want::Open(number) => self.effects.push(Effect::Watch(number)),
                Want::Ended => self.inbox.push_back(Event::WatchEnded),
            }
        }
    }

    /// The answer, or the failure of a request that has waited for too long. As `timeout` of tokio does, it looks for the
    /// answer first.
    pub(crate) fn due_answer(&mut self, now: Ns) -> Option<Event> {
        let pending = self.pending.as_mut()?;
        let failed = if pending.is_write { Event::WriteFailed } else { Event::ReadFailed };
        let event = pending.answer.take().or_else(|| (pending.gives_up <= now).then_some(failed))?;
        self.pending = None;
        Some(event)
    }

    fn advance(&mut self, event: Event, now: Ns) {
        let moment = self.clock.local(now);
        let wall_clock = self.wall.micros(now);
        self.say(|| format!("event {}", crate::trace::event(&event)));
        let is_answer = matches!(event, Event::Wrote(_));
        let foreign = self.look(&event);
        let mut event = shown(self.control, event, &self.timing, self.published.is_some(), wall_clock);
        loop {
            let (was_watching, by_read) = (self.state.is_watching(), matches!(event, Event::Read { .. }));
            let action = step(&self.timing, &mut self.state, event, moment);
            self.publish(moment);
            if self.state.successor(&self.timing).is_some() && self.published.is_some() && self.work_ends.is_none() {
                self.work_ends = Some(now + nanos(self.in_virtual(work_takes(&self.timing))));
            }
            self.say(|| format!("  does {action:?}"));
            let is_mute = moment.saturating_sub(self.watching_since) >= self.timing.renew_deadline;
            if by_read && !self.state.is_watching() && (was_watching || is_mute) {
                self.watch = Watch::start(self.watch.number(), now);
                self.watching_since = moment;
                self.inbox.clear();
            }
            match action {
                Action::Wait(wake) => {
                    if !self.state.is_waiting() {
                        self.give_up_request();
                    }
                    let pause = wake.saturating_sub(moment).min(self.timing.retry_period);
                    self.wake = self.clock.global(moment + pause);
                    break;
                }
                Action::Read => self.send(None, now),
                Action::Write => {
                    let lease = self.state.claim(&self.timing, micro_time(wall_clock));
                    self.send(Some(Box::new(lease)), now);
                }
                Action::Accept => {
                    let lease = self.state.accept(&self.timing);
                    self.send(Some(Box::new(lease)), now);
                }
            }
            event = Event::Tick;
        }
        if self.control == Some(Control::FromTheAnswer) && is_answer {
            let from_answer = moment + self.timing.renew_deadline;
            self.published.iter_mut().for_each(|term| term.valid_until = from_answer);
        }
        if let Some(lease) = foreign.filter(|_| self.published.is_some()) {
            self.effects.push(Effect::Saw(lease));
        }
    }

    /// Remembers which version it was shown, and returns the Lease if another one holds it while this replica leads.
    fn look(&mut self, event: &Event) -> Option<Box<Lease>> {
        let lease = match event {
            Event::Watched(lease) | Event::Wrote(lease) | Event::Read { lease: Some(lease), .. } => lease,
            _ => return None,
        };
        let number = version(lease).parse().unwrap_or(0);
        // A watch may show what is outdated, and only a read tells that from a restored backup.
        let is_outdated = number < self.shown && !matches!(event, Event::Read { .. });
        self.shown = self.shown.max(number);
        let is_foreign = self.published.is_some() && holder(lease).is_some_and(|holder| holder != self.timing.identity);
        (is_foreign && !is_outdated).then(|| Box::new(lease.clone()))
    }

    pub(crate) fn send(&mut self, lease: Option<Box<Lease>>, now: Ns) {
        self.give_up_request();
        self.requests += 1;
        let gives_up = now + nanos(self.in_virtual(self.timing.attempt_timeout()));
        self.pending = Some(Pending { id: self.requests, is_write: lease.is_some(), gives_up, answer: None });
        self.effects.push(Effect::Request(self.requests, lease));
    }

    /// Does not wait for the request any more. One that is given up in the moment of its making is never sent: the worker
    /// of `kube`'s client finds it cancelled.
    pub(crate) fn give_up_request(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        let is_it = |effect: &Effect| matches!(effect, Effect::Request(id, _) if *id == pending.id);
        if self.effects.iter().any(is_it) {
            self.effects.retain(|effect| !is_it(effect));
            self.requests -= 1;
        }
    }

    /// Publishes what has changed. As `tell` of the driver.
    fn publish(&mut self, now: Moment) {
        let decided = self.state.term().map(|term| term.number);
        let is_another = self.published.is_some_and(|term| decided != Some(term.number));
        let goes_on = self.lasts_by_the_answer(now) || self.works_on(now);
        if is_another && !(decided.is_none() && goes_on) {
            self.end(self.state.lost().cloned().unwrap_or(Lost::RenewDeadline));
        }
        let Some(decided) = self.state.term() else { return };
        let (number, epoch, valid_until) = (decided.number, decided.epoch, decided.valid_until);
        match &mut self.published {
            Some(term) if now < term.valid_until => term.valid_until = term.valid_until.max(valid_until),
            Some(_) => {
                self.state.forget_term();
                self.end(Lost::RenewDeadline);
            }
            None => {
                self.published = Some(Published { number, epoch, valid_until });
                self.effects.push(Effect::Began(epoch));
            }
        }
    }

    /// Negative control: a term that ran out goes on as if it counted from the answer.
    fn lasts_by_the_answer(&self, now: Moment) -> bool {
        self.control == Some(Control::FromTheAnswer)
            && self.state.lost() == Some(&Lost::RenewDeadline)
            && self.published.is_some_and(|term| now < term.valid_until)
    }

    /// Negative control: the work of a term that was handed over goes on until the term would have ended.
    fn works_on(&self, now: Moment) -> bool {
        self.control == Some(Control::ReleasesBeforeTheWorkEnds)
            && self.state.lost() == Some(&Lost::HandedOver)
            && self.published.is_some_and(|term| now < term.valid_until)
    }

    fn end(&mut self, lost: Lost) {
        self.work_ends = None;
        if self.published.take().is_some() {
            self.effects.push(Effect::Ended(lost));
        }
    }

    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        if self.is_traced {
            self.effects.push(Effect::Said(text()));
        }
    }

    /// A duration of this replica's clock, in virtual time.
    pub(crate) fn in_virtual(&self, duration: Duration) -> Duration {
        Duration::from_nanos(self.clock.global(duration).saturating_sub(self.clock.started))
    }
}

/// How long the work takes to end when it is asked to, for a hand-over.
pub fn work_takes(timing: &Timing) -> Duration {
    timing.retry_period / 2
}

pub(crate) fn micro_time(micros: i64) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX))
}
