//! kube-lease-manager 0.13.1.

use still_leading_testbed::Form::{self, AsDocumented, Template};
use still_leading_testbed::Variant;

use super::{Row, Verdict};

const fn row(form: Form, case: &'static str, reason: &'static str) -> Row {
    Row { variant: Variant::KubeLeaseManager, form, case, verdict: Verdict::Fails, reason }
}

const READS_AFTER_IT_WRITES: &str = "src/state.rs:222-223: each renewal reads the Lease after it wrote it";
const SWALLOWS_ERRORS: &str =
    "src/manager.rs:617-628: an error is logged and slept over, and the channel keeps its value";
const COUNT_OVERFLOWS: &str = "src/state.rs:199 and 214: the count grows by one, which panics in a debug build";

pub const ROWS: &[Row] = &[
    row(Template, "a_leader_sends_one_write_per_retry_period_and_nothing_else", READS_AFTER_IT_WRITES),
    row(
        Template,
        "a_standby_sends_nothing_while_somebody_leads",
        "src/state.rs:309 and 117: there is no watch, and a manager looks again only when the expiry that it knows has \
         passed, so the template's standby makes a new one every retry period",
    ),
    row(
        Template,
        "every_replica_names_the_leader",
        "src/manager.rs:584 and 649: watch() and changed() tell whether this replica holds the Lease, not who does",
    ),
    row(
        AsDocumented,
        "a_leader_stopped_beyond_its_lease_acts_not_once_more",
        "src/manager.rs:658-661: the channel keeps the value from before the stop until the Lease was read once more",
    ),
    row(AsDocumented, "a_leader_cut_off_stops_before_a_successor_starts", SWALLOWS_ERRORS),
    row(
        AsDocumented,
        "a_leader_in_a_black_hole_stops_before_a_successor_starts",
        "src/manager.rs:703-710: a renewal is awaited without a bound, and kube has none either; until it returns, the \
         channel keeps its value",
    ),
    row(AsDocumented, "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader", SWALLOWS_ERRORS),
    row(AsDocumented, "a_leader_sends_one_write_per_retry_period_and_nothing_else", READS_AFTER_IT_WRITES),
    row(
        AsDocumented,
        "a_standby_sends_nothing_while_somebody_leads",
        "src/manager.rs:734: there is no watch, so a standby reads the Lease whenever the expiry that it saw last has come",
    ),
    row(
        AsDocumented,
        "without_an_api_server_it_keeps_trying_and_is_not_ready",
        "src/state.rs:90 and 309: the constructor reads the Lease once, and its error ends the program",
    ),
    row(Template, "a_count_of_transitions_at_its_end_hinders_nobody", COUNT_OVERFLOWS),
    row(AsDocumented, "a_count_of_transitions_at_its_end_hinders_nobody", COUNT_OVERFLOWS),
];
