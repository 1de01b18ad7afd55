//! Reads: of one object, or of a list, as of now or as of then.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::go::quoted;
use crate::invalid::FieldError;
use crate::query::{ListOptions, Match, Query, revision};
use crate::resource::Resource;
use crate::status::{Result, Status};
use crate::store::{Key, Store};

/// So long kube-apiserver waits for a revision that is yet to come.
const FUTURE_BOUND: Duration = Duration::from_secs(3);

/// A `resourceVersion` that is no number, as reads tell it.
pub fn not_a_number(text: &str, why: &str) -> String {
    FieldError::invalid("resourceVersion", quoted(text), why).to_string()
}

/// Waits until the store has got that far.
///
/// # Errors
/// 504, if it does not.
pub async fn wait_for(store: &Store, wanted: u64) -> Result<()> {
    let mut changes = store.changes();
    let waiting = changes.wait_for(|revision| *revision >= wanted);
    match timeout(FUTURE_BOUND, waiting).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Status::resource_version_too_large(wanted, store.lock().revision())),
    }
}

/// One object.
///
/// # Errors
/// A `Status`.
pub async fn get(store: &Store, key: &Key, query: &Query) -> Result<Arc<Value>> {
    let asked = query.text("resourceVersion");
    let wanted = revision(asked).map_err(|why| Status::unexpected(not_a_number(asked, &why)))?;
    wait_for(store, wanted).await?;
    let found = store.lock().get(key);
    found.ok_or_else(|| Status::not_found(key.resource.subject(), &key.name))
}

/// A list, or a part of it.
#[derive(Debug, Default)]
pub struct Page {
    pub items: Vec<Arc<Value>>,
    pub revision: u64,
    /// To ask for the rest with; empty if there is none.
    pub resume: String,
    /// How many there are in the rest, if that is known.
    pub remaining: Option<usize>,
}

/// What a client sends back to get the rest.
#[derive(Debug, Deserialize, Serialize)]
struct Token {
    v: String,
    rv: u64,
    start: String,
}

impl Token {
    /// After that key.
    fn new(rv: u64, key: &Key, all_namespaces: bool) -> Self {
        let start = match all_namespaces {
            true => format!("/{}/{}\0", key.namespace, key.name),
            false => format!("/{}\0", key.name),
        };
        Self { v: "meta.k8s.io/v1".to_owned(), rv, start }
    }

    fn encoded(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decoded(text: &str) -> Result<Self> {
        let json = URL_SAFE_NO_PAD.decode(text).ok();
        let token = json.and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        token
            .filter(|token| token.v == "meta.k8s.io/v1" && token.start.starts_with('/') && token.rv > 0)
            .ok_or_else(|| Status::bad_request("invalid continue token: continue key is not valid"))
    }

    /// Whether the key is in the rest.
    fn covers(&self, key: &Key, all_namespaces: bool) -> bool {
        let start = &self.start[1..];
        match start.split_once('/') {
            Some((namespace, name)) if all_namespaces => {
                (key.namespace.as_str(), key.name.as_str()) >= (namespace, name)
            }
            _ => key.name.as_str() >= start,
        }
    }
}

/// A list of a resource; `namespace` is none for all.
///
/// # Errors
/// A `Status`.
pub async fn list(store: &Store, resource: Resource, namespace: Option<&str>, options: &ListOptions) -> Result<Page> {
    let asked = options.resource_version.as_str();
    let token = if options.resume.is_empty() { None } else { Some(Token::decoded(&options.resume)?) };
    if token.is_some() && !matches!(asked, "" | "0") {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    let wanted = revision(asked)
        .map_err(|why| Status::bad_request(format!("invalid resource version: {}", not_a_number(asked, &why))))?;
    wait_for(store, wanted.max(token.as_ref().map_or(0, |token| token.rv))).await?;
    // A page of an old list is of its revision, and so is the first one if a revision is given.
    let exact = match (&token, options.version_match) {
        (Some(token), _) => Some(token.rv),
        (None, Match::Exact) => Some(wanted),
        (None, Match::Unset) if options.limit > 0 && wanted > 0 => Some(wanted),
        _ => None,
    };
    let state = store.lock();
    let then = exact.unwrap_or_else(|| state.revision());
    let expired = match token {
        Some(_) => {
            "The provided continue parameter is too old to display a consistent list result. \
             You can start a new list without the continue parameter."
        }
        None => "The resourceVersion for the provided list is too old.",
    };
    let objects = match exact {
        Some(exact) => state.list_at(resource, namespace, exact).map_err(|_| Status::expired(expired.to_owned()))?,
        None => state.list(resource, namespace).map(|(key, object)| (key.clone(), Arc::clone(object))).collect(),
    };
    drop(state);
    let all_namespaces = namespace.is_none() && resource.namespaced();
    let covered = |key: &Key| token.as_ref().is_none_or(|token| token.covers(key, all_namespaces));
    let rest: Vec<_> = objects.into_iter().filter(|(key, _)| covered(key)).collect();
    // One object by its name is no list to be cut.
    let single = namespace.is_some() && options.selection.fields.exactly("metadata.name").is_some();
    let limit = if options.limit == 0 || asked == "0" || single { usize::MAX } else { options.limit };
    let count = rest.len();
    let mut page = Page { revision: then, ..Page::default() };
    for (index, (key, object)) in rest.into_iter().enumerate() {
        if !options.selection.matches(&object) {
            continue;
        }
        page.items.push(object);
        if page.items.len() == limit {
            if index + 1 < count {
                page.resume = Token::new(then, &key, all_namespaces).encoded();
                page.remaining = options.selection.is_empty().then_some(count - limit);
            }
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_covers_what_comes_after_its_key() {
        let key = |namespace: &str, name: &str| Key::new(Resource::Leases, namespace, name);
        let token = Token::decoded(&Token::new(7, &key("a", "x"), true).encoded()).unwrap();
        assert!(!token.covers(&key("a", "x"), true));
        assert!(token.covers(&key("a", "x1"), true));
        assert!(token.covers(&key("a-b", "a"), true));
        assert_eq!(
            Token::new(237, &key("default", "a"), false).encoded(),
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MjM3LCJzdGFydCI6Ii9hXHUwMDAwIn0"
        );
        for wrong in ["", "é", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIifQ"] {
            assert!(Token::decoded(wrong).is_err(), "{wrong}");
        }
    }
}
