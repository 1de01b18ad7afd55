//! Prints writes of a controller that come together as one line. A new leader may write every object within a moment, and that
//! many lines would hide the rest.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use serde_json::{Map, Value};
use still_leading_testbed::Event;
use still_leading_testbed::history::judge::{is_act, refusal};
use tokio::time::{Instant, sleep_until};

/// How long after the first write the line is printed. Writes that come meanwhile are added to it.
const WITHIN: Duration = Duration::from_millis(300);
const RECONCILED: &str = "reconciled";

/// The writes that are not printed yet.
#[derive(Debug, Default)]
pub struct Writes {
    /// One entry per replica and refusal, in the order of their first writes.
    held: Vec<Held>,
    since: Option<Instant>,
}

/// Writes of one replica that are printed together.
#[derive(Debug)]
struct Held {
    first: Event,
    /// The fence's message, if it refused these writes.
    refusal: Option<String>,
    /// How many writes, by action.
    actions: BTreeMap<String, usize>,
}

impl Writes {
    /// Takes an event, and returns the events to print now. A write is held back. Any other event is returned at once, after the
    /// writes before it.
    pub fn add(&mut self, event: Event) -> Vec<Event> {
        let refusal = refusal(&event).map(str::to_owned);
        if refusal.is_none() && !(event.message == RECONCILED && is_act(&event)) {
            return self.take().into_iter().chain([event]).collect();
        }
        let action = event.fields.get("action").and_then(Value::as_str).unwrap_or_default().to_owned();
        let alike = |it: &&mut Held| it.first.replica == event.replica && it.refusal == refusal;
        match self.held.iter_mut().find(alike) {
            Some(held) => *held.actions.entry(action).or_default() += 1,
            None => self.held.push(Held { first: event, refusal, actions: BTreeMap::from([(action, 1)]) }),
        }
        self.since.get_or_insert_with(Instant::now);
        Vec::new()
    }

    /// Returns everything that was held back.
    pub fn take(&mut self) -> Vec<Event> {
        self.since = None;
        self.held.drain(..).map(Held::told).collect()
    }

    /// Returns when the writes that were held back are to be printed; never if there are none.
    pub async fn due(&self) {
        match self.since {
            Some(since) => sleep_until(since + WITHIN).await,
            None => pending().await,
        }
    }
}

impl Held {
    fn told(self) -> Event {
        let Event { at, replica, message, mut fields } = self.first;
        let writes: usize = self.actions.values().sum();
        if let Some(refusal) = self.refusal {
            let level = fields.remove("level").map(|level| ("level".to_owned(), level));
            let refused = ("refused".to_owned(), Value::from(writes));
            return Event { at, replica, message: refusal, fields: level.into_iter().chain([refused]).collect() };
        }
        let object = fields.remove("object");
        if writes == 1 {
            let name = object.as_ref().and_then(Value::as_str).map(short);
            fields.extend(name.map(|name| ("object".to_owned(), Value::from(name))));
        } else {
            fields.remove("action");
            let actions = self.actions.into_iter().map(|(action, n)| (action, Value::from(n)));
            fields.extend(actions.collect::<Map<String, Value>>());
        }
        Event { at, replica, message, fields }
    }
}

/// Returns the name in `ConfigMap.v1./name.namespace`: there is one namespace and one kind.
fn short(object: &str) -> &str {
    let name = object.rsplit_once('/').map_or(object, |(_, name)| name);
    name.rsplit_once('.').map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(replica: &str, message: &str, fields: &[(&str, &str)]) -> Event {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        Event { at: 1, replica: replica.to_owned(), message: message.to_owned(), fields }
    }

    fn wrote(replica: &str, action: &str) -> Event {
        event(replica, RECONCILED, &[("action", action), ("object", "ConfigMap.v1./source-3.some-namespace")])
    }

    fn refused(epoch: &str) -> Event {
        let error = format!("... denied request: fenced: epoch {epoch} is over, 5 has written since");
        event("a", "reconcile failed", &[("error", &error), ("level", "WARN"), ("object", "ConfigMap.v1./x.y")])
    }

    #[test]
    fn a_single_write_names_its_object_in_short() {
        let mut writes = Writes::default();
        assert_eq!(writes.add(wrote("a", "updated")), []);
        assert_eq!(writes.take(), [event("a", RECONCILED, &[("action", "updated"), ("object", "source-3")])]);
        assert_eq!(writes.take(), []);
    }

    #[test]
    fn writes_at_once_are_counted_for_each_replica_and_printed_before_the_next_event() {
        let mut writes = Writes::default();
        for write in [wrote("a", "created"), wrote("b", "updated"), wrote("a", "created"), wrote("a", "updated")] {
            assert_eq!(writes.add(write), []);
        }
        let lost = event("a", "leading cancelled", &[]);
        let told = writes.add(lost.clone());
        let fields = Map::from_iter([("created".to_owned(), Value::from(2)), ("updated".to_owned(), Value::from(1))]);
        assert_eq!(told.len(), 3);
        assert_eq!((told[0].replica.as_str(), &told[0].fields), ("a", &fields));
        assert_eq!((told[1].replica.as_str(), &told[2]), ("b", &lost));
    }

    #[test]
    fn refused_writes_are_printed_in_the_words_of_the_fence_and_apart_from_accepted_ones() {
        let mut writes = Writes::default();
        for write in [wrote("a", "updated"), refused("3"), refused("3"), refused("4")] {
            assert_eq!(writes.add(write), []);
        }
        let told = writes.take();
        let said: Vec<&str> = told.iter().map(|event| event.message.as_str()).collect();
        let of = |epoch: u8| format!("fenced: epoch {epoch} is over, 5 has written since");
        assert_eq!(said, [RECONCILED, of(3).as_str(), of(4).as_str()]);
        assert_eq!((&told[1].fields["refused"], &told[1].fields["level"]), (&Value::from(2), &Value::from("WARN")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_printed_after_a_moment_and_without_writes_nothing_is_due() {
        let mut writes = Writes::default();
        let long = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(long, writes.due()).await.is_err());
        writes.add(wrote("a", "updated"));
        assert!(tokio::time::timeout(WITHIN * 2, writes.due()).await.is_ok());
    }
}
