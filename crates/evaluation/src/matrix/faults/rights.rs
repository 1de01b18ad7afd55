//! What the replicas may do: rights that go and come back, tokens that expire, a namespace that is not there, a policy.
//! Only the real API server knows all that.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use still_leading_testbed::{Extra, FleetOptions, Timings, manifests};

use crate::matrix::fault::{Fault, Step};
use crate::matrix::needs::{Needs, Start};
use crate::matrix::scene::Scene;
use crate::matrix::subject::Subject;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Role), Box::new(Token), Box::new(Policy), Box::new(Namespace)]
}

const REAL: Needs =
    Needs { start: Start::Led { replicas: 3 }, own_server: false, real_server: true, clock: None, answered: Some(403) };

/// The API server remembers for so long that a token was good.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The Role is taken from all and given back.
#[derive(Debug)]
struct Role;

impl Fault for Role {
    fn name(&self) -> String {
        "role-revoked".to_owned()
    }

    fn what(&self) -> String {
        "The RoleBinding is deleted, and two lease durations later there again.".to_owned()
    }

    fn needs(&self) -> Needs {
        REAL
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 2
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            bindings(scene).delete(scene.fleet.lease_name(), &DeleteParams::default()).await?;
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let (name, namespace) = (scene.fleet.lease_name(), scene.fleet.namespace());
            let binding: RoleBinding = serde_json::from_value(json!({
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            }))?;
            bindings(scene).create(&PostParams::default(), &binding).await?;
            Ok(())
        }
        .boxed_local()
    }
}

fn bindings(scene: &Scene<'_>) -> Api<RoleBinding> {
    Api::namespaced(scene.fleet.client().clone(), scene.fleet.namespace())
}

/// Every token ends at once, and new ones stand where the old ones stood.
#[derive(Debug)]
struct Token;

impl Fault for Token {
    fn name(&self) -> String {
        "token-rotated".to_owned()
    }

    fn what(&self) -> String {
        "Every token ends, which the API server notices within 10 s; one lease duration later there are new ones in the files."
            .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { answered: Some(401), ..REAL }
    }

    fn prepare(&self, _: Subject, mut options: FleetOptions) -> Result<FleetOptions> {
        options.token_files = true;
        Ok(options)
    }

    fn lasts(&self, timings: Timings) -> Duration {
        REMEMBERED + timings.lease_duration
    }

    /// A token belongs to one ServiceAccount, so a new one of the same name refuses the tokens of the old.
    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let accounts: Api<ServiceAccount> = Api::namespaced(scene.fleet.client().clone(), scene.fleet.namespace());
            let name = scene.fleet.lease_name();
            accounts.delete(name, &DeleteParams::default()).await?;
            let mut account = ServiceAccount::default();
            account.metadata.name = Some(name.to_owned());
            accounts.create(&PostParams::default(), &account).await.context("making the ServiceAccount anew")?;
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move { scene.fleet.rotate_tokens(scene.server).await }.boxed_local()
    }

    /// client-go and kube read a token file once a minute at most.
    fn bound(&self, timings: Timings) -> Duration {
        timings.lease_duration * 2 + Duration::from_secs(62)
    }
}

/// The replicas are there before the namespace of their Lease, as in a deployment that is applied in another order.
#[derive(Debug)]
struct Namespace;

impl Namespace {
    fn name(of: &str) -> String {
        format!("{of}-later")
    }
}

impl Fault for Namespace {
    fn name(&self) -> String {
        "namespace-missing".to_owned()
    }

    fn what(&self) -> String {
        "Three replicas start, and only one lease duration later the namespace of their Lease is made, with all in it."
            .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { start: Start::Nobody, ..REAL }
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let later = Self::name(scene.fleet.namespace());
            for _ in 0..3 {
                let args = vec!["--lease-namespace".to_owned(), later.clone()];
                scene.fleet.start_replica_with(scene.server, Extra { args, ..Extra::default() }).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    /// The ServiceAccount stays where it is; the new namespace's binding names it there.
    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let mut objects = scene.manifest()?;
            objects.retain(|object| matches!(manifests::kind(object), "Namespace" | "Lease" | "Role" | "RoleBinding"));
            for binding in objects.iter_mut().filter(|object| manifests::kind(object) == "RoleBinding") {
                binding.data["subjects"][0]["namespace"] = scene.fleet.namespace().into();
            }
            manifests::apply(scene.fleet.client(), &objects, &Self::name(scene.fleet.namespace())).await
        }
        .boxed_local()
    }

    /// A container that has ended three times is started again half a minute later.
    fn bound(&self, timings: Timings) -> Duration {
        timings.lease_duration * 2 + Duration::from_secs(32)
    }
}

/// A policy refuses every write of the Lease.
#[derive(Debug)]
struct Policy;

impl Fault for Policy {
    fn name(&self) -> String {
        "policy-refuses".to_owned()
    }

    fn what(&self) -> String {
        "A ValidatingAdmissionPolicy refuses every write of the Lease, and is removed three lease durations later."
            .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { answered: Some(422), ..REAL }
    }

    fn lasts(&self, timings: Timings) -> Duration {
        timings.lease_duration * 3
    }

    fn inject<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let (name, client) = (scene.fleet.namespace(), scene.fleet.client().clone());
            let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": {"resourceRules": [{
                        "apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "resources": ["leases"],
                        "operations": ["CREATE", "UPDATE"],
                    }]},
                    "validations": [{"expression": "false", "message": "no Lease is written here"}],
                },
            }))?;
            let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {
                    "policyName": name,
                    "validationActions": ["Deny"],
                    "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
                },
            }))?;
            Api::all(client.clone()).create(&PostParams::default(), &policy).await?;
            Api::all(client).create(&PostParams::default(), &binding).await?;
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a self, scene: &'a mut Scene<'_>) -> Step<'a> {
        async move {
            let (name, client) = (scene.fleet.namespace(), scene.fleet.client().clone());
            let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
            bindings.delete(name, &DeleteParams::default()).await?;
            let policies: Api<ValidatingAdmissionPolicy> = Api::all(client);
            policies.delete(name, &DeleteParams::default()).await?;
            Ok(())
        }
        .boxed_local()
    }
}
