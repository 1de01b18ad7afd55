//! The library as its users see it, in real time, against the embedded API server. Most of this waits, so more of it runs side by
//! side than there are processors.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod attacks;
mod common;
mod hand_over;
mod lead;
mod process;
mod readme;

use libtest_mimic::{Arguments, Trial};

const THREADS: usize = 8;

macro_rules! trials {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        vec![$(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            $module::$name();
            Ok(())
        })),+]
    };
}

/// The process under test: this program once more, with variables that make it another one.
#[test]
fn child() {
    process::child();
    attacks::child();
}

#[test]
fn side_by_side() {
    let trials = trials![
        attacks::a_signal_after_lead_has_returned_still_ends_the_process,
        attacks::a_subscriber_that_is_installed_after_the_elector_was_made_gets_its_events,
        attacks::work_that_overstays_after_a_pause_gets_no_time_that_the_lease_does_not_have,
        hand_over::the_pod_that_an_annotation_names_leads_next_each_time,
        hand_over::a_name_that_nobody_bears_is_dropped_and_the_leader_goes_on,
        hand_over::a_program_hands_over_to_a_name_or_to_anybody_else,
        hand_over::a_standby_of_another_generation_leads_after_a_release,
        lead::the_lease_is_released_after_the_work_has_ended_and_the_next_one_leads_at_once,
        lead::work_that_returns_or_panics_has_the_lease_released,
        lead::work_that_overstays_keeps_the_lease_and_is_an_error,
        lead::work_that_blocks_every_thread_of_the_application_costs_no_term,
        lead::dropping_the_future_aborts_the_work_and_releases_the_lease_after_its_end,
        lead::acts_of_every_gate_of_a_term_are_waited_for_before_the_release,
        process::sigterm_releases_the_lease_and_ends_the_process_in_order,
        process::sigterm_while_every_thread_is_blocked_ends_the_process_in_order_once_they_are_free,
        process::work_that_blocks_every_thread_for_ever_ends_with_the_process_by_its_bound_and_keeps_the_lease,
        process::a_reconcile_that_blocks_for_ever_ends_with_the_process_by_its_bound_with_a_reason,
        process::a_second_signal_ends_the_process_at_once,
        process::a_full_pipe_on_standard_output_costs_neither_the_term_nor_the_shutdown,
        readme::the_program_of_the_readme_is_the_example_and_short,
        readme::two_of_the_program_hand_over,
    ];
    let arguments = Arguments { test_threads: Some(THREADS), ..Arguments::default() };
    assert!(!libtest_mimic::run(&arguments, trials).has_failed());
}
