//! Watches. Each pulls from the ring of events when its client is ready for more, so one that does not read costs
//! nothing but its place in it; once it has fallen out of the ring it is told so, and ends.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream::unfold;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::answer::{Form, response};
use crate::query::{ListOptions, revision};
use crate::read::{not_a_number, wait_for};
use crate::resource::Resource;
use crate::show::{ListMeta, partial, version_of, whole};
use crate::status::{Result, Status};
use crate::store::{Event, Store};
use crate::table::Table;

/// A watch that is not told how long ends after this and half of it again, as random as the clock is.
const TIMEOUT_MIN: Duration = Duration::from_secs(1800);
/// How often a watch is told where it is, if it wants to know.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// And so long before its end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// So many events are taken from the ring at a time.
const BATCH: usize = 64;

/// Answers with a watch.
///
/// # Errors
/// A `Status`, if it cannot begin.
pub async fn watch(
    store: &Store,
    resource: Resource,
    namespace: Option<String>,
    options: ListOptions,
    form: Form,
) -> Result<Response> {
    let asked = options.resource_version.as_str();
    let from = revision(asked).map_err(|why| Status::unexpected(not_a_number(asked, &why)))?;
    let initial = options.initial_events == Some(true);
    let mut failed = None;
    if initial {
        // Told in the watch, not instead of it: the headers are on their way by then.
        failed = wait_for(store, from).await.err();
    }
    let timeout = options.timeout_seconds.map_or_else(some_timeout, Duration::from_secs);
    let now = Instant::now();
    let mut watching = Watching {
        changes: store.changes(),
        store: store.clone(),
        resource,
        namespace,
        form,
        position: from,
        pending: VecDeque::new(),
        headed: false,
        end: now + timeout,
        bookmark: options.bookmarks.then(|| next_bookmark(now, now + timeout)).flatten(),
        ended: false,
        options,
    };
    if let Some(status) = failed {
        watching.fail(&status);
    } else if initial {
        watching.begin();
    } else if from == 0 {
        watching.position = store.lock().revision();
    }
    let stream = unfold(watching, |mut watching| async {
        let line = watching.next().await?;
        Some((Ok::<_, Infallible>(line), watching))
    });
    Ok(response(axum::http::StatusCode::OK, "application/json", Body::from_stream(stream)))
}

fn some_timeout() -> Duration {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    TIMEOUT_MIN + TIMEOUT_MIN.mul_f64(f64::from(nanos) / 1e9)
}

fn next_bookmark(now: Instant, end: Instant) -> Option<Instant> {
    let last = end.checked_sub(BOOKMARK_BEFORE_END)?;
    (last > now).then(|| last.min(now + BOOKMARK_PERIOD))
}

