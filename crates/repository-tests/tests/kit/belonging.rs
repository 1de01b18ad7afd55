//! The objects of a variant belong together: one name, the same labels, and each selector finds its pods and no others.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;
use still_leading_testbed::Variant;

use crate::fencing;
use crate::findings::Findings;
use crate::lists::PREFIX;
use crate::objects::{Objects, Workload};
use crate::overlay::{CREATE_ANY_LEASE, CREATE_LEASE, Overlay};
use crate::permissions::granted;

type Labels = BTreeMap<String, String>;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// What every variant consists of, whatever else is switched on.
const ALWAYS: [&str; 5] = ["Namespace", "PodDisruptionBudget", "Role", "RoleBinding", "ServiceAccount"];

/// Everything that is to be looked at, with these components switched on.
pub fn look(overlay: Overlay, objects: &Objects, components: &[&str], findings: &mut Findings) -> Result<()> {
    look_at_kinds(overlay, objects, components, findings);
    look_at_names(overlay, objects, findings);
    look_at_relations(overlay, objects, components, findings)
}

/// Everything that names another object, or finds it, under any name.
pub fn look_at_relations(
    overlay: Overlay,
    objects: &Objects,
    components: &[&str],
    findings: &mut Findings,
) -> Result<()> {
    let workload = objects.workload()?;
    look_at_rights(overlay, objects, components, findings)?;
    look_at_selectors(objects, &workload, findings)?;
    fencing::look(objects, findings)?;
    look_at_ways_in(objects, &workload, findings)
}

/// The crate cannot read an empty Lease, so none is shipped.
pub fn ships_a_lease(overlay: Overlay) -> bool {
    overlay != Overlay::Variant(Variant::KubeLeaderElection)
}

fn look_at_kinds(overlay: Overlay, objects: &Objects, components: &[&str], findings: &mut Findings) {
    let added = overlay.components().iter().filter(|(name, _)| components.contains(name)).flat_map(|(_, kinds)| *kinds);
    let mut wanted: BTreeSet<&str> = ALWAYS.iter().chain(added).copied().collect();
    if ships_a_lease(overlay) {
        wanted.insert("Lease");
    }
    if !wanted.contains("StatefulSet") {
        wanted.insert("Deployment");
    }
    findings.equal("the list of kinds", objects.kinds().into_iter().collect(), wanted);
}

/// Whether objects of this kind are in no namespace.
pub fn is_of_the_cluster(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| kind == "Namespace" || fencing::KINDS.contains(&kind))
}

fn look_at_names(overlay: Overlay, objects: &Objects, findings: &mut Findings) {
    let name = format!("{PREFIX}{overlay}");
    for object in &objects.0 {
        let (kind, metadata) = (object["kind"].as_str().unwrap_or_default(), &object["metadata"]);
        // What is in no namespace is named after its installation's; a Namespace is just that.
        let wanted = if fencing::KINDS.contains(&kind) { format!("{name}.{name}") } else { name.clone() };
        findings.equal(&format!("the name of the {kind}"), metadata["name"].as_str(), Some(&wanted));
        let namespace = (!is_of_the_cluster(Some(kind))).then_some(name.as_str());
        findings.equal(&format!("the namespace of the {kind}"), metadata["namespace"].as_str(), namespace);
        let templates = [("", metadata), (" template", &object["spec"]["template"]["metadata"])];
        for (what, metadata) in templates.into_iter().filter(|(_, metadata)| !metadata.is_null()) {
            look_at_labels(&format!("{kind}{what}"), &name, &metadata["labels"], findings);
        }
        if kind == "Namespace" {
            findings.equal("the label enforce", metadata["labels"][ENFORCE].as_str(), Some("restricted"));
        }
    }
}

fn look_at_labels(what: &str, instance: &str, labels: &Value, findings: &mut Findings) {
    for (label, wanted) in [("name", "still-leading"), ("instance", instance), ("part-of", "still-leading")] {
        let label = format!("app.kubernetes.io/{label}");
        findings.equal(&format!("the label {label} of the {what}"), labels[&label].as_str(), Some(wanted));
    }
}

