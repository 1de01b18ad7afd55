//! How many trials this machine bears side by side. Native hands over in some milliseconds after SIGTERM; where others beside
//! it make that more than twice as long, they are too many, and what is measured would be the machine.

use std::path::Path;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use still_leading_testbed::{ApiServer, FleetOptions, Timings, Variant};

use super::store::Calibration;
use crate::handover::{self, Fault};
use crate::stats::median;

/// Hand-overs of each fleet.
const TRIALS: usize = 3;
/// Alone there are more, because there is one fleet only.
const SERIAL_TRIALS: usize = 7;
/// How much longer a hand-over may take beside others.
const FACTOR_MAX: f64 = 2.0;

/// Finds how many there may be, `wanted` at most, and tells of each try.
///
/// # Errors
/// A fleet cannot be started, or nobody takes over.
pub async fn calibrate(
    server: &ApiServer,
    native: &Path,
    timings: Timings,
    wanted: usize,
    tell: &dyn Fn(String),
) -> Result<(usize, Calibration)> {
    ensure!(wanted > 0, "no trial at all is too few");
    let options = || {
        let options = FleetOptions::new(Variant::Native, native.to_owned());
        FleetOptions { timings, ..options }
    };
    let serial = handover::measure_quietly(server, options(), Fault::Sigterm, SERIAL_TRIALS).await?;
    let mut calibration = Calibration { serial_ms: median(&serial.trials_ms), tried: Vec::new() };
    tell(format!("native hands over in {:.1} ms alone (median of {SERIAL_TRIALS})", calibration.serial_ms));
    let mut parallel = wanted;
    while parallel > 1 {
        let fleets = (0..parallel).map(|_| handover::measure_quietly(server, options(), Fault::Sigterm, TRIALS));
        let all: Vec<f64> = try_join_all(fleets).await?.into_iter().flat_map(|series| series.trials_ms).collect();
        let beside = median(&all);
        calibration.tried.push((parallel, beside));
        tell(format!("{beside:.1} ms with {parallel} side by side (median of {})", all.len()));
        if beside <= calibration.serial_ms * FACTOR_MAX {
            break;
        }
        parallel = parallel * 3 / 4;
    }
    Ok((parallel.max(1), calibration))
}
