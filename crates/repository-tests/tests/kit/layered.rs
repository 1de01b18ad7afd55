//! What readers do to an overlay: not by changing it, but in a kustomization of their own on top of it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Container;
use serde_json::Value;

use crate::belonging;
use crate::findings::Findings;
use crate::lists::PREFIX;
use crate::objects::UNTYPED;
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

/// Every name follows through any number of layers: what the pods are told, what the Role lets them do, and what is there.
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

/// The patch in the component monitoring, without its comment signs, does what it says.
pub fn gets_the_label_of_a_release(world: &World) -> Result<()> {
    let overlay = Overlay::Controller;
    let copy = Copy::of(overlay)?;
    let file = copy.path().join("components/monitoring/kustomization.yaml");
    let text = fs::read_to_string(&file)?;
    let (before, patch) = text.split_once("# patches:\n").context("the component has no patch to switch on")?;
    let patch: String = patch.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    fs::write(&file, format!("{before}patches:\n{patch}"))?;
    let rendered = copy.render(world.kubectl()?, overlay.all_components())?;
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
