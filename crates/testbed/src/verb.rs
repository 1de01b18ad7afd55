//! The RBAC verb of a request, by the rules of the API server (`RequestInfoFactory`).

use std::fmt;

use hyper::{Method, Uri};

/// The verbs that RBAC knows, as the API server derives them from method and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Reads one object, or a path that is not a resource, such as `/version`.
    Get,
    /// Reads a collection.
    List,
    /// Watches a collection.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH, of any kind; server-side apply too.
    Patch,
    /// Deletes one object.
    Delete,
    /// Deletes a collection.
    DeleteCollection,
    /// A method that the API server maps to no verb.
    Other,
}

impl Verb {
    /// Its name in RBAC.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Other => "other",
        }
    }

    /// Whether it makes or changes an object. Electors renew in one of three ways: PUT, PATCH, and the first time POST.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Patch)
    }

    pub(crate) fn of(method: &Method, uri: &Uri) -> Self {
        let collection = Object::of(uri.path()).is_collection();
        match *method {
            Method::GET | Method::HEAD if collection && is_watch(uri.query().unwrap_or_default()) => Self::Watch,
            Method::GET | Method::HEAD if collection => Self::List,
            Method::GET | Method::HEAD => Self::Get,
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            Method::PATCH => Self::Patch,
            Method::DELETE if collection => Self::DeleteCollection,
            Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The object that a path names; empty where it names none.
pub(crate) struct Object<'a> {
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    /// Empty for a collection.
    pub(crate) name: &'a str,
}

impl<'a> Object<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, object) = match parts.as_slice() {
            ["api", _version, object @ ..] => ("", object),
            ["apis", group, _version, object @ ..] => (*group, object),
            _ => ("", &[][..]),
        };
        let object = match object {
            // `namespaces/x` is an object, `namespaces/x/leases` a collection in it.
            ["namespaces", _namespace, object @ ..] if !object.is_empty() => object,
            object => object,
        };
        let part = |index: usize| object.get(index).copied().unwrap_or_default();
        Self { group, resource: part(0), name: part(1) }
    }

    fn is_collection(&self) -> bool {
        !self.resource.is_empty() && self.name.is_empty()
    }
}

fn is_watch(query: &str) -> bool {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.any(|(key, value)| key == "watch" && value != "0" && !value.eq_ignore_ascii_case("false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";

    fn verb(method: Method, uri: &str) -> &'static str {
        Verb::of(&method, &uri.parse().unwrap()).name()
    }

    #[test]
    fn what_a_get_asks_depends_on_whether_the_path_names_an_object() {
        assert_eq!(verb(Method::GET, &format!("{LEASES}/mine")), "get");
        assert_eq!(verb(Method::GET, LEASES), "list");
        assert_eq!(verb(Method::GET, &format!("{LEASES}?fieldSelector=metadata.name%3Dmine")), "list");
        assert_eq!(verb(Method::GET, "/api/v1/namespaces"), "list");
        assert_eq!(verb(Method::GET, "/api/v1/namespaces/ns"), "get");
        assert_eq!(verb(Method::GET, "/api/v1/namespaces/ns/pods/p/log"), "get");
        assert_eq!(verb(Method::GET, "/api/v1/nodes"), "list");
        assert_eq!(verb(Method::GET, "/api/v1/nodes/n"), "get");
        assert_eq!(verb(Method::GET, "/apis/coordination.k8s.io/v1/leases"), "list");
    }

    #[test]
    fn only_the_query_of_a_collection_makes_a_watch() {
        assert_eq!(verb(Method::GET, &format!("{LEASES}?limit=1&watch=true")), "watch");
        assert_eq!(verb(Method::GET, &format!("{LEASES}?watch=1")), "watch");
        assert_eq!(verb(Method::GET, &format!("{LEASES}?watch=false")), "list");
        assert_eq!(verb(Method::GET, &format!("{LEASES}?allowWatchBookmarks=true")), "list");
        assert_eq!(verb(Method::GET, &format!("{LEASES}/mine?watch=true")), "get");
    }

    #[test]
    fn writes_go_by_their_method() {
        assert_eq!(verb(Method::POST, LEASES), "create");
        assert_eq!(verb(Method::PUT, &format!("{LEASES}/mine")), "update");
        assert_eq!(verb(Method::PATCH, &format!("{LEASES}/mine?fieldManager=x")), "patch");
        assert_eq!(verb(Method::DELETE, &format!("{LEASES}/mine")), "delete");
        assert_eq!(verb(Method::DELETE, LEASES), "deletecollection");
    }

    #[test]
    fn each_verb_that_may_renew_a_lease_is_a_write_and_no_other_is() {
        use Verb::*;
        assert!([Create, Update, Patch].into_iter().all(Verb::is_write));
        assert!(![Get, List, Watch, Delete, DeleteCollection, Other].into_iter().any(Verb::is_write));
    }

    #[test]
    fn a_path_that_is_not_a_resource_is_a_get() {
        for path in ["/version", "/readyz", "/api", "/api/v1", "/apis", "/apis/coordination.k8s.io/v1"] {
            assert_eq!(verb(Method::GET, path), "get", "{path}");
        }
    }
}
