//! kubert 0.25.0.

use still_leading_testbed::Form::{self, AsDocumented, Template};
use still_leading_testbed::Variant;

use super::{Row, Verdict};

const fn row(form: Form, case: &'static str, reason: &'static str) -> Row {
    Row { variant: Variant::Kubert, form, case, verdict: Verdict::Fails, reason }
}

const TAKES_AN_EMPTY_LEASE: &str = "src/lease.rs:566 and 273: a Lease without holder is unclaimed and taken at once, \
                                    also one that was made anew while somebody led on its predecessor";

pub const ROWS: &[Row] = &[
    row(Template, "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader", TAKES_AN_EMPTY_LEASE),
    row(
        Template,
        "a_standby_sends_nothing_while_somebody_leads",
        "src/lease.rs:206: there is no watch, so the template's standby syncs every retry period to learn of a release",
    ),
    row(AsDocumented, "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader", TAKES_AN_EMPTY_LEASE),
    row(
        AsDocumented,
        "a_standby_sends_nothing_while_somebody_leads",
        "src/lease.rs:395: there is no watch; at the expiry that it saw last a standby tries to acquire (273), meets a \
         conflict, and reads the Lease (279)",
    ),
    row(
        AsDocumented,
        "without_an_api_server_it_keeps_trying_and_is_not_ready",
        "src/lease.rs:172: init reads the Lease once, and its error ends the program",
    ),
];
