//! The settings for one replica, and the manifest of each.

use std::fmt;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::e2e::pod::CONTAINER;

/// How long the process goes on after its pod is asked to end. A preStop hook stands for work that takes as long to stop.
pub const STOPPING_SECONDS: u64 = 5;
/// How often the leader acts.
const TICK: &str = "500ms";

/// What a workload does when it replaces its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// A Deployment: the new pod first, then the end of the old one.
    SurgeOne,
    /// A Deployment: the old pod is asked to end first.
    SurgeZero,
    /// A Deployment with the strategy Recreate.
    Recreate,
    /// A StatefulSet.
    StatefulSet,
}

impl Setting {
    /// In the order of the tables.
    pub const ALL: [Self; 4] = [Self::SurgeOne, Self::SurgeZero, Self::Recreate, Self::StatefulSet];

    /// As a reader of manifests calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SurgeOne => "RollingUpdate, maxSurge 1",
            Self::SurgeZero => "RollingUpdate, maxSurge 0",
            Self::Recreate => "Recreate",
            Self::StatefulSet => "StatefulSet",
        }
    }

    fn strategy(self) -> Option<Value> {
        let rolling = |surge: u8, unavailable: u8| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
        match self {
            Self::SurgeOne => Some(rolling(1, 0)),
            Self::SurgeZero => Some(rolling(0, 1)),
            Self::Recreate => Some(json!({"type": "Recreate"})),
            Self::StatefulSet => None,
        }
    }
}

/// One way to run one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How it is replaced.
    pub setting: Setting,
    /// Whether it takes part in an election.
    pub election: bool,
}

impl Choice {
    /// All of them, those without the election first.
    pub fn all() -> impl Iterator<Item = Self> {
        let each = |election| Setting::ALL.map(|setting| Self { setting, election });
        each(false).into_iter().chain(each(true))
    }

    /// For the file of its manifest.
    pub(super) fn file_name(self) -> String {
        self.to_string().replace(", ", "-").replace(' ', "-").to_lowercase()
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} the election", self.setting.name(), if self.election { "with" } else { "without" })
    }
}

/// The Deployment as skaffold deployed it, with one replica under this choice. JSON, which is YAML too.
///
/// # Errors
/// It is not the kit's Deployment.
pub(super) fn manifest(shipped: &Deployment, Choice { setting, election }: Choice) -> Result<String> {
    let metadata = &shipped.metadata;
    let mut spec = serde_json::to_value(&shipped.spec)?;
    spec["replicas"] = json!(1);
    let fields = spec.as_object_mut().context("the Deployment has no spec")?;
    fields.remove("strategy");
    match setting.strategy() {
        Some(strategy) => fields.insert("strategy".to_owned(), strategy),
        None => {
            fields.remove("progressDeadlineSeconds");
            fields.insert("serviceName".to_owned(), json!(metadata.name))
        }
    };
    let pod = &mut spec["template"]["spec"];
    // One pod is spread over nothing, and the label it goes by is a Deployment's.
    pod.as_object_mut().context("the Deployment has no pod")?.remove("topologySpreadConstraints");
    let containers = pod["containers"].as_array_mut().context("the pod has no containers")?;
    let container = containers.iter_mut().find(|it| it["name"] == CONTAINER).context("the pod has no container app")?;
    container["lifecycle"] = json!({"preStop": {"sleep": {"seconds": STOPPING_SECONDS}}});
    let env = container["env"].as_array_mut().context("the container has no variables")?;
    env.retain(|it| it["name"] != "ENABLE_LEADER_ELECTION" && it["name"] != "TICK");
    env.push(json!({"name": "ENABLE_LEADER_ELECTION", "value": election.to_string()}));
    env.push(json!({"name": "TICK", "value": TICK}));
    let kind = if setting == Setting::StatefulSet { "StatefulSet" } else { "Deployment" };
    let manifest = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": metadata.name, "namespace": metadata.namespace, "labels": metadata.labels},
        "spec": spec,
    });
    Ok(serde_json::to_string_pretty(&manifest)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Deployment {
        let container = json!({"name": "app", "image": "i", "env": [
            {"name": "ENABLE_LEADER_ELECTION", "value": "true"},
            {"name": "LEASE_NAME", "value": "l"},
        ]});
        let spec = json!({
            "replicas": 3,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
        });
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n", "namespace": "s",
            "uid": "u", "resourceVersion": "1"}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn made(choice: Choice) -> Value {
        serde_json::from_str(&manifest(&shipped(), choice).unwrap()).unwrap()
    }

    #[test]
    fn each_choice_is_one_replica_that_is_slow_to_stop_with_its_own_strategy_and_switch() {
        for choice in Choice::all() {
            let made = made(choice);
            assert_eq!(made["spec"]["replicas"], 1, "{choice}");
            let container = &made["spec"]["template"]["spec"]["containers"][0];
            assert_eq!(container["lifecycle"]["preStop"]["sleep"]["seconds"], STOPPING_SECONDS, "{choice}");
            let switch: Vec<&Value> = container["env"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|it| it["name"] == "ENABLE_LEADER_ELECTION")
                .collect();
            assert_eq!(switch.len(), 1, "{choice}");
            assert_eq!(switch[0]["value"], choice.election.to_string(), "{choice}");
            assert_eq!(made["spec"]["strategy"], choice.setting.strategy().unwrap_or_default(), "{choice}");
            assert_eq!(made["metadata"]["uid"], Value::Null, "{choice}");
        }
    }

    #[test]
    fn a_stateful_set_has_nothing_that_only_a_deployment_knows() {
        let made = made(Choice { setting: Setting::StatefulSet, election: false });
        assert_eq!((made["kind"].as_str(), made["spec"]["serviceName"].as_str()), (Some("StatefulSet"), Some("n")));
        assert_eq!(made["spec"]["progressDeadlineSeconds"], Value::Null);
    }

    #[test]
    fn choices_have_files_of_their_own() {
        let names: std::collections::BTreeSet<String> = Choice::all().map(Choice::file_name).collect();
        assert_eq!(names.len(), 8);
        assert!(names.contains("rollingupdate-maxsurge-1-with-the-election"), "{names:?}");
    }
}
