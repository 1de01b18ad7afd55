//! What the elector says: log events and attempts. A thread of its own says it, since a subscriber that writes to a full
//! pipe, or a callback that blocks, must not hold up the election.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing::subscriber::NoSubscriber;
use tracing::{debug, dispatcher, error, info, warn};

use crate::config::Attempt;

/// So many things wait to be said. More are dropped, and counted.
const WAITING_MAX: usize = 256;
type OnAttempt = Arc<dyn Fn(Attempt) + Send + Sync>;

/// One thing to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    CannotRead(String),
    CannotWrite(String),
    CannotWatch(String),
    /// Several requests in a row have reached nobody.
    Unreached,
    /// There is no Lease, and this account may not create one.
    CannotCreate(String),
    /// The credentials, or another part of the configuration, were read anew.
    AccessRenewed,
    CannotRenewAccess(String),
    /// The API server has not let this replica in for long, for this reason.
    LockedOut(String),
    LostRace(String),
    /// The write was refused as if a race was lost, and nobody has written.
    RefusedWithoutRace,
    WatchStalled,
    Impersonated(String),
    /// The claim of this holder lasts for so long.
    LongClaim(String, Duration),
    /// Nobody leads for so long, since this holder of the Lease's predecessor may still act.
    Settling(Option<String>, Duration),
    LeftToExpire(Duration),
    Contending {
        lease: String,
        identity: String,
    },
    Leading {
        epoch: u64,
    },
    StoppedLeading(String),
    NewLeader(String),
    CouldNotRelease(String),
    /// This standby takes over from the leader, as soon as that has released.
    HandOverAccepted,
    /// To this standby, or to anybody.
    HandingOver(Option<String>),
    /// Nobody answers to this name, or this replica itself bears it.
    HandOverDropped(String),
    Overstayed(String),
}

enum Message {
    Note(Note),
    Attempt(Attempt),
    Flush(SyncSender<()>),
}

/// The way to the thread. Cheap to clone; the thread ends with its last clone.
#[derive(Clone, Debug)]
pub struct Reporter {
    messages: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Reporter {
    /// Starts the thread. It logs to the subscriber of the thread that calls this, and a trouble that lasts every
    /// `repeat_after`.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(repeat_after: Duration, on_attempt: Option<OnAttempt>) -> std::io::Result<Self> {
        let (messages, waiting) = sync_channel(WAITING_MAX);
        let subscriber = dispatcher::get_default(Clone::clone);
        let dropped = Arc::new(AtomicU64::new(0));
        let of_thread = Arc::clone(&dropped);
        let listen = move || {
            let listen = || report(&waiting, &of_thread, repeat_after, on_attempt.as_deref());
            // Without a subscriber the one counts that is installed later.
            if subscriber.is::<NoSubscriber>() { listen() } else { dispatcher::with_default(&subscriber, listen) }
        };
        thread::Builder::new().name("lease-reporter".to_owned()).spawn(listen)?;
        Ok(Self { messages, dropped })
    }

    pub(crate) fn note(&self, note: Note) {
        self.send(Message::Note(note));
    }

    pub(crate) fn attempt(&self, attempt: Attempt) {
        self.send(Message::Attempt(attempt));
    }

    /// Waits until everything before this was said, for at most `bound`.
    pub(crate) fn flush(&self, bound: Duration) {
        let (said, wait) = sync_channel(1);
        self.send(Message::Flush(said));
        // An error means that the bound has passed, or that the thread is gone. Neither can be helped.
        let _ = wait.recv_timeout(bound);
    }

