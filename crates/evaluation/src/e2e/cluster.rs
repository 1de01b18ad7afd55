//! Which cluster, whether it may be broken, and the tools that it is handled with.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};

use super::args::Args;
use super::command::Command;
use super::faults::{ActiveFaults, leftovers};
use super::step::Step;

/// A tool, what tells its version, and how to get it.
struct Tool {
    name: &'static str,
    version: &'static [&'static str],
    remedy: &'static str,
}

const KUBECTL: Tool =
    Tool { name: "kubectl", version: &["version", "--client"], remedy: "https://kubernetes.io/docs/tasks/tools" };
const SKAFFOLD: Tool =
    Tool { name: "skaffold", version: &["version"], remedy: "https://skaffold.dev/docs/install, 2.15 or newer" };
const KIND: Tool = Tool {
    name: "kind",
    version: &["version"],
    remedy: "go install sigs.k8s.io/kind@v0.33.0; skaffold loads images with it",
};
/// Asks the daemon.
const DOCKER: Tool = Tool {
    name: "docker",
    version: &["version", "--format", "{{.Server.Version}}"],
    remedy: "https://docs.docker.com/engine/install; its daemon has to run, and you have to be allowed to use it",
};

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

/// A cluster that answers.
pub struct Cluster {
    /// Which.
    pub target: Target,
    /// What is broken just now.
    pub active_faults: ActiveFaults,
    /// The version of its API server.
    pub kubernetes: String,
    /// How many nodes it has.
    pub nodes: usize,
    /// Of each tool that is needed, by its name.
    pub tools: BTreeMap<String, String>,
    pub(super) client: Client,
    /// Whether commands are shown.
    pub(super) verbose: bool,
}

impl Cluster {
    /// Finds the tools that `args` need, and the cluster; heals what a killed run left there.
    ///
    /// # Errors
    /// Something is missing. One line that says what to do.
    pub async fn connect(args: &Args) -> Result<Self> {
        let kubeconfig = Kubeconfig::read().context("no kubeconfig: kind create cluster --config kind-config.yaml")?;
        // Looking breaks nothing, so it may be done anywhere.
        let force = args.force_context || args.verify;
        let target = Target::choose(&kubeconfig, args.context.as_deref(), force).map_err(|said| anyhow!(said))?;
        let mut tools = BTreeMap::new();
        for tool in needed(args, target.kind.is_some()) {
            tools.insert(tool.name.to_owned(), tool.find().await?);
        }
        // Where there is no docker, no run has left anything that takes docker to heal.
        if let Some(cluster) = target.kind.as_deref().filter(|_| !args.verify)
            && DOCKER.find().await.is_ok()
        {
            leftovers(cluster).await?;
        }
        let options = KubeConfigOptions { context: Some(target.context.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = Client::try_from(config.context("reading the kubeconfig")?)?;
        let context = &target.context;
        let version = client.apiserver_version().await;
        let version =
            version.with_context(|| format!("{context} does not answer: is the cluster there? (kind get clusters)"))?;
        let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.context("listing nodes")?.items;
        let cordoned =
            nodes.iter().find(|node| node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)));
        if let Some(node) = cordoned.filter(|_| !args.verify) {
            bail!("node {0} is cordoned: kubectl --context {context} uncordon {0}", node.name_any());
        }
        Ok(Self {
            active_faults: ActiveFaults::default(),
            kubernetes: version.git_version,
            nodes: nodes.len(),
            verbose: args.verbose,
            target,
            tools,
            client,
        })
    }

    /// How many nodes take pods that tolerate nothing.
    pub(super) async fn open_nodes(&self) -> Result<usize> {
        let nodes =
            Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await.context("listing nodes")?;
        Ok(nodes.iter().filter(|node| takes_pods(node)).count())
    }
}

fn takes_pods(node: &Node) -> bool {
    let Some(spec) = &node.spec else { return false };
    let mut taints = spec.taints.iter().flatten();
    spec.unschedulable != Some(true) && !taints.any(|taint| taint.effect.starts_with("No"))
}

fn needed(args: &Args, is_kind: bool) -> Vec<&'static Tool> {
    let steps = args.steps();
    let breaks = steps.iter().any(|step| ![Step::Ready, Step::Leader].contains(step));
    let by_container = is_kind && steps.iter().any(|step| step.needs_docker());
    let tools = [
        (&KUBECTL, breaks),
        (&SKAFFOLD, args.deploys()),
        (&KIND, args.deploys() && is_kind),
        (&DOCKER, args.deploys() || by_container),
    ];
    tools.into_iter().filter(|(_, is_needed)| *is_needed).map(|(tool, _)| tool).collect()
}

impl Tool {
    /// Its version.
    async fn find(&self) -> Result<String> {
        let Self { name, version, remedy } = self;
        let said = Command::new([*name].iter().chain(*version).copied()).run().await;
        let said = said.with_context(|| format!("no {name} that works here: {remedy}"))?;
        let found = version_in(&said);
        ensure!(found.is_some(), "no {name} that works here: {remedy}: it says no version but {said:?}");
        Ok(found.unwrap_or_default().to_owned())
    }
}

/// The first word that is a version, such as `v0.33.0` of `kind v0.33.0 go1.26.8 linux/amd64`.
fn version_in(text: &str) -> Option<&str> {
    text.split_whitespace().find(|word| {
        let digits = word.trim_start_matches('v');
        digits.starts_with(|first: char| first.is_ascii_digit()) && digits.contains('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use kube::config::NamedContext;

    fn names(words: &[&str], is_kind: bool) -> Vec<&'static str> {
        let args = Args::try_parse_from(["e2e"].iter().chain(words)).unwrap();
        needed(&args, is_kind).into_iter().map(|tool| tool.name).collect()
    }

    #[test]
    fn only_tools_that_the_steps_need_are_looked_for() {
        assert_eq!(names(&[], true), ["kubectl", "skaffold", "kind", "docker"]);
        assert_eq!(names(&[], false), ["kubectl", "skaffold", "docker"]);
        assert_eq!(names(&["--no-deploy"], false), ["kubectl"]);
        assert_eq!(names(&["--no-deploy"], true), ["kubectl", "docker"]);
        assert_eq!(names(&["--no-deploy", "--only", "delete"], true), ["kubectl"]);
        assert!(names(&["--verify"], true).is_empty());
    }

    #[test]
    fn a_version_is_found_in_what_each_tool_prints() {
        assert_eq!(version_in("Client Version: v1.37.1\nKustomize Version: v5.8.1\n"), Some("v1.37.1"));
        assert_eq!(version_in("kind v0.33.0 go1.26.8 linux/amd64"), Some("v0.33.0"));
        assert_eq!(version_in("20.10.24+dfsg1\n"), Some("20.10.24+dfsg1"));
        assert_eq!(version_in("no version"), None);
    }

    #[test]
    fn a_node_takes_pods_unless_it_is_cordoned_or_tainted_against_them() {
        let node =
            |spec: serde_json::Value| -> Node { serde_json::from_value(serde_json::json!({ "spec": spec })).unwrap() };
        let taint = |effect: &str| serde_json::json!({ "taints": [{ "key": "k", "effect": effect }] });
        assert!(takes_pods(&node(serde_json::json!({}))) && takes_pods(&node(taint("PreferNoSchedule"))));
        assert!(!takes_pods(&node(taint("NoSchedule"))) && !takes_pods(&node(taint("NoExecute"))));
        assert!(!takes_pods(&node(serde_json::json!({ "unschedulable": true }))));
    }

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
