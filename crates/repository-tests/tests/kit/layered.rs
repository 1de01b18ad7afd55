//! What readers do to an overlay: not by changing it, but in a kustomization of their own on top of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};
use still_leading_testbed::workspace;

use crate::belonging;
use crate::findings::Findings;
use crate::lists::PREFIX;
use crate::objects::{Objects, UNTYPED};
use crate::overlay::Overlay;
use crate::pods::SWITCH;
use crate::rendered::{Copy, Rendered};
use crate::world::World;

/// The field of a workload that everyday patches set, by a strategic merge.
const EVERYDAY: &str = "
patches:
  - target: {kind: Deployment|StatefulSet}
    patch: |
      apiVersion: apps/v1
      kind: KIND
      metadata: {name: any}
      spec:
        template:
          spec:
            containers:
              - name: app
                args: [--log-format=json]
                env:
                  - {name: TICK, value: 10s}
";

/// What `docs/fencing.md` asks for in each layer.
const FENCED_ABOVE: &str = "transformers: [../components/fencing/names]\n";

/// The election stays on when a patch sets arguments and a variable of its own.
pub fn keeps_its_election_under_an_everyday_patch(world: &World, overlay: Overlay) -> Result<()> {
    let copy = Copy::of(overlay)?;
    // The Deployment, and the StatefulSet of the last choice, which has all components.
    for (choice, kind) in [(0, "Deployment"), (overlay.all_components(), "StatefulSet")] {
        let rendered = on_top(world, &copy, choice, &[EVERYDAY.replace("KIND", kind)])?;
        let pod = rendered.objects.workload()?.template.spec.context("there is no pod spec")?;
        let [container]: &[Container; 1] =
            pod.containers.as_slice().try_into().context("there is not one container")?;
        let mut findings = Findings::default();
        let args = container.args.iter().flatten().map(String::as_str).collect();
        findings.equal("the list of arguments", args, vec!["--log-format=json"]);
        for (name, wanted) in [(SWITCH, "true"), ("TICK", "10s")] {
            let value = container.env.iter().flatten().find(|it| it.name == name).and_then(|it| it.value.as_deref());
            findings.equal(name, value, Some(wanted));
        }
        findings.into_result().with_context(|| format!("a {kind} that is patched"))?;
    }
    Ok(())
}

/// Every name follows through any number of layers: what the pods' variables say, what the Role lets them do, and what is there.
pub fn keeps_its_names_together(world: &World, overlay: Overlay) -> Result<()> {
    let copy = Copy::of(overlay)?;
    for choice in [0, overlay.all_components()] {
        let layer = |text: &str| {
            let is_fenced = choice != 0 && overlay == Overlay::Controller;
            format!("{text}{}", if is_fenced { FENCED_ABOVE } else { "" })
        };
        let inner = layer("namespace: elsewhere\nnamePrefix: my-\nnameSuffix: -two\n");
        let rendered = on_top(world, &copy, choice, &[inner, layer("namePrefix: our-\nnameSuffix: -eu\n")])?;
        let mut findings = Findings::default();
        let name = format!("our-my-{PREFIX}{overlay}-two-eu");
        for object in rendered.objects.0.iter().filter(|it| !belonging::is_of_the_cluster(it["kind"].as_str())) {
            let metadata = &object["metadata"];
            let found = (metadata["name"].as_str(), metadata["namespace"].as_str());
            findings.equal(&format!("the name of the {}", object["kind"]), found, (Some(&*name), Some("elsewhere")));
        }
        belonging::look_at_relations(overlay, &rendered.objects, &rendered.components, &mut findings)?;
        if let Some(rules) = rendered.objects.untyped("PrometheusRule") {
            look_at_rules(rules, &name, &mut findings)?;
        }
        findings.into_result().with_context(|| format!("with {}", rendered.name()))?;
    }
    Ok(())
}

/// All components, with the patch in the comment of one of them switched on: without its comment signs.
fn with_the_patch_of(world: &World, overlay: Overlay, component: &str) -> Result<Rendered> {
    let copy = Copy::of(overlay)?;
    let file = copy.path().join("components").join(component).join("kustomization.yaml");
    let text = fs::read_to_string(&file)?;
    let (before, patch) = text.split_once("# patches:\n").context("the component has no patch to switch on")?;
    let patch: String = patch.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    fs::write(&file, format!("{before}patches:\n{patch}"))?;
    copy.render(world.kubectl()?, overlay.all_components())
}

