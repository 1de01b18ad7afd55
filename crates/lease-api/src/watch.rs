//! Watches. Each takes events from the ring when its client is ready for more. So a client that does not read costs only its
//! place in the ring. Once that place has left the ring, the watch reports it and ends.

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

/// A watch without a time-out ends after this and up to half of it more. The clock's last digits serve as the random part.
const TIMEOUT_MIN: Duration = Duration::from_secs(1800);
/// How often a watch sends a bookmark, if its client wants them.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// How long before its end a watch sends its last bookmark.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// How many events are taken from the ring at a time.
const BATCH: usize = 64;

/// Answers with a watch.
///
/// # Errors
/// A `Status`, if the watch cannot begin.
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
        // An event of the watch, since the headers are on their way by then.
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

/// What a watch sends next.
#[derive(Debug)]
enum Tell {
    Object(&'static str, Arc<Value>),
    /// The object had this state, and was deleted with this revision.
    Deleted(Arc<Value>, u64),
    /// Everything before this revision has been sent; and whether that was the initial state.
    Bookmark(u64, bool),
    /// An error, after which the watch ends.
    Error(Bytes),
}

struct Watching {
    store: Store,
    changes: watch::Receiver<u64>,
    resource: Resource,
    /// `None` for all namespaces.
    namespace: Option<String>,
    options: ListOptions,
    form: Form,
    /// All events up to this revision have been sent or are pending.
    position: u64,
    /// At most a batch, except for the initial objects, which are shared with the store.
    pending: VecDeque<Tell>,
    /// Whether the columns of a table have been sent.
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
    /// Begins with the present objects.
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

    /// Returns the next line; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(tell) = self.pending.pop_front() {
                return self.told(tell);
            }
            if self.ended || Instant::now() >= self.end {
                return None;
            }
            // Before looking, so that later changes are noticed.
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
                // The store is gone, so nothing more will happen.
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

    /// Returns what an event means to a client that sees only selected objects.
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

    /// Writes the next line; `None` if the object cannot be shown in the client's form. Then the watch ends.
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
            // As kube-apiserver: with an object to send, it ends the watch silently, since an object is not a list.
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
