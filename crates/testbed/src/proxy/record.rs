//! The record of the requests that went through a proxy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Uri;

use crate::history::now;
use crate::verb::Verb;

/// One request of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When its head arrived, in monotonic nanoseconds.
    pub at: u64,
    /// Its verb.
    pub verb: Verb,
    /// Path and query.
    pub path: String,
    /// Status of the response; `None` until one comes. A response that was lost has its status too: the API server has done
    /// what was asked, even if the replica does not know.
    pub status: Option<u16>,
    /// What the proxy did to it.
    pub effect: Effect,
}

/// What the proxy did to a request. What happened to its connection is not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// Passed it on, and the answer back.
    #[default]
    Passed,
    /// Answered it in place of the API server, which never saw it.
    Answered,
    /// Passed it on, but not the answer back, or not all of a watch.
    Lost,
    /// Held back the request, its answer, or events of a watch.
    Late,
}

impl Request {
    /// Whether the API server did what was asked.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The record. A clone is a handle to the same record.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Arc<Mutex<Vec<Request>>>);

impl Record {
    /// Records a request, and returns its place, for what is recorded of it later.
    pub(super) fn arrived(&self, verb: Verb, uri: &Uri) -> usize {
        let path = uri.to_string();
        let request = Request { at: now(), verb, path, status: None, effect: Effect::default() };
        let mut requests = self.lock();
        requests.push(request);
        requests.len() - 1
    }

    pub(super) fn answered(&self, place: usize, status: u16) {
        if let Some(request) = self.lock().get_mut(place) {
            request.status = Some(status);
        }
    }

    pub(super) fn met(&self, place: usize, effect: Effect) {
        if let Some(request) = self.lock().get_mut(place) {
            request.effect = effect;
        }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