/// The patch in the component network-policy lets the replicas out to one more port, and changes nothing else.
pub fn is_let_out_to_another_port(world: &World, overlay: Overlay) -> Result<()> {
    let plain = world.rendered(overlay)?.last().context("nothing is rendered")?;
    let patched = with_the_patch_of(world, overlay, "network-policy")?;
    let mut wanted = plain.objects.clone();
    let policy = wanted.0.iter_mut().find(|it| it["kind"] == "NetworkPolicy").context("there is no NetworkPolicy")?;
    let ports = policy["spec"]["egress"][1]["ports"].as_array_mut().context("no ports of the API server")?;
    let others: Vec<_> = ports.iter().map(|port| port["port"].as_u64()).collect();
    let mut findings = Findings::default();
    findings.equal("the list of ports of the API server", others, vec![Some(443), Some(6443)]);
    ports.push(json!({"port": 16443, "protocol": "TCP"}));
    findings.equal("what the patch makes", patched.objects.0, wanted.0);
    findings.into_result()
}

/// The image is set in one place: by `images` in a kustomization on top, or by `IMAGE` for `deploy/render`. Nothing else
/// changes.
pub fn gets_its_image_in_one_place(world: &World, overlay: Overlay) -> Result<()> {
    const OWN: &str = "registry.example.com:5000/team/app";
    let plain = world.rendered(overlay)?.first().context("nothing is rendered")?;
    let with_image = |image: &str| -> Result<Vec<Value>> {
        let mut objects = plain.objects.0.clone();
        let workload = objects.iter_mut().find(|it| it["kind"] == "Deployment").context("there is no Deployment")?;
        workload["spec"]["template"]["spec"]["containers"][0]["image"] = Value::from(image);
        Ok(objects)
    };
    let mut findings = Findings::default();
    let images = format!("images: [{{name: {PREFIX}{overlay}, newName: {OWN}, newTag: 1.2.3}}]\n");
    let layered = on_top(world, &Copy::of(overlay)?, 0, &[images])?;
    findings.equal("what the images of a kustomization make", layered.objects.0, with_image(&format!("{OWN}:1.2.3"))?);
    let digest = format!("{OWN}@sha256:{}", "0".repeat(64));
    let mut command = Command::new(workspace().join("deploy/render"));
    let output = command.arg(overlay.name()).env("IMAGE", &digest).output().context("starting deploy/render")?;
    let said = String::from_utf8_lossy(&output.stderr);
    findings.require(output.status.success() && said.is_empty(), format!("deploy/render: {}, {said}", output.status));
    let rendered = Objects::parse(&String::from_utf8_lossy(&output.stdout))?;
    findings.equal("what deploy/render prints with IMAGE", rendered.0, with_image(&digest)?);
    findings.into_result()
}

/// The patch in the component monitoring, without its comment signs, does what it says.
pub fn gets_the_label_of_a_release(world: &World) -> Result<()> {
    let overlay = Overlay::Controller;
    let rendered = with_the_patch_of(world, overlay, "monitoring")?;
    let mut findings = Findings::default();
    for object in &rendered.objects.0 {
        let kind = object["kind"].as_str().unwrap_or_default();
        let wanted = UNTYPED.contains(&kind).then_some("kube-prometheus-stack");
        findings.equal(&format!("the label of the {kind}"), object["metadata"]["labels"]["release"].as_str(), wanted);
    }
    belonging::look(overlay, &rendered.objects, &rendered.components, &mut findings)?;
    findings.into_result()
}

/// The alerts are about the Lease of the layered installation as well.
fn look_at_rules(rules: &Value, lease: &str, findings: &mut Findings) -> Result<()> {
    let text = rules.to_string();
    let filters: Vec<_> = text.split("name=~\\\"").skip(1).filter_map(|rest| rest.split('\\').next()).collect();
    findings.require(!filters.is_empty(), "no alert goes by the name of the Lease");
    for filter in filters {
        // As Prometheus reads it, from end to end. Those that are here have no other special characters.
        let parts: Vec<_> = filter.split(".*").collect();
        let [before, within, after] = parts.as_slice() else { bail!("the filter {filter:?} of an alert is not known") };
        let is_met = before.is_empty() && after.is_empty() && lease.contains(within);
        findings.require(is_met, format!("an alert passes over {lease:?}: {filter:?}"));
    }
    Ok(())
}

/// The overlay with a choice of components, under kustomizations with these texts, each on top of the one before.
fn on_top(world: &World, copy: &Copy, choice: usize, texts: &[String]) -> Result<Rendered> {
    let components = copy.render(world.kubectl()?, choice)?.components;
    let mut below = format!("overlays/{choice}");
    for (height, text) in texts.iter().enumerate() {
        let layer = format!("layer-{choice}-{height}");
        let folder = copy.path().join(&layer);
        fs::create_dir_all(&folder)?;
        let head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
        fs::write(folder.join("kustomization.yaml"), format!("{head}resources: [../{below}]\n{text}"))?;
        below = layer;
    }
    copy.read(world.kubectl()?, Path::new(&below), components)
}
