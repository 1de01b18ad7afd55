//! The replicas' lines as `skaffold run --tail` would show them: prefixed by replica, a colour each where the output is
//! a terminal.

use std::io::IsTerminal;

use still_leading_testbed::history::{Event, HARNESS};
use tokio::sync::mpsc::UnboundedReceiver;

const COLOURS: [u8; 3] = [36, 33, 35];

/// Prints every event of the replicas as it comes, until it is aborted.
pub async fn follow(mut events: UnboundedReceiver<Event>) {
    while let Some(event) = events.recv().await {
        if event.replica != HARNESS {
            println!("{}", line(&event, is_coloured()));
        }
    }
}

/// What is about to happen, or has.
pub fn announce(text: &str) {
    if is_coloured() { println!("\x1b[1m=== {text}\x1b[0m") } else { println!("=== {text}") }
}

fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn line(event: &Event, coloured: bool) -> String {
    // What each line carries for the machine is noise to a person.
    let is_telling = |name: &&String| !["timestamp", "level", "identity"].contains(&name.as_str());
    let fields = event.fields.iter().filter(|(name, value)| is_telling(name) && !value.is_null());
    let fields: String =
        fields.map(|(name, value)| format!(" {name}={}", value.to_string().trim_matches('"'))).collect();
    let number: usize = event.replica.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let prefix = format!("[{}]", event.replica);
    let text = format!("{}{fields}", event.message);
    if coloured {
        format!("\x1b[{}m{prefix}\x1b[0m {text}", COLOURS[number % COLOURS.len()])
    } else {
        format!("{prefix} {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_replica_the_event_and_its_fields() {
        let fields = [("n".to_owned(), 3.into()), ("level".to_owned(), "INFO".into())].into_iter().collect();
        let event = Event { at: 1, replica: "native-1".to_owned(), message: "still leading".to_owned(), fields };
        assert_eq!(line(&event, false), "[native-1] still leading n=3");
        assert_eq!(line(&event, true), "\x1b[33m[native-1]\x1b[0m still leading n=3");
    }
}
