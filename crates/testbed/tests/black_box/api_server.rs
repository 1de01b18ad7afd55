//! Who leads when the way to the API server, the API server itself, or the Lease is gone for a while.

use std::time::Duration;

use anyhow::Result;
use still_leading_testbed::{ApiServer, Fleet, FleetOptions, Mode, Timings, history};

use crate::fixture::{Fixture, LONG, led_fleet};
use crate::foreign::delete_the_lease_and_apply_it_again;
use crate::observe::{
    check_history, last_act, wait_for_acts, wait_for_acts_of_successors, wait_for_renewal, wait_for_successor,
};
use crate::promise::{promise, promise_within};

pub async fn a_leader_cut_off_stops_before_a_successor_starts(fixture: Fixture) -> Result<()> {
    a_leader_stops_before_a_successor_starts(fixture, Mode::Cut).await
}

/// In a black hole no error reports the fault.
pub async fn a_leader_in_a_black_hole_stops_before_a_successor_starts(fixture: Fixture) -> Result<()> {
    a_leader_stops_before_a_successor_starts(fixture, Mode::BlackHole).await
}

async fn a_leader_stops_before_a_successor_starts(fixture: Fixture, fault: Mode) -> Result<()> {
    let (fleet, old) = fixture.led_fleet().await?;
    fleet.proxy(old).set_mode(fault);
    let (new, leading) = wait_for_successor(&fleet, old, LONG).await?;
    wait_for_acts(&fleet, new, leading, 3).await?;
    let last = last_act(&fleet, old)?;
    promise!(last < leading, "it acted beside its successor\n{}", fleet.history().table());

    // Once healed, it takes part again as a standby, and the successor goes on leading.
    let healed = history::now();
    fleet.proxy(old).set_mode(Mode::Pass);
    let back = fleet.wait_until_taking_part(old, healed, LONG);
    promise_within(back, "the old leader never came back to the election").await?;
    wait_for_acts(&fleet, new, history::now(), 3).await?;
    check_history(&fleet)
}

pub async fn a_restart_of_the_api_server_makes_no_second_leader(fixture: Fixture) -> Result<()> {
    // A server of its own, since the other cases need theirs.
    let server = ApiServer::start(fixture.server()?.kind()).await?;
    // Long enough for a leader to outlast the restart, which takes four seconds on a quiet machine.
    let timings = Timings {
        lease_duration: Duration::from_secs(20),
        renew_deadline: Duration::from_secs(15),
        retry_period: Duration::from_secs(1),
    };
    let (fleet, _) = led_fleet(&server, FleetOptions { timings, ..fixture.options() }).await?;
    server.stop_serving().await?;
    server.start_serving().await?;
    let up = history::now();

    // Somebody renews on the restarted server, and that replica goes on acting.
    let renewed = |fleet: &Fleet| {
        (0..fleet.len()).any(|index| {
            let requests = fleet.proxy(index).requests();
            requests.iter().any(|it| it.at > up && it.verb.is_write() && it.succeeded())
        })
    };
    let renewal = fleet.history().wait_for(LONG, |_| renewed(&fleet).then_some(()));
    promise_within(renewal, "nobody renewed on the restarted API server").await?;
    let leader = promise_within(fleet.wait_for_leader(LONG), "nobody led any more").await?;
    wait_for_acts(&fleet, leader, history::now(), 10).await?;
    check_history(&fleet)
}

pub async fn a_lease_replaced_under_a_cut_off_leader_makes_no_second_leader(fixture: Fixture) -> Result<()> {
    /// An elector that takes over at all does so when the lease would have expired.
    const SUCCESSOR_BOUND: Duration = Duration::from_secs(45);
    // The renew deadline is many retry periods, so that a replica that acts on its old term does so long enough to be seen.
    let [lease_duration, renew_deadline, retry_period] = [8, 6, 1].map(Duration::from_secs);
    let timings = Timings { lease_duration, renew_deadline, retry_period };
    let (fleet, old) = led_fleet(fixture.server()?, FleetOptions { timings, ..fixture.options() }).await?;
    // Right after a renewal, when the leader may go on for longest. It is as if somebody deletes everything and applies it again.
    wait_for_renewal(&fleet, old).await?;
    fleet.proxy(old).set_mode(Mode::Cut);
    delete_the_lease_and_apply_it_again(&fleet, fixture.variant).await?;

    let (_, leading) = wait_for_successor(&fleet, old, SUCCESSOR_BOUND).await?;
    wait_for_acts_of_successors(&fleet, old, leading, 3).await?;
    check_history(&fleet)
}
