//! Measures the variants side by side, on a real kube-apiserver: release builds, the shipped manifests, client-go's
//! timings. A number comes with its n, and the variants that it is compared between ran at the same time.
//!
//! Measuring and presenting are apart: what is measured goes to a [`record`], and [`comparison`] makes tables of records.
//!
//! [`e2e`] tries the deployed variants on a cluster.

pub mod artefact;
pub mod clock;
pub mod comparison;
pub mod controller;
pub mod e2e;
pub mod footprint;
pub mod handover;
pub mod matrix;
pub mod record;
pub mod stats;
pub mod table;

use anyhow::{Context, Result};
use still_leading_testbed::{ApiServer, Assets, FleetOptions, Profile, ServerKind, Variant};

/// Builds `variants` for release, telling of each, and starts a real API server.
///
/// # Errors
/// There is no control plane to start, or a variant does not build; the message says what to do.
pub async fn prepare(variants: &[Variant]) -> Result<(ApiServer, Vec<FleetOptions>)> {
    // First, so that it is not found missing after minutes of building.
    Assets::find()?;
    let mut options = Vec::new();
    for variant in variants {
        eprintln!("building {variant} for release");
        let program = variant.build(Profile::Release).with_context(|| format!("building {variant}"))?;
        options.push(FleetOptions::new(*variant, program));
    }
    eprintln!("starting etcd and kube-apiserver");
    Ok((ApiServer::start(ServerKind::Real).await?, options))
}
