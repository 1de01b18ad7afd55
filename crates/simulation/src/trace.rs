//! Events and Leases in a few words.

use k8s_openapi::api::coordination::v1::Lease;
use still_leading::internals::Event;

use crate::server::{holder, version};

/// An event in a few words.
pub fn event(event: &Event) -> String {
    match event {
        Event::Watched(it) => format!("watched {}", lease(it)),
        Event::Deleted(it) => format!("deleted {}", lease(it)),
        Event::Read { lease: Some(it), age } => format!("read {} of age {age:?}", lease(it)),
        Event::Read { lease: None, .. } => "read that there is no Lease".to_owned(),
        Event::Wrote(it) => format!("wrote {}", lease(it)),
        Event::Tick => "tick".to_owned(),
        Event::WatchEnded => "the watch ended".to_owned(),
        Event::ReadFailed => "the read failed".to_owned(),
        Event::Refused => "refused".to_owned(),
        Event::Denied => "denied".to_owned(),
        Event::WriteFailed => "the write failed".to_owned(),
        Event::Asked(name) => format!("the application asks to hand over to {name}"),
    }
}

/// A Lease in a few words: version, uid, holder, duration, and the last digits of its renewTime.
pub fn lease(lease: &Lease) -> String {
    let uid = lease.metadata.uid.as_deref().unwrap_or("new");
    let spec = lease.spec.as_ref();
    let lasts = spec.and_then(|spec| spec.lease_duration_seconds).map_or("-".to_owned(), |it| it.to_string());
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map_or(0, |time| time.0.as_microsecond());
    let holder = holder(lease).unwrap_or("nobody");
    format!("[{} {uid} of {holder} for {lasts} s, renewed …{:010}]", version(lease), renewed.rem_euclid(10_000_000_000))
}
