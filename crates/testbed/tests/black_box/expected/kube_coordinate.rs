//! kube-coordinate 2.0.0-rc.0.

use still_leading_testbed::Form::{self, AsDocumented, Template};
use still_leading_testbed::Variant;

use super::Row;
use super::Verdict::{self, Fails, Races};

const fn row(form: Form, case: &'static str, verdict: Verdict, reason: &'static str) -> Row {
    Row { variant: Variant::KubeCoordinate, form, case, verdict, reason }
}

const NO_RELEASE: &str = "src/lib.rs:380-385: the task ends without a release, so the Lease has to expire";
const COUNT_OVERFLOWS: &str = "src/lib.rs:446: the count grows by one, which panics in a debug build";
const TAKES_BY_FORCE: &str = "src/lib.rs:513-515 and 434-458: on a Lease without holder it applies by force and without a \
                              resourceVersion, so several may win, until a watch shows each of them who was last";

pub const ROWS: &[Row] = &[
    row(Template, "sigterm_of_the_leader_hands_over_after_its_last_act", Fails, NO_RELEASE),
    row(
        Template,
        "work_that_drains_for_longer_than_a_renew_deadline_keeps_the_lease_until_it_has_ended",
        Fails,
        NO_RELEASE,
    ),
    row(
        Template,
        "every_replica_names_the_leader",
        Fails,
        "src/lib.rs:637: a standby is told that it follows; whom it follows is private (610)",
    ),
    row(
        AsDocumented,
        "exactly_one_of_three_leads_and_ticks",
        Races,
        "src/lib.rs:434-464: a Lease without holder is applied by force and without a resourceVersion, so every replica \
         leads that read it before the first of them had written; how many do is a matter of milliseconds",
    ),
    row(AsDocumented, "sigterm_of_the_leader_hands_over_after_its_last_act", Fails, NO_RELEASE),
    row(
        AsDocumented,
        "a_leader_stopped_beyond_its_lease_acts_not_once_more",
        Races,
        "src/lib.rs:370-378: the state that is read before each act is the one from before the stop until the task has \
         run and handled the next event of its watch; whether an act comes before that is a matter of microseconds",
    ),
    row(
        AsDocumented,
        "a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader",
        Fails,
        "src/lib.rs:481-482, 513-515 and 565: a Lease that is gone, or has no holder, is applied at once, by force (434-464), \
         also while somebody led on its predecessor",
    ),
    row(Template, "a_count_of_transitions_at_its_end_hinders_nobody", Fails, COUNT_OVERFLOWS),
    row(AsDocumented, "a_count_of_transitions_at_its_end_hinders_nobody", Fails, COUNT_OVERFLOWS),
    row(AsDocumented, "a_holder_that_asked_for_eleven_days_and_vanished_is_got_rid_of_by_hand", Races, TAKES_BY_FORCE),
];
