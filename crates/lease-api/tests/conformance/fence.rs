//! The fence of a scenario. On the real server it is the policy and binding of `fence.yaml`, on the embedded one its own rule.

use still_leading_lease_api::Fence;
use still_leading_testbed::api_server::user_name;

use crate::fixture::Fixture;

/// Returns the fence around the writes of `user`.
pub fn around(fixture: &Fixture, user: &str) -> Fence {
    Fence {
        policy: format!("{}.fence", fixture.namespace),
        binding: format!("{}.binding", fixture.namespace),
        user: user_name(&fixture.namespace, user),
        label: "still-leading.dev/guarded".to_owned(),
        annotation: "still-leading.dev/epoch".to_owned(),
    }
}

/// Returns the fence as a manifest.
pub fn manifest(fixture: &Fixture, fence: &Fence) -> String {
    include_str!("fence.yaml")
        .replace("{policy}", &fence.policy)
        .replace("{binding}", &fence.binding)
        .replace("{ns}", &fixture.namespace)
        .replace("{user}", &fence.user)
}
