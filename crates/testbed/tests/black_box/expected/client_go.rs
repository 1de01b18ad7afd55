//! client-go 0.37.2: `tools/leaderelection/leaderelection.go`.

use still_leading_testbed::{Form, Variant};

use super::Row;
use super::Verdict::{self, Fails, Races};

const fn row(case: &'static str, verdict: Verdict, reason: &'static str) -> Row {
    Row { variant: Variant::ClientGo, form: Form::Template, case, verdict, reason }
}

pub const ROWS: &[Row] = &[
    row(
        "a_leader_stopped_beyond_its_lease_acts_not_once_more",
        Fails,
        "leaderelection.go:279-312: on resume it begins another renew deadline, and it retries until that ends although \
         it reads another holder; the work's context is cancelled only then",
    ),
    row(
        "a_leader_cut_off_stops_before_a_successor_starts",
        Races,
        "leaderelection.go:309-310 and 219: with ReleaseOnCancel, which the template sets, the work's context is cancelled \
         only after an attempt to release, which may take half a renew deadline more; with the retry period before and the \
         deadline that is here just the lease duration, and whether a standby's next attempt (274, with jitter) comes \
         before is a matter of milliseconds",
    ),
    row(
        "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader",
        Fails,
        "leaderelection.go:444-515, tryAcquireOrRenew: a Lease without holder is taken at once, also one that was made anew \
         while somebody led on its predecessor",
    ),
    row(
        "a_standby_sends_nothing_while_somebody_leads",
        Fails,
        "leaderelection.go:261-274: a standby gets the Lease every retry period",
    ),
    row(
        "a_count_of_transitions_at_its_end_hinders_nobody",
        Fails,
        "leaderelection.go:504 and resourcelock/leaselock.go:151: the count grows by one, and as an int32 it falls below zero, \
         which the API server refuses",
    ),
    row(
        "an_emptied_holder_leaves_two_leaders_for_less_than_half_a_renew_deadline",
        Races,
        "leaderelection.go:279-312: a leader that reads another holder retries until its renew deadline, and acts meanwhile; \
         it leads on alone if its own next renewal comes before a standby",
    ),
    row(
        "an_act_that_blocks_beyond_the_lease_ends_the_process_before_another_leads",
        Fails,
        "leaderelection.go:309-310 and 219: with ReleaseOnCancel the loss is reported only after an attempt to release, when \
         the lease has run out already; the template counts from there what the work has left",
    ),
];
