//! The cases that a variant cannot pass, each with the reason. Every row was seen to fail.

use still_leading_testbed::Variant;

const FAILURES: &[(Variant, &str, &str)] = &[
    (
        Variant::ClientGo,
        "a_leader_stopped_beyond_its_lease_acts_not_once_more",
        "tools/leaderelection/leaderelection.go, renew(): on resume it begins another renew deadline, and it retries \
         until that ends although it reads another holder; the work's context is cancelled only then",
    ),
    (
        Variant::ClientGo,
        "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader",
        "tools/leaderelection/leaderelection.go, tryAcquireOrRenew(): a Lease without holder is taken at once, also one \
         that was made anew while somebody led on its predecessor",
    ),
    (
        Variant::ClientGo,
        "a_standby_sends_nothing_while_somebody_leads",
        "tools/leaderelection/leaderelection.go, acquire(): a standby gets the Lease every retry period",
    ),
];

/// Why `variant` cannot pass `case`, if it cannot.
pub fn failure(variant: Variant, case: &str) -> Option<&'static str> {
    FAILURES.iter().find(|(v, c, _)| *v == variant && *c == case).map(|(_, _, reason)| *reason)
}
