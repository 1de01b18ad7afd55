//! Who tries first after a release, and how a hand-over is agreed upon. A preference decides who tries first. The
//! compare-and-swap decides who leads, so nothing here keeps anybody from leading, or lets anybody lead.
//!
//! A hand-over takes three writes, each a compare-and-swap. Somebody asks for it in an annotation, by the name of a replica.
//! The standby of that name writes its identity in place of the request, which shows that it lives. The leader ends its work
//! and releases the Lease, and lets the others wait for a moment by what the standby wrote.

use k8s_openapi::api::coordination::v1::Lease;

use super::timing::Timing;

/// The generation of whoever claimed the Lease last, such as the hash of its pod template.
const GENERATION: &str = "still-leading.dev/generation";
/// The name of the replica that the leader is asked to hand over to.
const HAND_OVER_TO: &str = "still-leading.dev/hand-over-to";
/// The identity of the standby that has accepted.
const SUCCESSOR: &str = "still-leading.dev/successor";

/// Whether `identity` is that of a process of the replica `name`: the name itself, or the name and a random part.
pub(super) fn bears(identity: &str, name: &str) -> bool {
    identity == name || identity.rsplit_once('_').is_some_and(|(own, _)| own == name)
}

/// The replica that the leader is asked to hand over to.
pub(super) fn request(lease: &Lease) -> Option<&str> {
    annotation(lease, HAND_OVER_TO)
}

/// The standby that has accepted to take over.
pub(super) fn successor(lease: &Lease) -> Option<&str> {
    annotation(lease, SUCCESSOR).filter(|successor| !successor.is_empty())
}

/// How many head starts this replica gives to the others, after `lease` was released: none if it was chosen, or if another
/// generation than its own has released. Whoever has handed over comes last.
pub(super) fn head_starts_given(lease: &Lease, timing: &Timing, has_handed_over: bool) -> u32 {
    let generation = timing.generation.as_deref().filter(|generation| !generation.is_empty());
    match successor(lease) {
        _ if has_handed_over => 2,
        Some(successor) => u32::from(!bears(&timing.identity, successor)),
        None => u32::from(generation.is_some() && annotation(lease, GENERATION) == generation),
    }
}

/// `lease` with the word of this standby that it takes over when the leader has released. The claim stays as it is.
pub(super) fn acceptance(lease: &Lease, timing: &Timing) -> Lease {
    let mut lease = lease.clone();
    set(&mut lease, HAND_OVER_TO, None);
    set(&mut lease, SUCCESSOR, Some(&timing.identity));
    // The server keeps the field owners itself.
    lease.metadata.managed_fields = None;
    lease
}

/// Marks a claim of this replica with its generation. The successor of an earlier hand-over is none any more.
pub(super) fn sign(lease: &mut Lease, timing: &Timing, is_renewal: bool) {
    let generation = timing.generation.as_deref().filter(|generation| !generation.is_empty());
    set(lease, GENERATION, generation);
    if !is_renewal || successor(lease).is_some_and(|successor| bears(&timing.identity, successor)) {
        set(lease, SUCCESSOR, None);
    }
}

/// Asks for a hand-over to the replica `name`, or takes such a request back.
pub(super) fn ask(lease: &mut Lease, name: Option<&str>) {
    set(lease, HAND_OVER_TO, name);
}

fn annotation<'a>(lease: &'a Lease, key: &str) -> Option<&'a str> {
    lease.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn set(lease: &mut Lease, key: &str, value: Option<&str>) {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    match value {
        Some(value) => drop(annotations.insert(key.to_owned(), value.to_owned())),
        None => drop(annotations.remove(key)),
    }
    if annotations.is_empty() {
        lease.metadata.annotations = None;
    }
}
