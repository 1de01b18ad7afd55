//! kube-leader-election 0.44.0.

use still_leading_testbed::Form::{self, AsDocumented, Template};
use still_leading_testbed::Variant;

use super::Row;
use super::Verdict::{self, Fails, Races};

const fn row(form: Form, case: &'static str, verdict: Verdict, reason: &'static str) -> Row {
    Row { variant: Variant::KubeLeaderElection, form, case, verdict, reason }
}

const READS_BEFORE_IT_WRITES: &str = "src/lease.rs:102: each call reads the Lease before it renews it (105)";
const STANDBY_POLLS: &str = "src/lease.rs:102: there is no watch, so a standby reads the Lease at each attempt";
const COUNT_OVERFLOWS: &str = "src/lease.rs:232: the count grows by one, which panics in a debug build";

pub const ROWS: &[Row] = &[
    row(Template, "a_leader_sends_one_write_per_retry_period_and_nothing_else", Fails, READS_BEFORE_IT_WRITES),
    row(Template, "a_standby_sends_nothing_while_somebody_leads", Fails, STANDBY_POLLS),
    row(
        AsDocumented,
        "sigterm_of_the_leader_hands_over_after_its_last_act",
        Fails,
        "examples/shared-lease.rs:44-50: the loop has no end and nobody calls step_down (src/lease.rs:273)",
    ),
    row(
        AsDocumented,
        "sigkill_of_the_leader_is_survived_after_expiry_and_never_before",
        Races,
        "src/lease.rs:212-247: an expired Lease is acquired without a resourceVersion, so two standbys that both read it \
         before either had written both lead; whether their attempts come together is a matter of milliseconds",
    ),
    row(
        AsDocumented,
        "a_leader_stopped_beyond_its_lease_acts_not_once_more",
        Fails,
        "examples/shared-lease.rs:46-47: the flag that is read before each act keeps the answer from before the stop until \
         another one comes",
    ),
    row(
        AsDocumented,
        "a_leader_cut_off_stops_before_a_successor_starts",
        Fails,
        "examples/shared-lease.rs:47: an error leaves the flag as it was, and nothing else ends a term",
    ),
    row(
        AsDocumented,
        "a_leader_in_a_black_hole_stops_before_a_successor_starts",
        Fails,
        "examples/shared-lease.rs:45: the call is awaited without a bound, and kube has none either; until it returns, the \
         flag stays as it was",
    ),
    row(
        AsDocumented,
        "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader",
        Fails,
        "examples/shared-lease.rs:47: an error leaves the flag as it was; src/lease.rs:133-137: a Lease that is gone is \
         created at once",
    ),
    row(AsDocumented, "a_leader_sends_one_write_per_retry_period_and_nothing_else", Fails, READS_BEFORE_IT_WRITES),
    row(AsDocumented, "a_standby_sends_nothing_while_somebody_leads", Fails, STANDBY_POLLS),
    row(Template, "a_count_of_transitions_at_its_end_hinders_nobody", Fails, COUNT_OVERFLOWS),
    row(AsDocumented, "a_count_of_transitions_at_its_end_hinders_nobody", Fails, COUNT_OVERFLOWS),
];
