//! What the answers so far have shown.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a client knows of the Leases from the answers so far: versions and uids, oldest first.
#[derive(Default)]
pub struct Seen(BTreeMap<String, Vec<(String, String)>>);

impl Seen {
    pub fn note(&mut self, answer: &Value) {
        let metadata = &answer["body"]["metadata"];
        let text = |key: &str| metadata[key].as_str().map(str::to_owned);
        if let (Some(name), Some(version), Some(uid)) = (text("name"), text("resourceVersion"), text("uid")) {
            let known = self.0.entry(name).or_default();
            if known.last().is_none_or(|(last, _)| *last != version) {
                known.push((version, uid));
            }
        }
    }

    /// Returns what is known of a Lease, newest first.
    pub fn of(&self, lease: &str) -> impl Iterator<Item = &(String, String)> {
        self.0.get(lease).into_iter().flatten().rev()
    }
}
