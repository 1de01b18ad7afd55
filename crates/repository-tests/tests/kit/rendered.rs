//! Each overlay with each choice of components, as kubectl renders it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{Variant, workspace};

use crate::belonging::COMPONENTS;
use crate::findings::Findings;
use crate::kubectl::Kubectl;
use crate::lists::names_in;
use crate::objects::Objects;

/// What stands in every overlay, for a reader to take the comment signs away.
const SWITCH: &str = "# components:\n#   - ../../components/network-policy\n";

/// One of them.
#[derive(Clone, Debug)]
pub struct Rendered {
    pub components: Vec<&'static str>,
    pub yaml: String,
    pub objects: Objects,
}

impl Rendered {
    /// What is switched on, for a message.
    pub fn name(&self) -> String {
        if self.components.is_empty() { "no component".to_owned() } else { self.components.join(" + ") }
    }
}

/// All choices, the one without components first and the one with all of them last.
pub fn render(kubectl: &Kubectl, variant: Variant) -> Result<Vec<Rendered>> {
    let dir = TempDir::new("still-leading-kit-")?;
    let deploy = workspace().join("deploy");
    for folder in ["base", "components"] {
        dir.copy_in(&deploy.join(folder), Path::new(folder))?;
    }
    let overlay = deploy.join("overlays").join(variant.name());
    (0..1 << COMPONENTS.len()).map(|choice| render_one(kubectl, &overlay, &dir, choice)).collect()
}

/// The bits of `choice` are the components.
fn render_one(kubectl: &Kubectl, overlay: &Path, dir: &TempDir, choice: usize) -> Result<Rendered> {
    let chosen = COMPONENTS.iter().enumerate().filter(|(bit, _)| choice & (1 << bit) != 0);
    let components: Vec<&'static str> = chosen.map(|(_, (name, _))| *name).collect();
    // As deep as the original, since it names the base and the components by their way from here.
    let place = Path::new("overlays").join(choice.to_string());
    dir.copy_in(overlay, &place)?;
    let copied = dir.path().join(place);
    let file = copied.join("kustomization.yaml");
    let text = fs::read_to_string(&file)?;
    ensure!(text.matches(SWITCH).count() == 1, "{} lacks the lines to switch on:\n{SWITCH}", overlay.display());
    if !components.is_empty() {
        let list: String = components.iter().map(|name| format!("  - ../../components/{name}\n")).collect();
        fs::write(&file, text.replace(SWITCH, &format!("components:\n{list}")))?;
    }
    let said = |what: &str| format!("{what} {} with {components:?}", overlay.display());
    let yaml = kubectl.kustomize(&copied).with_context(|| said("rendering"))?;
    let objects = Objects::parse(&yaml).with_context(|| said("reading"))?;
    Ok(Rendered { components, yaml, objects })
}

/// The folders of `deploy/components` are those that are switched on here.
pub fn look_at_components() -> Result<Findings> {
    let mut findings = Findings::default();
    let folders = names_in(&workspace().join("deploy/components"), |name| Some(name.to_owned()))?;
    let tried = COMPONENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    findings.equal("the list of folders in deploy/components", folders, tried);
    Ok(findings)
}
