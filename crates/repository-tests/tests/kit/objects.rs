//! The objects of one overlay, read strictly: a field that Kubernetes does not know is an error and not skipped.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, PodTemplateSpec, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::overlay::Overlay;

/// The kinds of the Prometheus operator, which only its own resource definitions describe.
pub const UNTYPED: [&str; 2] = ["PodMonitor", "PrometheusRule"];

/// As they stand in one file or come out of one overlay.
#[derive(Clone, Debug)]
pub struct Objects(pub Vec<Value>);

/// What runs the pods.
#[derive(Debug)]
pub struct Workload {
    pub kind: &'static str,
    pub replicas: Option<i32>,
    pub selector: LabelSelector,
    pub template: PodTemplateSpec,
}

impl Objects {
    /// Those of `deploy/install-<overlay>.yaml`.
    pub fn shipped(overlay: Overlay) -> Result<Self> {
        let path = overlay.install_yaml();
        let yaml = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&yaml)
    }

    /// # Errors
    /// When it is not YAML, has two objects of a kind, or an object of a kind that nothing here knows.
    pub fn parse(yaml: &str) -> Result<Self> {
        let objects = Self(serde_saphyr::from_multiple(yaml).context("reading a manifest")?);
        let kinds = objects.kinds();
        for (place, kind) in kinds.iter().enumerate() {
            ensure!(!kinds[..place].contains(kind), "there are two objects of kind {kind}");
        }
        objects.check_fields()?;
        Ok(objects)
    }

    /// In their order.
    pub fn kinds(&self) -> Vec<&str> {
        self.0.iter().map(|object| object["kind"].as_str().unwrap_or_default()).collect()
    }

    /// The one of a kind, if there is one.
    pub fn untyped(&self, kind: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind)
    }

    /// The one of a kind, if there is one.
    pub fn optional<T: k8s_openapi::Resource + DeserializeOwned + Serialize>(&self) -> Result<Option<T>> {
        self.untyped(T::KIND).map(strict::<T>).transpose()
    }

    /// The one of a kind.
    pub fn one<T: k8s_openapi::Resource + DeserializeOwned + Serialize>(&self) -> Result<T> {
        self.optional()?.with_context(|| format!("there is no {}", T::KIND))
    }

    /// The Deployment or the StatefulSet.
    pub fn workload(&self) -> Result<Workload> {
        let deployment = self.optional::<Deployment>()?.map(|it| it.spec);
        let stateful_set = self.optional::<StatefulSet>()?.map(|it| it.spec);
        Ok(match (deployment, stateful_set) {
            (Some(it), None) => {
                Workload { kind: "Deployment", replicas: it.replicas, selector: it.selector, template: it.template }
            }
            (None, Some(it)) => {
                Workload { kind: "StatefulSet", replicas: it.replicas, selector: it.selector, template: it.template }
            }
            _ => bail!("there is not one of Deployment and StatefulSet"),
        })
    }

    fn check_fields(&self) -> Result<()> {
        for object in &self.0 {
            match object["kind"].as_str().unwrap_or_default() {
                "Deployment" => strict::<Deployment>(object).map(drop),
                "Lease" => strict::<Lease>(object).map(drop),
                "Namespace" => strict::<Namespace>(object).map(drop),
                "NetworkPolicy" => strict::<NetworkPolicy>(object).map(drop),
                "PodDisruptionBudget" => strict::<PodDisruptionBudget>(object).map(drop),
                "Role" => strict::<Role>(object).map(drop),
                "RoleBinding" => strict::<RoleBinding>(object).map(drop),
                "Service" => strict::<Service>(object).map(drop),
                "ServiceAccount" => strict::<ServiceAccount>(object).map(drop),
                "StatefulSet" => strict::<StatefulSet>(object).map(drop),
                "ValidatingAdmissionPolicy" => strict::<ValidatingAdmissionPolicy>(object).map(drop),
                "ValidatingAdmissionPolicyBinding" => strict::<ValidatingAdmissionPolicyBinding>(object).map(drop),
                kind if UNTYPED.contains(&kind) => Ok(()),
                kind => bail!("nothing here knows what to ask of an object of kind {kind:?}"),
            }?;
        }
        Ok(())
    }
}

/// Reads an object of a known kind and version. What it is read as, written again, has to have all that was there.
fn strict<T: k8s_openapi::Resource + DeserializeOwned + Serialize>(object: &Value) -> Result<T> {
    ensure!(
        object["apiVersion"] == T::API_VERSION,
        "{} is of {}, not {}",
        T::KIND,
        object["apiVersion"],
        T::API_VERSION
    );
    let read: T = serde_json::from_value(object.clone()).with_context(|| format!("reading a {}", T::KIND))?;
    let lost = lost(object, &serde_json::to_value(&read)?, "");
    ensure!(lost.is_empty(), "a {} has no such fields: {}", T::KIND, lost.join(", "));
    Ok(read)
}

/// Where `after` lacks what `before` has, as JSON pointers.
fn lost(before: &Value, after: &Value, at: &str) -> Vec<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let fields = before.iter().flat_map(|(name, value)| {
                let at = format!("{at}/{name}");
                after.get(name).map_or_else(|| vec![at.clone()], |kept| lost(value, kept, &at))
            });
            fields.collect()
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            let items = before.iter().zip(after).enumerate();
            items.flat_map(|(place, (value, kept))| lost(value, kept, &format!("{at}/{place}"))).collect()
        }
        (before, after) if before == after => Vec::new(),
        _ => vec![at.to_owned()],
    }
}
