//! What readers do to an overlay: not by changing it, but in a kustomization of their own on top of it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Container;

use crate::findings::Findings;
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

/// The election stays on when a patch sets arguments and a variable of its own.
pub fn keeps_its_election_under_an_everyday_patch(world: &World, overlay: Overlay) -> Result<()> {
    let copy = Copy::of(overlay)?;
    // The Deployment, and the StatefulSet of the last choice, which has all components.
    for (choice, kind) in [(0, "Deployment"), (overlay.all_components(), "StatefulSet")] {
        let rendered = on_top(world, &copy, choice, &EVERYDAY.replace("KIND", kind))?;
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

/// The overlay with a choice of components, under a kustomization with this text.
fn on_top(world: &World, copy: &Copy, choice: usize, text: &str) -> Result<Rendered> {
    let below = copy.render(world.kubectl()?, choice)?;
    let layer = copy.path().join("layer");
    fs::create_dir_all(&layer)?;
    let head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
    fs::write(layer.join("kustomization.yaml"), format!("{head}  - ../overlays/{choice}\n{text}"))?;
    copy.read(world.kubectl()?, Path::new("layer"), below.components)
}
