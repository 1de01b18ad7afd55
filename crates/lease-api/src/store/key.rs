//! The key of a stored object.

use crate::resource::Resource;

/// Identifies a stored object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The resource as which it is stored.
    pub resource: Resource,
    /// Empty for objects without a namespace.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource: resource.stored(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of a namespace.
    pub fn of_namespace(name: &str) -> Self {
        Self::new(Resource::Namespaces, "", name)
    }
}