/// The pods run as the account that the Role is bound to, and the Role is about the Lease that they contend for.
fn look_at_rights(overlay: Overlay, objects: &Objects, components: &[&str], findings: &mut Findings) -> Result<()> {
    let workload = objects.workload()?;
    let account = objects.one::<ServiceAccount>()?.metadata;
    let (role, binding) = (objects.one::<Role>()?, objects.one::<RoleBinding>()?);
    let subjects = binding.subjects.unwrap_or_default();
    let subjects: Vec<_> = subjects.iter().map(|it| (&*it.kind, Some(&it.name), it.namespace.as_ref())).collect();
    let wanted = ("ServiceAccount", account.name.as_ref(), account.namespace.as_ref());
    findings.equal("the list of subjects of the RoleBinding", subjects, vec![wanted]);
    let (kind, name) = (&*binding.role_ref.kind, Some(&binding.role_ref.name));
    findings.equal("roleRef of the RoleBinding", (kind, name), ("Role", role.metadata.name.as_ref()));
    let pod = workload.template.spec.as_ref().context("there is no pod spec")?;
    findings.equal("the account of the pods", pod.service_account_name.as_ref(), account.name.as_ref());

    let lease = objects.optional::<Lease>()?;
    let spec = lease.as_ref().and_then(|lease| lease.spec.as_ref());
    // Applying it again would take the Lease from its holder.
    findings.equal("the spec of the Lease", spec, None);
    let env = pod.containers.iter().flat_map(|it| it.env.iter().flatten()).find(|it| it.name == "LEASE_NAME");
    let contended = env.and_then(|it| it.value.as_ref());
    let shipped = lease.as_ref().map_or(account.name.as_ref(), |lease| lease.metadata.name.as_ref());
    findings.equal("LEASE_NAME", contended, shipped);
    let (of_leases, others): (Vec<_>, Vec<_>) =
        role.rules.unwrap_or_default().into_iter().partition(|rule| rule.resources.iter().flatten().eq(["leases"]));
    let (others, wanted) = (granted(&others), overlay.other_rights());
    findings.equal("the list of rights besides those on the Lease", others, wanted);
    let (by_name, by_post) = (components.contains(&CREATE_LEASE), components.contains(&CREATE_ANY_LEASE));
    let verbs: Vec<&str> = of_leases.iter().flat_map(|rule| &rule.verbs).map(String::as_str).collect();
    if let Some(wanted) = overlay.verbs_on_its_lease() {
        let created: &[&str] = if by_name { &["create"] } else { &[] };
        findings.equal("the list of verbs on the Lease", verbs.clone(), [wanted, created].concat());
    }
    let creates = by_name || by_post || lease.is_none();
    findings.equal("whether the Role grants create", verbs.contains(&"create"), creates);
    for rule in of_leases {
        let names: Vec<_> = rule.resource_names.iter().flatten().map(Some).collect();
        // A POST has no name to go by. Where a Lease is shipped, nobody needs to create one, unless that is switched on.
        let has_no_name = (lease.is_none() || by_post) && rule.verbs == ["create"];
        let bound = if has_no_name { vec![] } else { vec![contended] };
        findings.equal(&format!("resourceNames of the rule for {:?}", rule.verbs), names, bound);
    }
    Ok(())
}

fn look_at_selectors(objects: &Objects, workload: &Workload, findings: &mut Findings) -> Result<()> {
    let labels = labels(&workload.template);
    let own = of(&workload.selector, workload.kind, findings);
    let what = format!("the selector of the {}", workload.kind);
    findings.require(finds(&own, &labels), format!("{what} does not find its pods: {own:?}"));

    let budget = objects.one::<PodDisruptionBudget>()?.spec.context("the PodDisruptionBudget has no spec")?;
    let selector = of(&budget.selector.unwrap_or_default(), "PodDisruptionBudget", findings);
    findings.equal("the selector of the PodDisruptionBudget", &selector, &own);
    findings.equal("maxUnavailable of the PodDisruptionBudget", budget.max_unavailable, Some(IntOrString::Int(1)));
    let spread = workload.template.spec.iter().flat_map(|pod| pod.topology_spread_constraints.iter().flatten());
    for constraint in spread {
        let selector = of(&constraint.label_selector.clone().unwrap_or_default(), "spread", findings);
        findings.equal("the selector of the spread over nodes", &selector, &own);
        // Else a rollout would count the pods of the old template; each kind has a label of its own for that.
        let hash = if workload.kind == "Deployment" { "pod-template-hash" } else { "controller-revision-hash" };
        findings.equal("matchLabelKeys", constraint.match_label_keys.clone(), Some(vec![hash.to_owned()]));
    }
    if let Some(policy) = objects.optional::<NetworkPolicy>()? {
        let selector = policy.spec.and_then(|spec| spec.pod_selector).unwrap_or_default();
        let selector = of(&selector, "NetworkPolicy", findings);
        findings.equal("the selector of the NetworkPolicy", &selector, &own);
    }
    if let Some(service) = objects.optional::<Service>()? {
        let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
        findings.equal("the selector of the Service", &selector, &own);
    }
    if let Some(monitor) = objects.untyped("PodMonitor") {
        // In its own namespace, unless it names others.
        findings.require(monitor["spec"]["namespaceSelector"].is_null(), "the PodMonitor looks into other namespaces");
        let selector = serde_json::from_value(monitor["spec"]["selector"].clone())?;
        let selector = of(&selector, "PodMonitor", findings);
        findings.require(finds(&selector, &labels), format!("the PodMonitor does not find the pods: {selector:?}"));
    }
    Ok(())
}

