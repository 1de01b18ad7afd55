//! The pods: as restricted as Pod Security asks for and a little more, and no faster to be ended than they can hand over.
//! A real API server is asked the same; this is for machines that have none.

use std::fs;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};
use still_leading_repository_tests::page;
use still_leading_testbed::{Timings, workspace};

use crate::belonging::has_port;
use crate::findings::Findings;
use crate::lists::PREFIX;
use crate::objects::Objects;
use crate::overlay::{ONE_CHANGE, Overlay, SINGLE};

/// What the standard `restricted` forbids of a pod, or lets be only in other values than these. None of them is needed, so
/// none is set at all.
const UNSET: [&str; 5] = ["hostNetwork", "hostPID", "hostIPC", "volumes", "ephemeralContainers"];

/// In `docs`.
const PAGE: &str = "in-your-own-repository.md";

/// Everything that is to be looked at.
pub fn look(overlay: Overlay, objects: &Objects, components: &[&str], findings: &mut Findings) -> Result<()> {
    let workload = objects.workload()?;
    let pod = workload.template.spec.context("there is no pod spec")?;
    look_at_pod(&pod, findings)?;
    let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    for container in containers {
        look_at_container(container, findings)?;
        look_at_resources(container, findings);
        look_at_image(overlay, container, findings);
    }
    look_at_probes(&pod.containers, findings);
    look_at_end(&pod, components, findings);
    let is_single = components.contains(&SINGLE);
    if let Some(spec) = objects.optional::<Deployment>()?.map(|it| it.spec) {
        let update = spec.strategy.unwrap_or_default();
        findings.require(update.type_.as_deref() != Some("Recreate"), "all pods are replaced at once");
        let update = update.rolling_update.unwrap_or_default();
        let [none, one] = [0, 1].map(|count| Some(IntOrString::Int(count)));
        // One of three makes room for the next. One alone has to have its standby first, and so has a rollout in which the
        // leader changes once.
        let starts_first = is_single || components.contains(&ONE_CHANGE);
        let (surge, unavailable) = if starts_first { (one, none) } else { (none, one) };
        findings.equal("maxSurge", update.max_surge, surge);
        findings.equal("maxUnavailable", update.max_unavailable, unavailable);
    }
    let replicas = workload.replicas.unwrap_or(1);
    findings.require(is_single || replicas > 1, "there is no standby to take over");
    findings.require(!is_single || replicas == 1, format!("there are {replicas} replicas, not a single one"));
    Ok(())
}

fn look_at_pod(pod: &PodSpec, findings: &mut Findings) -> Result<()> {
    let fields = serde_json::to_value(pod)?;
    for field in UNSET {
        findings.equal(field, &fields[field], &Value::Null);
    }
    let security = &fields["securityContext"];
    findings.equal("runAsNonRoot", &security["runAsNonRoot"], &json!(true));
    // The image has its user. OpenShift refuses pods with another one than it assigns.
    for field in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"] {
        findings.equal(field, &security[field], &Value::Null);
    }
    findings.equal("nodeSelector", &fields["nodeSelector"], &json!({"kubernetes.io/os": "linux"}));
    findings.equal("seccompProfile", &security["seccompProfile"], &json!({"type": "RuntimeDefault"}));
    for field in ["seLinuxOptions", "appArmorProfile", "sysctls", "windowsOptions"] {
        findings.equal(field, &security[field], &Value::Null);
    }
    Ok(())
}

/// Every Dockerfile, that of the page to copy from as well.
pub fn look_at_images() -> Result<Findings> {
    let mut findings = Findings::default();
    let read = |file: &str| fs::read_to_string(workspace().join(file)).with_context(|| format!("reading {file}"));
    let blocks = page::read(PAGE)?;
    let of_the_page = blocks.into_iter().find(|block| block.language == "dockerfile");
    let of_the_page = of_the_page.with_context(|| format!("{PAGE} has no Dockerfile"))?.text;
    for (what, text) in [
        ("Dockerfile", read("Dockerfile")?),
        ("apps/client-go/Dockerfile", read("apps/client-go/Dockerfile")?),
        (PAGE, of_the_page),
    ] {
        let user = text.lines().rev().find_map(|line| line.strip_prefix("USER ")).unwrap_or_default();
        let number = user.split(':').next().unwrap_or_default().parse::<u32>();
        // Of a name, the kubelet cannot know that it is not root's.
        findings.require(number.is_ok_and(|number| number != 0), format!("the user of {what} is {user:?}"));
    }
    Ok(findings)
}

