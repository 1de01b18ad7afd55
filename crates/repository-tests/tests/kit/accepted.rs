//! What the real API server says to the objects, in every choice of components.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{ApiServer, ServerKind};

use crate::findings::Findings;
use crate::kubectl::Kubectl;
use crate::lists::PREFIX;
use crate::overlay::Overlay;
use crate::rendered::Rendered;
use crate::server::try_to_create;
use crate::world::World;

/// Every choice is accepted field by field without a warning. Then one is applied twice, in the namespace that it is written
/// for: another one with each overlay, so that each component comes up.
pub async fn is_accepted_and_changes_nothing_the_second_time(world: &World, overlay: Overlay) -> Result<()> {
    let (kubectl, rendered) = (world.kubectl()?, world.rendered(overlay)?);
    let server = world.server(ServerKind::Real).await?;
    let dir = TempDir::new("still-leading-kit-")?;
    let kubeconfig = server.admin_kubeconfig(dir.path(), "default")?;
    // The objects cannot be tried before the namespace is there.
    let namespace = rendered[0].objects.untyped("Namespace").context("there is no Namespace")?;
    kubectl.apply(&kubeconfig, &namespace.to_string())?;
    let mut findings = Findings::default();
    for it in rendered {
        try_all(server, overlay, it, &mut findings).await?;
    }
    findings.into_result()?;
    let place = Overlay::all().position(|it| it == overlay).unwrap_or_default();
    // Of the last overlay the choice with everything, of which one component is its own.
    let place = if overlay == Overlay::Controller { rendered.len() - 1 } else { place % rendered.len() };
    apply_twice(kubectl, &kubeconfig, &rendered[place])
}

async fn try_all(server: &ApiServer, overlay: Overlay, it: &Rendered, findings: &mut Findings) -> Result<()> {
    let (client, namespace) = (server.client()?, format!("{PREFIX}{overlay}"));
    for object in it.objects.0.iter().filter(|object| object["kind"] != "Namespace") {
        let answer = try_to_create(&client, object, &namespace).await?;
        findings.require(answer.is_clean(), format!("{} with {}: {answer:?}", object["kind"], it.name()));
    }
    Ok(())
}

fn apply_twice(kubectl: &Kubectl, kubeconfig: &Path, it: &Rendered) -> Result<()> {
    let [first, second] = [(); 2].map(|()| kubectl.apply(kubeconfig, &it.yaml));
    let (first, second) = (first?, second?);
    let objects = it.objects.0.len();
    ensure!(first.len() == objects, "{} of {objects} objects were applied with {}", first.len(), it.name());
    let pairs = first.iter().zip(&second);
    let changed = pairs.filter(|(before, after)| identity(before) != identity(after)).map(|(_, after)| &after["kind"]);
    let changed: Vec<_> = changed.collect();
    ensure!(changed.is_empty(), "applied again with {}, these change: {changed:?}", it.name());
    Ok(())
}

/// Which object it is, and in which state.
fn identity(object: &Value) -> [&Value; 4] {
    let metadata = &object["metadata"];
    [&object["kind"], &metadata["name"], &metadata["uid"], &metadata["resourceVersion"]]
}
