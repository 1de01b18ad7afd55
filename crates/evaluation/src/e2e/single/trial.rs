//! One replacement of the replica, observed.

use std::time::Duration;

use anyhow::Result;
use still_leading_testbed::Event;
use still_leading_testbed::history::judge::{Gap, Overlap, gaps, overlaps, stale_acts};
use tokio::time::{Instant, sleep};

use crate::e2e::Stop;
use crate::e2e::fixture::{BOUND, Fixture};
use crate::e2e::pod::Pod;
use crate::e2e::{now, seconds};

const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// What one replacement cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// The longest time in which two led, in seconds.
    pub(super) overlap: f64,
    /// Acts of the older one meanwhile.
    pub(super) acts: usize,
    /// The longest time in which nobody led, in seconds.
    pub(super) gap: f64,
}

impl Cost {
    /// Of what happened from `from` until `until`.
    pub(super) fn of(events: &[Event], from: u64, until: u64) -> Self {
        let length = |it: &Overlap| seconds(it.from, it.until.unwrap_or(until));
        let overlap = overlaps(events).iter().filter(|it| it.from >= from).map(length).fold(0.0, f64::max);
        let acts = stale_acts(events).iter().filter(|act| act.at >= from && act.beside.is_some()).count();
        let gap = gaps(events, from, until).iter().map(Gap::length).max().unwrap_or_default().as_secs_f64();
        Self { overlap, acts, gap }
    }
}

/// Waits until there is one pod, another one than `than`, which is Ready and leads alone.
pub(super) async fn settled(fixture: &Fixture<'_>, than: &str) -> Result<Pod> {
    let deadline = Instant::now() + BOUND;
    loop {
        let (pods, terms) = (fixture.pods(), fixture.terms());
        let open: Vec<&str> = terms.iter().filter(|it| it.until.is_none()).map(|it| it.replica.as_str()).collect();
        if let ([pod], [leader]) = (&pods[..], &open[..])
            && pod.is_available()
            && pod.uid != than
            && pod.replica == *leader
        {
            return Ok(pod.clone());
        }
        if Instant::now() > deadline {
            let said = format!("{} pods and {} leaders after {BOUND:?}, not one other replica", pods.len(), open.len());
            return Err(Stop::Broken(said).into());
        }
        sleep(LOOK_PERIOD).await;
    }
}

/// What it cost from `from` on, once another one than `old` has settled.
pub(super) async fn cost(fixture: &Fixture<'_>, old: &Pod, from: u64) -> Result<Cost> {
    settled(fixture, &old.uid).await?;
    fixture.read_up().await?;
    Ok(Cost::of(&fixture.history.events(), from, now()))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn event(second: u64, replica: &str, message: &str) -> Event {
        Event { at: second * SECOND, replica: replica.to_owned(), message: message.to_owned(), fields: Map::new() }
    }

    #[test]
    fn two_that_lead_at_once_cost_an_overlap_and_its_acts_and_a_pause_costs_a_gap() {
        let old = [event(1, "a", "leading"), event(9, "a", "still leading"), event(10, "a", "leading cancelled")];
        let beside: Vec<Event> =
            [&old[..1], &[event(8, "b", "leading")], &old[1..], &[event(11, "b", "still leading")]].concat();
        let cost = |events: &[Event]| Cost::of(events, 5 * SECOND, 20 * SECOND);
        assert_eq!(cost(&beside), Cost { overlap: 2.0, acts: 1, gap: 0.0 });
        let after = [&old[..], &[event(14, "b", "leading")]].concat();
        assert_eq!(cost(&after), Cost { overlap: 0.0, acts: 0, gap: 4.0 });
        // What was before is none of it.
        assert_eq!(Cost::of(&beside, 12 * SECOND, 20 * SECOND), Cost { overlap: 0.0, acts: 0, gap: 0.0 });
    }
}
