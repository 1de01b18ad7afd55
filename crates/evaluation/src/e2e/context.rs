//! Which cluster, and whether it may be broken.

use kube::config::Kubeconfig;

/// A cluster by the name of its context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The context.
    pub context: String,
    /// The name of the kind cluster, if it is one: then its nodes are containers of this machine.
    pub kind: Option<String>,
}

impl Target {
    /// The context that was asked for, or else the current one.
    ///
    /// # Errors
    /// There is none, or it is not one of kind and `force` is not given. One line that says what to do.
    pub fn choose(kubeconfig: &Kubeconfig, wanted: Option<&str>, force: bool) -> Result<Self, String> {
        let current = kubeconfig.current_context.as_deref().filter(|context| !context.is_empty());
        let context = wanted.or(current);
        let context = context.ok_or("no current context: kind create cluster --config kind-config.yaml")?;
        let names: Vec<&str> = kubeconfig.contexts.iter().map(|named| named.name.as_str()).collect();
        if !names.contains(&context) {
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(format!("no context {context} in the kubeconfig; there are: {there}"));
        }
        let kind = context.strip_prefix("kind-").filter(|cluster| !cluster.is_empty());
        if kind.is_none() && !force {
            return Err(format!(
                "context {context} is no kind cluster, and this breaks nodes and deletes namespaces: choose one with \
                 --context kind-..., or say --force-context"
            ));
        }
        Ok(Self { context: context.to_owned(), kind: kind.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::config::NamedContext;

    fn kubeconfig(current: Option<&str>) -> Kubeconfig {
        let named = |name: &str| NamedContext { name: name.to_owned(), ..NamedContext::default() };
        Kubeconfig {
            current_context: current.map(str::to_owned),
            contexts: ["production", "kind-a", "kind-b"].map(named).into(),
            ..Kubeconfig::default()
        }
    }

    fn choose(current: Option<&str>, wanted: Option<&str>, force: bool) -> Result<Target, String> {
        Target::choose(&kubeconfig(current), wanted, force)
    }

    fn target(context: &str, kind: Option<&str>) -> Target {
        Target { context: context.to_owned(), kind: kind.map(str::to_owned) }
    }

    #[test]
    fn a_kind_cluster_is_taken_whether_current_or_asked_for() {
        assert_eq!(choose(Some("kind-a"), None, false), Ok(target("kind-a", Some("a"))));
        assert_eq!(choose(Some("production"), Some("kind-b"), false), Ok(target("kind-b", Some("b"))));
    }

    #[test]
    fn any_other_cluster_is_refused_unless_forced() {
        for (current, wanted) in [(Some("production"), None), (Some("kind-a"), Some("production"))] {
            let error = choose(current, wanted, false).unwrap_err();
            assert!(error.contains("production is no kind cluster") && error.contains("--force-context"), "{error}");
            assert_eq!(choose(current, wanted, true), Ok(target("production", None)));
        }
    }

    #[test]
    fn a_context_that_is_not_there_is_refused_even_if_forced() {
        let error = choose(Some("kind-a"), Some("kind-c"), true).unwrap_err();
        assert_eq!(error, "no context kind-c in the kubeconfig; there are: production, kind-a, kind-b");
        for current in [None, Some("")] {
            assert!(choose(current, None, true).unwrap_err().contains("kind create cluster"));
        }
    }
}
