//! A history as the picture that the playground draws too.

use still_leading_timeline::{Mark, Row, Timeline, svg};

use crate::check::{Kind, Violation};
use crate::world::World;

/// Draws what has happened in `world`, which must have been recorded.
pub fn draw(world: &World, violation: Option<&Violation>, title: &str) -> String {
    let end = violation.map_or(world.plan.ends, |it| it.at + (it.at / 20).max(1));
    let row = |(slot, lane): (usize, &crate::record::Lane)| Row {
        name: format!("r{slot}"),
        alive: (lane.alive.first().map_or(end, |span| span.0), lane.alive.last().map_or(end, |span| span.1)),
        has_ended: false,
        leading: lane.leading.clone(),
        frozen: lane.frozen.clone(),
        acts: Vec::new(),
        stale: Vec::new(),
        refused: Vec::new(),
    };
    let mut rows: Vec<Row> = world.record.lanes.iter().enumerate().map(row).collect();
    if let Some(at) = violation.filter(|it| it.kind == Kind::Overlap).map(|it| it.at) {
        // Whoever leads at that time leads beside another one.
        for row in &mut rows {
            if row.leading.iter().any(|span| (span.0..=span.1).contains(&at)) {
                row.stale.push(at);
            }
        }
    }
    let began = world.plan.faults.iter().filter(|fault| fault.at < end);
    let faults =
        began.map(|fault| Mark { name: fault.what.name().into(), span: (fault.at, fault.end().min(end)) }).collect();
    svg(&Timeline::new((0, end), rows, faults), title)
}
