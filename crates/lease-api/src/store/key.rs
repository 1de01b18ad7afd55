//! What an object is stored under.

use crate::resource::Resource;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The one that it is stored as.
    pub resource: Resource,
    /// Empty for what is in none.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource: resource.stored(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Of a namespace itself.
    pub fn of_namespace(name: &str) -> Self {
        Self::new(Resource::Namespaces, "", name)
    }
}
