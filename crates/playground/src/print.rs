//! Everything that goes to standard output: the messages of the demo, and the replicas' lines as `skaffold run --tail` shows
//! them. Each line has its replica as a prefix, and on a terminal its colour.

mod line;
mod style;
mod writes;

pub use style::{colour_of, painted, wrap};

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use still_leading_testbed::Event;
use still_leading_testbed::history::{HARNESS, now};
use tokio::select;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use line::{Repeats, line};
use writes::Writes;

/// Standard output. A clone is a handle to the same output.
#[derive(Clone)]
pub struct Output {
    colour: bool,
    /// The moment from which times count, in monotonic nanoseconds.
    start: Arc<AtomicU64>,
    closed: Arc<watch::Sender<bool>>,
}

impl Output {
    /// Makes an output whose times count from now, until [`Output::begin`].
    pub fn new() -> Self {
        let choice = anstream::AutoStream::choice(&io::stdout());
        let (start, closed) = (Arc::new(AtomicU64::new(now())), Arc::default());
        Self { colour: choice != anstream::ColorChoice::Never, start, closed }
    }

    /// Makes the times count from now.
    pub fn begin(&self) {
        self.start.store(now(), Ordering::Relaxed);
    }

    /// The moment from which times count, in monotonic nanoseconds.
    pub fn start(&self) -> u64 {
        self.start.load(Ordering::Relaxed)
    }

    /// Prints what is about to happen, or what has just happened.
    pub fn announce(&self, text: &str) {
        self.say("===", Style::new().bold(), text);
    }

    /// Prints the outcome of a fault.
    pub fn result(&self, text: &str, is_good: bool) {
        let colour = if is_good { AnsiColor::Green } else { AnsiColor::Red };
        self.say("==>", Style::new().bold().fg_color(Some(colour.into())), text);
    }

    /// Prints that the outcome of a fault is not known.
    pub fn undecided(&self, text: &str) {
        self.say("==>", Style::new().bold().fg_color(Some(AnsiColor::Yellow.into())), text);
    }

    /// Prints a remark.
    pub fn note(&self, text: &str) {
        self.say("   ", Style::new(), text);
    }

    /// Prints lines as they are.
    pub fn text(&self, text: &str) {
        self.write(text);
    }

    /// Prints the events of the replicas as they arrive, until it is aborted.
    pub async fn follow(self, mut events: UnboundedReceiver<Event>) {
        let (mut repeats, mut writes) = (Repeats::default(), Writes::default());
        loop {
            let told = select! {
                event = events.recv() => match event {
                    None => break,
                    Some(event) if event.replica == HARNESS || repeats.has(&event) => continue,
                    Some(event) => writes.add(event),
                },
                () = writes.due() => writes.take(),
            };
            for event in told {
                self.write(&line(&event, self.start(), self.colour, self.width()));
            }
        }
    }

    /// Returns once nobody reads the output.
    pub async fn closed(&self) {
        // Fails only without a sender, and `self` has one.
        self.closed.subscribe().wait_for(|closed| *closed).await.ok();
    }

    /// Whether nobody reads the output.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Whether colours may be used.
    pub fn is_coloured(&self) -> bool {
        self.colour
    }

    /// The width of the terminal, if there is one. Ask each time, since a window may change.
    pub fn width(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then(|| usize::from(size.ws_col))
    }

    fn say(&self, mark: &str, style: Style, text: &str) {
        let lines = wrap(&format!("{mark} {text}"), self.width(), mark.len() + 1);
        self.write(&lines.iter().map(|line| painted(line, style, self.colour) + "\n").collect::<String>());
    }

    fn write(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        // For any reason, nobody reads the output.
        if written.is_err() {
            self.closed.send_replace(true);
        }
    }
}

/// Formats a duration for a sentence: `9 ms`, `4.98 s`, `5 s`, `70 s`.
pub fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{millis} ms"),
        _ if millis.is_multiple_of(1_000) => format!("{} s", millis / 1_000),
        1_000..20_000 => format!("{:.2} s", duration.as_secs_f64()),
        _ => format!("{:.0} s", duration.as_secs_f64()),
    }
}

/// Prints progress on standard error, since it is not part of the story.
pub fn progress(text: &str) {
    // The demo goes on if nobody reads its progress.
    writeln!(io::stderr(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_precise_as_a_person_needs() {
        let said = [0, 9, 999, 1_000, 4_981, 20_499, 70_000].map(|millis| seconds(Duration::from_millis(millis)));
        assert_eq!(said, ["0 s", "9 ms", "999 ms", "1 s", "4.98 s", "20 s", "70 s"]);
    }
}
