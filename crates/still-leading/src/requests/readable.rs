//! Leases whose times are beyond what the types of this crate can hold. Kubernetes stores any time up to the year 9999, and
//! jiff's end a day before: without this, one such record would keep everybody from leading.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Value, json};

use crate::lease::number;

/// A Lease that was read although a time in it cannot be.
#[derive(Clone, Debug)]
pub struct Readable(pub Lease);

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Ok(lease) = Lease::deserialize(&value) {
            return Ok(Self(lease));
        }
        // Nobody needs them here, and they have times as well.
        if let Some(metadata) = value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        for field in ["acquireTime", "renewTime"] {
            let Some(time) = value.pointer_mut(&format!("/spec/{field}")) else { continue };
            if let Some(text) = time.as_str().filter(|text| text.parse::<Timestamp>().is_err()) {
                *time = json!(stand_in(text).to_string());
            }
        }
        Lease::deserialize(value).map(Self).map_err(D::Error::custom)
    }
}

/// Another time where the text is another one: only whether a time has changed says anything.
fn stand_in(text: &str) -> Timestamp {
    let seconds = i64::try_from(number(&text) % 1_000_000).unwrap_or_default();
    Timestamp::from_second(Timestamp::MAX.as_second() - 1 - seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renew_time(text: &str) -> Result<String, serde_json::Error> {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"renewTime": text}});
        let Readable(lease) = serde_json::from_value(lease)?;
        Ok(lease.spec.unwrap().renew_time.unwrap().0.to_string())
    }

    #[test]
    fn an_ordinary_time_is_left_as_it_is() {
        assert_eq!(renew_time("2026-11-25T12:00:00.000001Z").unwrap(), "2026-11-25T12:00:00.000001Z");
    }

    #[test]
    fn a_time_that_cannot_be_read_stays_itself_and_differs_from_others() {
        let last = renew_time("9999-12-31T23:59:59.000000Z").unwrap();
        assert_eq!(renew_time("9999-12-31T23:59:59.000000Z").unwrap(), last);
        assert_ne!(renew_time("9999-12-31T23:59:58.000000Z").unwrap(), last);
    }

    #[test]
    fn what_is_no_lease_stays_an_error() {
        assert!(serde_json::from_value::<Readable>(json!({"kind": "Pod", "apiVersion": "v1"})).is_err());
        assert!(serde_json::from_value::<Readable>(json!({"spec": {"leaseDurationSeconds": "many"}})).is_err());
    }

    #[test]
    fn a_time_of_a_field_manager_that_cannot_be_read_keeps_nobody_from_leading() {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a",
            "managedFields": [{"manager": "m", "operation": "Update", "time": "9999-12-31T23:59:59Z"}]}});
        assert!(serde_json::from_value::<Readable>(lease).is_ok());
    }
}