/// What is to be told.
#[derive(Debug)]
enum Tell {
    Object(&'static str, Arc<Value>),
    /// It was of this state, and is gone with this revision.
    Deleted(Arc<Value>, u64),
    /// All before this is told; and whether that was the beginning.
    Bookmark(u64, bool),
    /// Then it ends.
    Error(Bytes),
}

struct Watching {
    store: Store,
    changes: watch::Receiver<u64>,
    resource: Resource,
    /// None for all.
    namespace: Option<String>,
    options: ListOptions,
    form: Form,
    /// All events up to this revision are told or pending.
    position: u64,
    /// At most a batch, but for the objects that a watch begins with, which are shared with the store.
    pending: VecDeque<Tell>,
    /// Whether the columns of a table have been told.
    headed: bool,
    end: Instant,
    bookmark: Option<Instant>,
    ended: bool,
}

#[derive(Serialize)]
struct Line<T> {
    r#type: &'static str,
    object: T,
}

fn line(kind: &'static str, object: impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(&Line { r#type: kind, object }).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

impl Watching {
    /// With what is there.
    fn begin(&mut self) {
        let state = self.store.lock();
        let objects = state.list(self.resource, self.namespace.as_deref()).map(|(_, object)| object);
        let selected = objects.filter(|object| self.options.selection.matches(object));
        self.pending = selected.map(|object| Tell::Object("ADDED", Arc::clone(object))).collect();
        self.position = state.revision();
        drop(state);
        if self.options.bookmarks {
            self.pending.push_back(Tell::Bookmark(self.position, true));
        }
    }

    fn fail(&mut self, status: &Status) {
        self.pending.push_back(Tell::Error(line("ERROR", status)));
    }

    /// The next line; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(tell) = self.pending.pop_front() {
                return self.told(tell);
            }
            if self.ended || Instant::now() >= self.end {
                return None;
            }
            // Before looking, so that what comes after is noticed.
            self.changes.borrow_and_update();
            self.pull();
            if self.pending.is_empty() {
                self.wait().await;
            }
        }
    }

    async fn wait(&mut self) {
        let bookmark = self.bookmark.unwrap_or(self.end);
        tokio::select! {
            changed = self.changes.changed() => {
                // The store is gone, and nothing will ever happen again.
                self.ended |= changed.is_err();
            }
            () = sleep_until(bookmark.min(self.end)) => {
                if self.bookmark.is_some_and(|bookmark| bookmark <= Instant::now()) {
                    self.bookmark = next_bookmark(Instant::now(), self.end);
                    self.pending.push_back(Tell::Bookmark(self.position, false));
                }
            }
        }
    }

    /// Takes the next events from the ring.
    fn pull(&mut self) {
        let store = self.store.clone();
        let state = store.lock();
        let newest = state.revision();
        let events = match state.since(self.position) {
            Ok(events) => events,
            Err(old) => {
                let message = format!("too old resource version: {} ({})", old.asked, old.oldest);
                self.fail(&Status::expired(message));
                return;
            }
        };
        let mut taken = 0;
        for event in events {
            if taken == BATCH {
                return;
            }
            self.position = event.revision;
            if let Some(tell) = self.tell(event) {
                self.pending.push_back(tell);
                taken += 1;
            }
        }
        self.position = self.position.max(newest);
    }

    /// What an event means to whoever sees only what is selected.
    fn tell(&self, event: &Event) -> Option<Tell> {
        let key = &event.key;
        if key.resource != self.resource.stored()
            || self.namespace.as_ref().is_some_and(|namespace| *namespace != key.namespace)
        {
            return None;
        }
        let selected =
            |object: &Option<Arc<Value>>| object.clone().filter(|object| self.options.selection.matches(object));
        match (selected(&event.before), selected(&event.after)) {
            (None, None) => None,
            (None, Some(new)) => Some(Tell::Object("ADDED", new)),
            (Some(_), Some(new)) => Some(Tell::Object("MODIFIED", new)),
            (Some(old), None) => Some(Tell::Deleted(old, event.revision)),
        }
    }

    /// None if it cannot be told in that form; then the watch ends.
    fn told(&mut self, tell: Tell) -> Option<Bytes> {
        match tell {
            Tell::Object(kind, object) => self.shown(kind, &object),
            Tell::Deleted(object, revision) => {
                let mut object = Value::clone(&object);
                object["metadata"]["resourceVersion"] = revision.to_string().into();
                self.shown("DELETED", &object)
            }
            Tell::Bookmark(revision, beginning) => {
                let mut object = crate::schema::Type::Struct(self.resource.stored().object()).zero();
                object["metadata"]["resourceVersion"] = revision.to_string().into();
                if beginning {
                    object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
                }
                self.shown("BOOKMARK", &object)
            }
            Tell::Error(line) => {
                self.ended = true;
                Some(line)
            }
        }
    }

    fn shown(&mut self, kind: &'static str, object: &Value) -> Option<Bytes> {
        Some(match self.form {
            Form::Whole => line(kind, whole(self.resource, object)),
            Form::Metadata => line(kind, partial(object)),
            // kube-apiserver ends a watch without a word once it has an object to tell, since that is no list.
            Form::MetadataList => return None,
            Form::Table(include) => {
                let metadata = ListMeta { resource_version: version_of(object) };
                let table = Table::of(self.resource, include, metadata, [object]);
                let table = if self.headed { table.without_columns() } else { table };
                self.headed = true;
                line(kind, table)
            }
        })
    }
}

#[cfg(test)]
mod tests;
