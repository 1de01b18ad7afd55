//! Looks at the objects of an overlay.

use crate::findings::Findings;
use crate::objects::Objects;
use crate::overlay::Overlay;
use crate::{belonging, pods};

/// Everything that can be asked of the objects alone.
pub fn look(overlay: Overlay, objects: &Objects, components: &[&str]) -> Findings {
    let mut findings = Findings::default();
    let looked = belonging::look(overlay, objects, components, &mut findings);
    if let Err(error) = looked.and_then(|()| pods::look(overlay, objects, components, &mut findings)) {
        findings.note(&error);
    }
    findings
}