/// What names a port names one that the container has.
fn look_at_ways_in(objects: &Objects, workload: &Workload, findings: &mut Findings) -> Result<()> {
    let service = objects.optional::<Service>()?;
    if let Some(spec) = objects.optional::<StatefulSet>()?.map(|it| it.spec) {
        let name = service.as_ref().and_then(|service| service.metadata.name.clone());
        findings.equal("serviceName of the StatefulSet", spec.service_name, name);
    }
    let containers = workload.template.spec.as_ref().map(|pod| pod.containers.as_slice()).unwrap_or_default();
    let mut named = Vec::new();
    if let Some(spec) = service.and_then(|service| service.spec) {
        findings.equal("clusterIP of the Service", spec.cluster_ip.as_deref(), Some("None"));
        named.extend(spec.ports.into_iter().flatten().map(|port| ("Service", port.target_port)));
    }
    if let Some(spec) = objects.optional::<NetworkPolicy>()?.and_then(|policy| policy.spec) {
        let ports = spec.ingress.into_iter().flatten().flat_map(|rule| rule.ports.into_iter().flatten());
        named.extend(ports.map(|port| ("NetworkPolicy", port.port)));
    }
    if let Some(monitor) = objects.untyped("PodMonitor") {
        let endpoints = monitor["spec"]["podMetricsEndpoints"].as_array().cloned().unwrap_or_default();
        findings.require(!endpoints.is_empty(), "the PodMonitor has no endpoint");
        let port = |it: &Value| Some(IntOrString::String(it["port"].as_str()?.to_owned()));
        named.extend(endpoints.iter().map(|endpoint| ("PodMonitor", port(endpoint))));
    }
    for (what, port) in named {
        findings.require(has_port(containers, port.as_ref()), format!("the {what} has a port that is none: {port:?}"));
    }
    Ok(())
}

/// Whether one of the containers has a port of that name.
pub fn has_port(containers: &[Container], port: Option<&IntOrString>) -> bool {
    let mut names = containers.iter().flat_map(|it| it.ports.iter().flatten()).filter_map(|port| port.name.as_ref());
    matches!(port, Some(IntOrString::String(wanted)) if names.any(|name| name == wanted))
}

/// Nobody else's pods are found: two of them may stand in one namespace.
pub fn look_at_strangers(all: &[(Overlay, Workload)]) -> Findings {
    let mut findings = Findings::default();
    for (overlay, workload) in all {
        let selector = of(&workload.selector, workload.kind, &mut findings);
        for (other, stranger) in all.iter().filter(|(other, _)| other != overlay) {
            let finds = finds(&selector, &labels(&stranger.template));
            findings.require(!finds, format!("the selector of {overlay} finds the pods of {other}"));
        }
    }
    findings
}

fn labels(template: &PodTemplateSpec) -> Labels {
    template.metadata.as_ref().and_then(|it| it.labels.clone()).unwrap_or_default()
}

/// The labels of a selector. An empty one finds every pod, and none here has expressions.
fn of(selector: &LabelSelector, whose: &str, findings: &mut Findings) -> Labels {
    findings.require(selector.match_expressions.is_none(), format!("the selector of the {whose} has expressions"));
    let labels = selector.match_labels.clone().unwrap_or_default();
    findings.require(!labels.is_empty(), format!("the selector of the {whose} finds every pod"));
    labels
}

fn finds(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(label, value)| labels.get(label) == Some(value))
}
