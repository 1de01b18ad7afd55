//! Reading and writing the Lease object. Any record is readable: null fields, an empty spec, an empty holder, huge and
//! negative numbers, times of any year.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::timing::Timing;

/// The holder. Tools release a Lease by an empty string, by null, or by an empty spec.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// How long the holder asked for, or our own duration where it did not say.
pub(super) fn claimed_duration(lease: &Lease, timing: &Timing) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => timing.lease_duration,
    }
}

/// The time of the last renewal in microseconds since 1970, which is the precision of the API.
pub(super) fn renew_time(lease: &Lease) -> Option<i64> {
    Some(lease.spec.as_ref()?.renew_time.as_ref()?.0.as_microsecond())
}

pub(super) fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0)
}

pub(super) fn resource_version(lease: &Lease) -> Option<&str> {
    lease.metadata.resource_version.as_deref()
}

/// The resourceVersion as the number that orders it.
pub(super) fn version_number(lease: &Lease) -> Option<u128> {
    resource_version(lease)?.parse().ok()
}

/// A time that is ahead by more than this is nobody's clock.
const AHEAD_MAX: i64 = 24 * 60 * 60 * 1_000_000;

/// The time to write: the wall clock's, but always later than the last one written or seen, since others take a Lease
/// that does not change for dead. An absurd time that somebody else wrote is not carried on.
pub(super) fn next_renew_time(wall_clock: MicroTime, lease: Option<&Lease>, last_written: Option<i64>) -> MicroTime {
    let now = wall_clock.0.as_microsecond();
    let seen = lease.and_then(renew_time).filter(|seen| *seen < now.saturating_add(AHEAD_MAX));
    match seen.max(last_written).map(|before| before.saturating_add(1)) {
        // After the last microsecond of the year 9999 there is no later time; then another one has to do.
        Some(next) if next > now => jiff::Timestamp::from_microsecond(next).map_or(wall_clock, MicroTime),
        _ => wall_clock,
    }
}

/// The claim of `identity` for `duration`, in place of `known`.
pub(super) fn claim(
    known: Option<&Lease>,
    is_mine: bool,
    identity: &str,
    duration: Duration,
    time: MicroTime,
    transitions: i32,
) -> Lease {
    let mut lease = known.cloned().unwrap_or_default();
    let spec = lease.spec.get_or_insert_default();
    if !is_mine {
        spec.holder_identity = Some(identity.to_owned());
        spec.acquire_time = Some(time.clone());
        spec.lease_transitions = Some(transitions.saturating_add(1));
    }
    // Whole seconds, rounded up, since the others wait this long.
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    spec.renew_time = Some(time);
    // The server keeps the field owners itself.
    lease.metadata.managed_fields = None;
    lease
}

/// `lease` without a holder, as client-go writes it: an empty holder, and a duration of a second for electors that look
/// at nothing else.
pub(super) fn release(lease: &Lease, time: MicroTime) -> Lease {
    let mut lease = lease.clone();
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(time);
    lease.metadata.managed_fields = None;
    lease
}
