//! Looks at the objects of a variant.

use still_leading_testbed::Variant;

use crate::findings::Findings;
use crate::objects::Objects;
use crate::{belonging, pods};

/// Everything that can be asked of the objects alone.
pub fn look(variant: Variant, objects: &Objects, components: &[&str]) -> Findings {
    let mut findings = Findings::default();
    let looked = belonging::look(variant, objects, components, &mut findings);
    if let Err(error) = looked.and_then(|()| pods::look(variant, objects, &mut findings)) {
        findings.note(&error);
    }
    findings
}
