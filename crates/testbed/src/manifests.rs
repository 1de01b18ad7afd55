//! Applies the shipped manifests. Only the namespace differs, so that a test has what a reader installs.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, ObjectMeta};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt};
use serde_json::Value;

/// The owner of the applied fields.
const FIELD_MANAGER: &str = "still-leading-testbed";

/// Reads a manifest of one or more documents. A test may change the objects before they are applied.
///
/// # Errors
/// Fails when it is not YAML, or a document is not a Kubernetes object.
pub fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("reading a manifest")?;
    let objects = documents.into_iter().map(serde_json::from_value);
    objects.map(|object| object.context("a document is not a Kubernetes object")).collect()
}

/// Applies objects into the new namespace `namespace`, also if they were written for another one.
///
/// Their own Namespace is not created, but the new one gets its labels. The subjects of RoleBindings are moved too.
///
/// # Errors
/// Fails when the API server refuses one, or when one belongs to no namespace: all tests would share it.
pub async fn apply(client: &Client, objects: &[DynamicObject], namespace: &str) -> Result<()> {
    let (namespaces, objects): (Vec<_>, Vec<_>) =
        objects.iter().cloned().partition(|object| kind(object) == "Namespace");
    let labels = namespaces.into_iter().filter_map(|it| it.metadata.labels).flatten().collect();
    create_namespace(client, namespace, labels).await?;
    for mut object in objects {
        move_to(&mut object, namespace);
        apply_one(client, &object, namespace).await?;
    }
    Ok(())
}

/// Creates a namespace with these labels.
///
/// # Errors
/// Fails when the API server refuses it.
pub async fn create_namespace(client: &Client, name: &str, labels: BTreeMap<String, String>) -> Result<()> {
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    let created = Api::all(client.clone()).create(&PostParams::default(), &namespace).await;
    created.map(drop).with_context(|| format!("creating namespace {name}"))
}

async fn apply_one(client: &Client, object: &DynamicObject, namespace: &str) -> Result<()> {
    let (kind, name) = (kind(object), object.name_any());
    let types = object.types.as_ref().with_context(|| format!("{name} has no kind"))?;
    let (resource, capabilities) = pinned_kind(client, &GroupVersionKind::try_from(types)?).await?;
    if capabilities.scope == Scope::Cluster {
        bail!("{kind} {name} belongs to no namespace: it would be shared by all tests");
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let applied = api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(object)).await;
    applied.map(drop).with_context(|| format!("applying {kind} {name}"))
}

fn move_to(object: &mut DynamicObject, namespace: &str) {
    let from = object.metadata.namespace.replace(namespace.to_owned());
    let Some(Value::Array(subjects)) = object.data.get_mut("subjects") else { return };
    for subject in subjects {
        // A subject that names another namespace on purpose stays there.
        if subject["namespace"].as_str() == from.as_deref() {
            subject["namespace"] = Value::from(namespace);
        }
    }
}

/// Returns the kind of an object; empty where it has none.
pub fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| &types.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
---
# a comment alone
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: still-leading-native
  namespace: still-leading
subjects:
  - kind: ServiceAccount
    name: still-leading-native
    namespace: still-leading
  - kind: ServiceAccount
    name: other
    namespace: elsewhere
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: still-leading-native}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: still-leading-native, namespace: still-leading, labels: {version: \"1.0\"}}
spec: {replicas: 3}
";

    #[test]
    fn documents_become_objects_and_empty_ones_vanish() {
        let objects = parse(MANIFEST).unwrap();
        assert_eq!(objects.iter().map(kind).collect::<Vec<_>>(), ["RoleBinding", "Deployment"]);
        assert_eq!(objects[1].data["spec"]["replicas"], 3);
        assert_eq!(objects[1].labels()["version"], "1.0");
        assert_eq!(objects[1].types.as_ref().unwrap().api_version, "apps/v1");
    }

    #[test]
    fn a_document_that_is_not_an_object_is_an_error() {
        assert!(parse("a: [").is_err());
        assert!(parse("just text").is_err());
    }

    #[test]
    fn an_object_moves_with_the_subjects_of_its_own_namespace() {
        let mut objects = parse(MANIFEST).unwrap();
        move_to(&mut objects[0], "elsewhere-too");
        assert_eq!(objects[0].namespace().as_deref(), Some("elsewhere-too"));
        let subjects = objects[0].data["subjects"].as_array().unwrap();
        let namespaces: Vec<_> = subjects.iter().map(|subject| subject["namespace"].as_str().unwrap()).collect();
        assert_eq!(namespaces, ["elsewhere-too", "elsewhere"]);
    }

    #[test]
    fn an_object_and_a_subject_without_a_namespace_get_one() {
        let yaml = "{apiVersion: v1, kind: X, metadata: {name: x}, subjects: [{kind: ServiceAccount, name: x}]}";
        let mut object = parse(yaml).unwrap().remove(0);
        move_to(&mut object, "ns");
        assert_eq!(object.data["subjects"][0]["namespace"], "ns");
    }
}
