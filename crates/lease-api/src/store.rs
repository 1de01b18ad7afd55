//! Everything that is stored: objects, the latest events, users, and fences.
//!
//! There is one lock and one revision counter, so every read is linearizable and every write is a transaction.

mod events;
mod key;

pub use events::{Event, TooOld};
pub use key::Key;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::auth::Users;
use crate::fence::Fence;
use crate::ownership::Managed;
use crate::resource::Resource;
use events::Events;

/// Namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Limits of what is kept, so that memory is bounded whatever clients do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many of the latest changes can be watched again. A watch from before them ends with 410. Use a small number to test
    /// how a client handles that.
    pub watch_events: usize,
    /// The size of one object, as JSON. The body of a request and the intermediate result of a patch may be twice as long, as in
    /// kube-apiserver.
    pub object_bytes: usize,
    /// The number of objects, of all resources together.
    pub objects: usize,
}

impl Limits {
    pub(crate) fn body_bytes(&self) -> usize {
        self.object_bytes.saturating_mul(2)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { watch_events: 1000, object_bytes: 3 << 19, objects: 10_000 }
    }
}

/// A handle to everything that is stored. A clone is a handle to the same objects. The store survives its server, so that a
/// test can restart the server.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    limits: Limits,
    state: Mutex<State>,
    users: Mutex<Users>,
    fences: Mutex<Vec<Fence>>,
    revision: watch::Sender<u64>,
}

impl Store {
    /// Makes a store with only the namespaces that every cluster has.
    pub fn new(limits: Limits) -> Self {
        let (revision, _) = watch::channel(0);
        let mut state = State {
            revision: 0,
            objects: BTreeMap::new(),
            events: Events::new(limits.watch_events),
            changed: revision.clone(),
        };
        for name in NAMESPACES {
            let now = crate::time::now();
            let mut namespace = json!({"metadata": {"name": name, "uid": uuid::Uuid::new_v4().to_string(),
                "creationTimestamp": now}, "spec": {}, "status": {}});
            Resource::Namespaces.default(&mut namespace);
            let rules = Resource::Namespaces.rules();
            let managed = rules.updated(&rules.of.zero(), &namespace, Managed::default(), "kube-apiserver", &now);
            managed.write(&mut namespace);
            Resource::Namespaces.prepare(&mut namespace);
            state.put(&Key::of_namespace(name), namespace);
        }
        Self(Arc::new(Inner {
            limits,
            state: Mutex::new(state),
            users: Mutex::default(),
            fences: Mutex::default(),
            revision,
        }))
    }

    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Locks the state. A writer that panicked has committed in one step or not at all, so the state is consistent.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn users(&self) -> MutexGuard<'_, Users> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fences(&self) -> MutexGuard<'_, Vec<Fence>> {
        self.0.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the revision, which changes with every write.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// Shows no object and no token.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// What the lock protects.
pub struct State {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    events: Events,
    changed: watch::Sender<u64>,
}

impl State {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn count(&self) -> usize {
        self.objects.len()
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.objects.contains_key(key)
    }

    /// Lists a resource, in one namespace if one is given.
    pub fn list<'a>(
        &'a self,
        resource: Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let from = Key::new(resource, namespace.unwrap_or_default(), "");
        self.objects.range(from..).take_while(move |(key, _)| {
            key.resource == resource.stored() && namespace.is_none_or(|namespace| key.namespace == namespace)
        })
    }

    /// Returns the events after a revision.
    ///
    /// # Errors
    /// Fails when the oldest of them is not kept any more.
    pub fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, TooOld> {
        self.events.since(revision)
    }

    /// Creates or replaces an object, and returns it with its new `resourceVersion`.
    pub fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), self.revision.to_string().into());
        }
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        self.tell(Event { revision: self.revision, key: key.clone(), before, after: Some(Arc::clone(&object)) });
        object
    }

    pub fn remove(&mut self, key: &Key) {
        let Some(before) = self.objects.remove(key) else { return };
        self.revision += 1;
        self.tell(Event { revision: self.revision, key: key.clone(), before: Some(before), after: None });
    }

    fn tell(&mut self, event: Event) {
        self.events.push(event);
        self.changed.send_replace(self.revision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_stays_in_its_namespace_and_resource() {
        let store = Store::default();
        let mut state = store.lock();
        for (resource, namespace) in
            [(Resource::Leases, "a"), (Resource::Leases, "b"), (Resource::Leases, "c"), (Resource::Events, "b")]
        {
            state.put(&Key::new(resource, namespace, "x"), json!({"metadata": {}}));
        }
        assert_eq!(state.list(Resource::Leases, Some("b")).count(), 1);
        assert_eq!(state.list(Resource::Leases, None).count(), 3);
        assert_eq!(state.list(Resource::Namespaces, None).count(), NAMESPACES.len());
    }

    #[test]
    fn a_store_shows_nothing_of_what_is_in_it() {
        let store = Store::default();
        assert!(!format!("{store:?}").contains("kube-system"));
    }
}
