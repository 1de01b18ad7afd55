//! What a case is.

use anyhow::Result;
use still_leading_testbed::Variant;

use crate::overlay::Overlay;
use crate::world::World;

/// What a case needs besides the files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Kubectl,
    RealServer,
    Program,
}

/// One case. The part of its name before `::` says where it is tried.
pub struct Case {
    pub name: &'static str,
    pub needs: &'static [Need],
    pub run: Run,
}

#[derive(Clone, Copy)]
pub enum Run {
    /// With each overlay.
    Each(fn(&World, Overlay) -> Result<()>),
    /// With each variant, since it runs them.
    EachVariant(fn(&World, Variant) -> Result<()>),
    /// With all together.
    Once(fn(&World) -> Result<()>),
}
