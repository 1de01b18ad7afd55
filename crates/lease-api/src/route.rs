//! Reads what a request asks for from its path, as kube-apiserver does. Permissions depend on it, so it comes first.

use axum::http::{Method, Uri};

use crate::query::Query;
use crate::select::FieldSelector;

/// A request, by its path and method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info {
    pub path: String,
    /// The verb of the API, such as `list`. For a path that is not a resource, the method in lower case.
    pub verb: String,
    pub is_resource: bool,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    /// The name in the path, or in a selector that asks for one name.
    pub name: String,
    /// Whether the name is in the path.
    pub named: bool,
    /// Whether the path is longer than any that is served.
    pub too_long: bool,
}

/// What a request needs permission for.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Info {
    pub fn of(method: &Method, uri: &Uri, query: &Query) -> Self {
        let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
        let verb = method.as_str().to_lowercase();
        let parts: Vec<String> = path.trim_matches('/').split('/').map(str::to_owned).collect();
        let info = Self { path: path.clone(), verb, ..Self::default() };
        let (group, version, rest) = match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["api", version, ref rest @ ..] if !rest.is_empty() => (String::new(), version, rest.to_vec()),
            ["apis", group, version, ref rest @ ..] if !rest.is_empty() => (group.to_owned(), version, rest.to_vec()),
            _ => return info,
        };
        let info = Self { is_resource: true, group, version: version.to_owned(), ..info };
        info.resource(method, &rest, query)
    }

    fn resource(self, method: &Method, rest: &[&str], query: &Query) -> Self {
        let mut info = self;
        let rest = match rest {
            ["namespaces", namespace, inside @ ..] if !namespace.is_empty() => {
                info.namespace = (*namespace).to_owned();
                if inside.is_empty() || matches!(inside[0], "status" | "finalize") { rest } else { inside }
            }
            _ => rest,
        };
        let part = |index: usize| rest.get(index).map(|part| (*part).to_owned()).unwrap_or_default();
        (info.resource, info.name, info.subresource) = (part(0), part(1), part(2));
        info.named = !info.name.is_empty();
        info.too_long = rest.len() > 3;
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if info.named => "delete",
            Method::DELETE => "deletecollection",
            Method::GET | Method::HEAD if info.named => "get",
            Method::GET | Method::HEAD if query.flag("watch") => "watch",
            Method::GET | Method::HEAD => "list",
            _ => "",
        };
        info.verb = verb.to_owned();
        if matches!(verb, "list" | "watch")
            && !info.named
            && let Ok(selector) = FieldSelector::parse(query.text("fieldSelector"))
            && let Some(name) = selector.exactly("metadata.name")
            && crate::names::path_segment(name).is_empty()
        {
            info.name = name.to_owned();
        }
        info
    }

    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            verb: &self.verb,
            group: &self.group,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(method: Method, uri: &str) -> Info {
        let uri: Uri = uri.parse().unwrap();
        Info::of(&method, &uri, &Query::of(&uri))
    }

    #[test]
    fn a_path_is_read_as_kube_apiserver_does() {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
        for (method, uri, verb, resource, namespace, name) in [
            (Method::GET, leases.to_owned(), "list", "leases", "default", ""),
            (Method::GET, format!("{leases}?watch=1"), "watch", "leases", "default", ""),
            (
                Method::GET,
                format!("{leases}?watch=true&fieldSelector=metadata.name%3Da"),
                "watch",
                "leases",
                "default",
                "a",
            ),
            (Method::GET, format!("{leases}?watch=false"), "list", "leases", "default", ""),
            (Method::GET, format!("{leases}/a"), "get", "leases", "default", "a"),
            (Method::PATCH, format!("{leases}/a"), "patch", "leases", "default", "a"),
            (Method::DELETE, leases.to_owned(), "deletecollection", "leases", "default", ""),
            (Method::POST, "/api/v1/namespaces".to_owned(), "create", "namespaces", "", ""),
            (Method::GET, "/api/v1/namespaces/b".to_owned(), "get", "namespaces", "b", "b"),
        ] {
            let info = info(method, &uri);
            let read = (info.verb.as_str(), info.resource.as_str(), info.namespace.as_str(), info.name.as_str());
            assert_eq!(read, (verb, resource, namespace, name), "{uri}");
        }
    }

    #[test]
    fn other_paths_are_not_resources() {
        for uri in ["/", "/api", "/api/v1", "/apis/coordination.k8s.io/v1/", "/version"] {
            let info = info(Method::GET, uri);
            assert_eq!((info.is_resource, info.verb.as_str(), info.path.as_str()), (false, "get", uri));
        }
        let status = info(Method::PUT, "/api/v1/namespaces/b/status");
        assert_eq!((status.resource.as_str(), status.subresource.as_str()), ("namespaces", "status"));
    }
}
