//! Authentication and authorization: who sends a request, and what they may do.

use std::collections::HashMap;
use std::fmt;

use axum::http::{HeaderMap, header};
use serde::Deserialize;

use crate::route::{Attributes, Info};
use crate::status::{Result, Status, Subject};

/// The name of a client without a token.
const ANONYMOUS: &str = "system:anonymous";

/// A user of the server.
#[derive(Clone)]
pub struct User {
    /// For example `system:serviceaccount:<namespace>:<name>`.
    pub name: String,
    /// The user's bearer token.
    pub token: String,
    /// What the user may do.
    pub access: Access,
}

/// What a user may do.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everything.
    All,
    /// Only what the rules allow, in one namespace. This corresponds to a Role and its binding.
    Only {
        /// The namespace.
        namespace: String,
        /// A request is allowed if one rule allows it.
        rules: Vec<PolicyRule>,
    },
}

/// A rule of a Role; `*` stands for all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// Empty for the core group.
    pub api_groups: Vec<String>,
    /// Resources, in the plural.
    pub resources: Vec<String>,
    /// Empty for any name. A `create` has a name only if the path has it, as when PUT or apply creates.
    pub resource_names: Vec<String>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verbs: Vec<String>,
}

/// Shows no token.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("access", &self.access).finish_non_exhaustive()
    }
}

/// The sender of a request; `None` is anonymous.
#[derive(Clone, Debug)]
pub struct Caller(Option<User>);

/// The users, by token.
#[derive(Default)]
pub struct Users(HashMap<String, User>);

impl Users {
    pub fn add(&mut self, user: User) {
        self.0.insert(user.token.clone(), user);
    }

    /// Returns the sender of a request, by its headers.
    ///
    /// # Errors
    /// 401, if their token is not a user's.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = match shown.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => "",
        };
        if token.is_empty() {
            return Ok(Caller(None));
        }
        self.0.get(token).map(|user| Caller(Some(user.clone()))).ok_or_else(Status::unauthorized)
    }
}

impl Caller {
    /// Checks whether the sender may make the request.
    ///
    /// # Errors
    /// 403, if not.
    pub fn authorize(&self, info: &Info) -> Result<()> {
        if !info.is_resource {
            return self.authorize_path(info);
        }
        self.authorize_as(info, &info.verb)
    }

    /// Checks the same for another verb. A PUT or an apply that creates needs `create` too.
    ///
    /// # Errors
    /// 403, if not.
    pub fn authorize_as(&self, info: &Info, verb: &str) -> Result<()> {
        let asked = Attributes { verb, ..info.attributes() };
        if self.allowed(asked) {
            return Ok(());
        }
        let resource = match asked.subresource {
            "" => asked.resource.to_owned(),
            subresource => format!("{}/{subresource}", asked.resource),
        };
        let place = match asked.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let name = self.name();
        let why =
            format!("User \"{name}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {place}", asked.group);
        Err(Status::forbidden(Subject { group: asked.group, resource: asked.resource }, asked.name, &sanitized(&why)))
    }

    fn authorize_path(&self, info: &Info) -> Result<()> {
        let path = info.path.as_str();
        if self.allowed_path(path, &info.verb) {
            return Ok(());
        }
        let why = format!("User \"{}\" cannot {} path \"{path}\"", self.name(), info.verb);
        Err(Status::forbidden(Subject { group: "", resource: "" }, "", &sanitized(&why)))
    }

    /// Whether a path that is not a resource may be read. Everybody may read whether the server lives, and users may read what it
    /// serves.
    pub fn allowed_path(&self, path: &str, verb: &str) -> bool {
        let public = matches!(path, "/healthz" | "/livez" | "/readyz" | "/version" | "/version/");
        let below = |root: &str| path == root || path.starts_with(&format!("{root}/"));
        let discovery = ["/api", "/apis", "/openapi"].into_iter().any(below);
        match &self.0 {
            None => verb == "get" && public,
            Some(User { access: Access::All, .. }) => true,
            Some(_) => verb == "get" && (public || discovery),
        }
    }

    /// Whether the rules allow it.
    pub fn allowed(&self, asked: Attributes<'_>) -> bool {
        let Some(user) = &self.0 else { return false };
        match &user.access {
            Access::All => true,
            Access::Only { namespace, rules } => {
                asked.namespace == namespace && rules.iter().any(|rule| rule.allows(asked))
            }
        }
    }

    /// The name of the sender.
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or(ANONYMOUS, |user| user.name.as_str())
    }
}

impl PolicyRule {
    fn allows(&self, asked: Attributes<'_>) -> bool {
        let has = |list: &[String], one: &str| list.iter().any(|listed| listed == "*" || listed == one);
        let resource = match asked.subresource {
            "" => has(&self.resources, asked.resource),
            subresource => {
                has(&self.resources, &format!("{}/{subresource}", asked.resource))
                    || self.resources.iter().any(|listed| *listed == format!("*/{subresource}"))
            }
        };
        let name = self.resource_names.is_empty() || self.resource_names.iter().any(|listed| listed == asked.name);
        has(&self.verbs, asked.verb) && has(&self.api_groups, asked.group) && resource && name
    }
}

fn sanitized(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(names: &[&str]) -> PolicyRule {
        let strings = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        PolicyRule {
            api_groups: strings(&["coordination.k8s.io"]),
            resources: strings(&["leases"]),
            resource_names: strings(names),
            verbs: strings(&["get", "create"]),
        }
    }

    fn asked<'a>(verb: &'a str, name: &'a str) -> Attributes<'a> {
        let (group, resource) = ("coordination.k8s.io", "leases");
        Attributes { verb, group, resource, subresource: "", namespace: "default", name }
    }

    #[test]
    fn a_rule_is_bound_to_its_names() {
        assert!(rule(&[]).allows(asked("get", "a")));
        assert!(rule(&["a"]).allows(asked("get", "a")));
        assert!(!rule(&["a"]).allows(asked("get", "b")));
        assert!(!rule(&["a"]).allows(asked("create", "")));
        assert!(!rule(&["a"]).allows(asked("update", "a")));
    }

    #[test]
    fn a_role_says_nothing_about_other_namespaces() {
        let access = Access::Only { namespace: "other".to_owned(), rules: vec![rule(&[])] };
        let user = User { name: "me".to_owned(), token: "secret".to_owned(), access };
        assert!(!format!("{user:?}").contains("secret"));
        assert!(!Caller(Some(user)).allowed(asked("get", "a")));
    }
}