/// What a container says goes before what its pod says, so it says nothing of what the pod does.
fn look_at_container(container: &Container, findings: &mut Findings) -> Result<()> {
    let security = serde_json::to_value(&container.security_context)?;
    let wanted = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    findings.equal(&format!("securityContext of the container {}", container.name), &security, &wanted);
    let on_host = container.ports.iter().flatten().any(|port| port.host_port.is_some());
    findings.require(!on_host, "a container has a port on its host");
    Ok(())
}

fn look_at_resources(container: &Container, findings: &mut Findings) {
    let resources = container.resources.clone().unwrap_or_default();
    let names = |list: Option<std::collections::BTreeMap<String, _>>| {
        list.into_iter().flat_map(|list| list.into_keys()).collect::<Vec<String>>()
    };
    // Throttling would delay renewals, hence no limit on CPU.
    findings.equal("the list of resource limits", names(resources.limits), vec!["memory".to_owned()]);
    let wanted = ["cpu", "memory"].map(str::to_owned).to_vec();
    findings.equal("the list of resource requests", names(resources.requests), wanted);
}

/// skaffold puts the tag, and loads the image into the cluster, from where it is not to be pulled.
fn look_at_image(overlay: Overlay, container: &Container, findings: &mut Findings) {
    let image = format!("{PREFIX}{overlay}");
    findings.equal("the image", container.image.as_deref(), Some(&*image));
    findings.equal("imagePullPolicy", container.image_pull_policy.as_deref(), Some("IfNotPresent"));
}

fn look_at_probes(containers: &[Container], findings: &mut Findings) {
    for container in containers {
        let probes =
            [("liveness", &container.liveness_probe, "/healthz"), ("readiness", &container.readiness_probe, "/readyz")];
        for (what, probe, wanted) in probes {
            let get = probe.as_ref().and_then(|probe: &Probe| probe.http_get.as_ref());
            findings.equal(
                &format!("the path of the {what} probe"),
                get.and_then(|it| it.path.as_deref()),
                Some(wanted),
            );
            let named = has_port(containers, get.map(|it| &it.port));
            findings.require(named, format!("the {what} probe has a port that is none of its container's"));
            findings.require(get.is_none_or(|it| it.host.is_none()), format!("the {what} probe asks another host"));
        }
    }
}

/// Switches the election on. A variable, since a patch that sets the arguments replaces them all.
pub const SWITCH: &str = "ENABLE_LEADER_ELECTION";

/// Makes the application refuse to start where the policy of the component fencing is not in force.
const REQUIRE_FENCING: &str = "REQUIRE_FENCING";

/// What a pod is a version of.
const GENERATION: &str = "GENERATION";

/// The default of `--drain-timeout`, in seconds.
const DRAIN: u64 = 20;

/// It is the label that the pod's controller gives to all pods of one template.
fn look_at_generation(pod: &PodSpec, components: &[&str], findings: &mut Findings) {
    let variable = pod.containers.iter().flat_map(|it| it.env.iter().flatten()).find(|it| it.name == GENERATION);
    let field = variable.and_then(|it| it.value_from.as_ref()?.field_ref.as_ref()).map(|it| it.field_path.as_str());
    let label = if components.contains(&"statefulset") { "controller-revision-hash" } else { "pod-template-hash" };
    findings.equal(GENERATION, field, Some(format!("metadata.labels['{label}']").as_str()));
}

/// A leader that is asked to end first waits for its work, for the drain time-out at most. The release of its Lease takes up to one and a
/// half renew deadlines. The defaults hold: no flag sets others.
fn look_at_end(pod: &PodSpec, components: &[&str], findings: &mut Findings) {
    let arguments: Vec<_> = pod.containers.iter().flat_map(|it| it.args.iter().flatten()).map(String::as_str).collect();
    findings.equal("the list of arguments", arguments, vec![]);
    let variables = || pod.containers.iter().flat_map(|it| it.env.iter().flatten());
    let mut wanted = vec![SWITCH, "LEASE_NAME", "POD_NAME", "POD_NAMESPACE"];
    let mut on = vec![SWITCH];
    if components.contains(&"fencing") {
        wanted.push(REQUIRE_FENCING);
        on.push(REQUIRE_FENCING);
    }
    if components.contains(&ONE_CHANGE) {
        wanted.push(GENERATION);
        look_at_generation(pod, components, findings);
    }
    for name in on {
        let value = variables().find(|it| it.name == name).and_then(|it| it.value.as_deref());
        findings.equal(name, value, Some("true"));
    }
    findings.equal("the list of variables", variables().map(|it| &*it.name).collect(), wanted);
    let needed = DRAIN + Timings::default().renew_deadline.as_secs() * 3 / 2;
    let granted = pod.termination_grace_period_seconds.unwrap_or(30);
    findings.require(granted > needed as i64, format!("{granted} s are no time to end in: it may take {needed} s"));
}
