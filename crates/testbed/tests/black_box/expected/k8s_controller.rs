//! k8s-controller 0.15.0.

use still_leading_testbed::Form::{self, AsDocumented, Template};
use still_leading_testbed::Variant;

use super::Row;
use super::Verdict::{self, Fails, Races};

const fn row(form: Form, case: &'static str, verdict: Verdict, reason: &'static str) -> Row {
    Row { variant: Variant::K8sController, form, case, verdict, reason }
}

const TAKES_A_FREE_LEASE_AT_ONCE: &str = "src/leader_election.rs:258-260: a Lease without holder is taken at once, also one that replaced another a moment ago";
const READS_BEFORE_IT_WRITES: &str =
    "src/leader_election.rs:356 and 370: each renewal reads the Lease before it replaces it";
const POLLS: &str = "src/leader_election.rs:221-222 and 233: there is no watch: a standby reads the Lease after a retry period and up to half of one more";

pub const ROWS: &[Row] = &[
    row(Template, "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader", Fails, TAKES_A_FREE_LEASE_AT_ONCE),
    row(Template, "a_leader_sends_one_write_per_retry_period_and_nothing_else", Fails, READS_BEFORE_IT_WRITES),
    row(Template, "a_standby_sends_nothing_while_somebody_leads", Fails, POLLS),
    row(
        Template,
        "every_replica_names_the_leader",
        Fails,
        "src/leader_election.rs:132: with_lease runs a future while this replica leads, and nothing tells who else does",
    ),
    row(
        AsDocumented,
        "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader",
        Fails,
        TAKES_A_FREE_LEASE_AT_ONCE,
    ),
    row(
        AsDocumented,
        "a_leader_stopped_beyond_its_lease_acts_not_once_more",
        Races,
        "src/leader_election.rs:136: the future is dropped when the crate has read the Lease; work that is due after the stop \
         may come before",
    ),
    row(AsDocumented, "a_leader_sends_one_write_per_retry_period_and_nothing_else", Fails, READS_BEFORE_IT_WRITES),
    row(AsDocumented, "a_standby_sends_nothing_while_somebody_leads", Fails, POLLS),
    row(
        AsDocumented,
        "without_an_api_server_it_keeps_trying_and_is_not_ready",
        Fails,
        "src/leader_election.rs:180-182: a failed attempt is logged and repeated, and nothing tells whether one succeeded",
    ),
];
