//! Each overlay with each choice of components, as kubectl renders it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::workspace;

use crate::findings::Findings;
use crate::kubectl::Kubectl;
use crate::lists::names_in;
use crate::objects::Objects;
use crate::overlay::Overlay;

/// What stands in every overlay, for a reader to take the comment signs away.
const SWITCH: &str = "# components:\n#   - ../../components/network-policy\n";

const KUSTOMIZATION: &str = "kustomization.yaml";

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

/// The choices that are tried, the one without components first and the one with all of them last.
pub fn render(kubectl: &Kubectl, overlay: Overlay) -> Result<Vec<Rendered>> {
    let copy = Copy::of(overlay)?;
    overlay.choices().into_iter().map(|choice| copy.render(kubectl, choice)).collect()
}

/// All components, in an overlay whose own file was changed.
pub fn render_changed(kubectl: &Kubectl, overlay: Overlay, change: impl FnOnce(&str) -> String) -> Result<Rendered> {
    let mut copy = Copy::of(overlay)?;
    copy.text = change(&copy.text);
    copy.render(kubectl, overlay.all_components())
}

/// A copy of the kit, with the text of one overlay's own file.
pub struct Copy {
    dir: TempDir,
    overlay: Overlay,
    text: String,
}

impl Copy {
    pub fn of(overlay: Overlay) -> Result<Self> {
        let dir = TempDir::new("still-leading-kit-")?;
        let deploy = workspace().join("deploy");
        for folder in ["base", "components"] {
            dir.copy_in(&deploy.join(folder), Path::new(folder))?;
        }
        let file = deploy.join("overlays").join(overlay.name()).join(KUSTOMIZATION);
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        ensure!(text.matches(SWITCH).count() == 1, "{} lacks the lines to switch on:\n{SWITCH}", file.display());
        Ok(Self { dir, overlay, text })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The bits of `choice` are the components. The overlay is `overlays/<choice>` then.
    pub fn render(&self, kubectl: &Kubectl, choice: usize) -> Result<Rendered> {
        let overlay = self.overlay;
        let chosen = overlay.components().iter().enumerate().filter(|(bit, _)| choice & (1 << bit) != 0);
        let components: Vec<&'static str> = chosen.map(|(_, (name, _))| *name).collect();
        // As deep as the original, since it names the base and the components by their way from here.
        let place = Path::new("overlays").join(choice.to_string());
        self.dir.copy_in(&workspace().join("deploy/overlays").join(overlay.name()), &place)?;
        let copied = self.dir.path().join(place);
        let list: String = components.iter().map(|name| format!("  - ../../components/{name}\n")).collect();
        let list = if list.is_empty() { list } else { format!("components:\n{list}") };
        fs::write(copied.join(KUSTOMIZATION), self.text.replace(SWITCH, &list))?;
        self.read(kubectl, &copied, components)
    }

    /// What a folder in it renders to.
    pub fn read(&self, kubectl: &Kubectl, folder: &Path, components: Vec<&'static str>) -> Result<Rendered> {
        let said = |what: &str| format!("{what} {} with {components:?}", self.overlay);
        let yaml = kubectl.kustomize(&self.path().join(folder)).with_context(|| said("rendering"))?;
        let objects = Objects::parse(&yaml).with_context(|| said("reading"))?;
        Ok(Rendered { components, yaml, objects })
    }
}

/// The folders of `deploy/components` are those that are switched on here.
pub fn look_at_components() -> Result<Findings> {
    let mut findings = Findings::default();
    let folders = names_in(&workspace().join("deploy/components"), |name| Some(name.to_owned()))?;
    let folder = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let tried = Overlay::all().flat_map(|overlay| overlay.components()).map(|(name, _)| folder(name)).collect();
    findings.equal("the list of folders in deploy/components", folders, tried);
    Ok(findings)
}
