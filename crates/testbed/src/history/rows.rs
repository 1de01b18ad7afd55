//! A history as the rows of a timeline.

use still_leading_timeline::Row;

use super::event::{EXITED, Event, HARNESS};
use super::judge::{frozen, is_act, leading, refusal, stale_acts};

/// Makes one row for each replica that logged something, in the order of the numbers at the end of their names. What still goes
/// on ends at `until`.
pub fn rows(events: &[Event], until: u64) -> Vec<Row> {
    let mut names: Vec<&str> = Vec::new();
    for event in events.iter().filter(|event| event.replica != HARNESS) {
        if !names.contains(&event.replica.as_str()) {
            names.push(&event.replica);
        }
    }
    names.sort_by_key(|name| number(name));
    names.into_iter().map(|name| row(name, events, until)).collect()
}

/// The number at the end of a replica's name.
fn number(replica: &str) -> usize {
    replica.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn row(name: &str, events: &[Event], until: u64) -> Row {
    let own = || events.iter().filter(|event| event.replica == name);
    let end = own().find(|event| event.message == EXITED).map(|event| event.at);
    let alive = (own().next().map_or(until, |event| event.at), end.unwrap_or(until));
    let leading = leading(events).into_iter().filter(|it| it.replica == name);
    let frozen = frozen(events).into_iter().filter(|it| it.replica == name);
    let stale = stale_acts(events).into_iter().filter(|act| act.replica == name);
    Row {
        name: name.to_owned(),
        alive,
        has_ended: end.is_some(),
        leading: leading.map(|it| (it.from, it.until.unwrap_or(until))).collect(),
        frozen: frozen.map(|it| (it.from, it.until.unwrap_or(until))).collect(),
        acts: own().filter(|event| is_act(event)).map(|event| event.at).collect(),
        stale: stale.map(|act| act.at).collect(),
        refused: own().filter(|event| refusal(event).is_some()).map(|event| event.at).collect(),
    }
}