    fn send(&self, message: Message) {
        // Never wait for the log: what does not fit is lost, and counted.
        if let Err(TrySendError::Full(_)) = self.messages.try_send(message) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn report(
    waiting: &Receiver<Message>,
    dropped: &AtomicU64,
    repeat_after: Duration,
    mut on_attempt: Option<&(dyn Fn(Attempt) + Send + Sync)>,
) {
    let mut refusal = String::new();
    let mut troubles = Troubles { repeat_after, last: HashMap::new() };
    for message in waiting {
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            warn!(dropped, "the log was too slow for the elector");
        }
        match message {
            Message::Note(note) => {
                let note = match note {
                    Note::LostRace(ref error) => {
                        refusal.clone_from(error);
                        note
                    }
                    Note::RefusedWithoutRace => Note::CannotWrite(refusal.clone()),
                    note => note,
                };
                if troubles.are_news(&note, Instant::now()) {
                    log(&note);
                }
            }
            Message::Attempt(attempt) => {
                // A callback that panics must not silence the log.
                let told = on_attempt.map(|tell| catch_unwind(AssertUnwindSafe(|| tell(attempt))));
                if let Some(Err(_)) = told {
                    error!("the callback on_attempt has panicked and is not called any more");
                    on_attempt = None;
                }
            }
            Message::Flush(said) => {
                // Whoever asked may have stopped waiting.
                let _ = said.try_send(());
            }
        }
    }
}

/// What was complained about, and when. Each new text is logged at once, and one that goes on once in a while.
struct Troubles {
    repeat_after: Duration,
    last: HashMap<Discriminant<Note>, (Note, Instant)>,
}

impl Troubles {
    fn are_news(&mut self, note: &Note, now: Instant) -> bool {
        let is_trouble = matches!(
            note,
            Note::CannotRead(_)
                | Note::CannotWrite(_)
                | Note::CannotWatch(_)
                | Note::CannotCreate(_)
                | Note::CannotRenewAccess(_)
        );
        if !is_trouble {
            return true;
        }
        let kind = discriminant(note);
        let is_known = self.last.get(&kind).is_some_and(|(known, at)| known == note && now < *at + self.repeat_after);
        if !is_known {
            self.last.insert(kind, (note.clone(), now));
        }
        !is_known
    }
}

fn log(note: &Note) {
    match note {
        Note::CannotRead(error) => warn!(error, "error retrieving lease"),
        Note::CannotWrite(error) => warn!(error, "failed to update lease"),
        Note::CannotWatch(error) => warn!(error, "cannot watch the lease, asking every retry period instead"),
        Note::Unreached => warn!(
            "the API server cannot be reached: look at its address and port, at DNS, and whether a NetworkPolicy or a firewall \
             lets this pod out to that port"
        ),
        Note::CannotCreate(error) => warn!(
            error,
            "the lease does not exist: apply it again, or grant `create` on it (in the kit, the component create-lease)"
        ),
        Note::AccessRenewed => info!("the credentials were read anew"),
        Note::CannotRenewAccess(error) => {
            warn!(error, "cannot read the credentials anew, keeping those from before");
        }
        Note::LockedOut(reason) => error!(reason, "locked out of the API server"),
        Note::LostRace(error) => debug!(error, "lost a race for the lease"),
        Note::RefusedWithoutRace => warn!("the write was refused although nobody has written the lease"),
        Note::WatchStalled => warn!("the watch has stalled, starting another one"),
        Note::Impersonated(identity) => {
            warn!(identity, "somebody else claimed the lease in this replica's name, waiting until it expires");
        }
        Note::LongClaim(holder, lasts) => warn!(
            holder,
            "the holder claims the lease for {lasts:?}; if it is gone, clear spec.holderIdentity by hand to end the wait"
        ),
        Note::Settling(predecessor, wait) => info!(
            predecessor,
            "nobody leads for {wait:?}: the lease is new, and a leader on its predecessor may still act"
        ),
        Note::LeftToExpire(wait) => info!(
            "leaving the lease to expire: a leader on its predecessor may still act for {wait:?}, so nobody may take over at once"
        ),
        Note::Contending { lease, identity } => info!(lease, identity, "attempting to acquire leader lease"),
        Note::Leading { epoch } => info!(epoch, "leading"),
        Note::StoppedLeading(reason) => info!(reason, "stopped leading"),
        Note::NewLeader(leader) => info!(leader, "new leader"),
        Note::CouldNotRelease(reason) => warn!(reason, "could not release the lease, it expires by itself"),
        Note::HandOverAccepted => info!("asked to take over from the leader, accepting"),
        Note::HandingOver(Some(successor)) => info!(successor, "handing over"),
        Note::HandingOver(None) => info!("handing over to anybody"),
        Note::HandOverDropped(name) => {
            warn!(name, "dropped the request to hand over: no standby has answered to this name");
        }
        Note::Overstayed(reason) => error!(reason, "exiting"),
    }
}

#[cfg(test)]
mod tests;
