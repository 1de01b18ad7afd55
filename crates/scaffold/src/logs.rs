//! Logs one event per line to standard output, as text or as flat JSON. Nothing else is ever written there.
//!
//! Logging never blocks. Lines wait in memory until standard output takes them. When too much waits, new lines are dropped
//! and counted. The process must call [`flush`] before it ends.

mod output;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::metrics::counter::Counter;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tracing::Metadata;
use tracing_subscriber::filter::{FilterFn, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::LogFormat;
use output::Output;

/// The names of this application's own crates begin with this.
const OWN_CRATES: &str = "still_leading";

/// How long the end of the process may wait for a standard output that nobody reads.
const FLUSH_BOUND: Duration = Duration::from_secs(1);

static OUTPUT: OnceLock<Output> = OnceLock::new();
static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Starts logging for this process: `info` from the application and warnings from libraries, since some of them log every
/// request at `info`. `RUST_LOG` overrides both, as in `RUST_LOG=info` or `RUST_LOG=info,kube=debug`.
///
/// # Errors
/// A global subscriber is already set, or there is no file descriptor or thread for the log.
pub fn init(format: LogFormat, identity: &str) -> Result<()> {
    // Its own descriptor: std's lock on standard output would be held for as long as a write blocks.
    let stdout = io::stdout().as_fd().try_clone_to_owned().context("duplicating standard output")?;
    let output =
        Output::start(File::from(stdout), dropped_lines()).context("starting the thread that writes the log")?;
    let writer = output.clone();
    let writer = move || writer.clone();
    // Targets, not EnvFilter: the regular expressions of the latter weigh a megabyte in the executable.
    let wanted = std::env::var("RUST_LOG").ok().and_then(|directives| directives.parse().ok());
    let registry =
        tracing_subscriber::registry().with(wanted.unwrap_or_else(default_targets)).with(FilterFn::new(has_message));
    match format {
        LogFormat::Text => {
            let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            let layer = tracing_subscriber::fmt::layer().with_target(false).with_ansi(colour);
            registry.with(layer.with_writer(writer)).try_init()?;
        }
        LogFormat::Json => registry.with(json_layer(identity, writer)).try_init()?,
    }
    // Fails only if it is set already, and then setting the subscriber has failed above.
    OUTPUT.set(output).ok();
    Ok(())
}

/// Waits until all lines are written, for at most a second. Call it right before `process::exit`.
pub fn flush() {
    if let Some(output) = OUTPUT.get() {
        output.flush(FLUSH_BOUND);
    }
}

/// The counter of lines that were dropped because standard output did not take them in time.
pub(crate) fn dropped_lines() -> Counter {
    DROPPED.clone()
}

/// Whether the event has a message. `#[instrument(err)]` makes events without one, in addition to what the library logs.
fn has_message(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() || metadata.fields().field("message").is_some()
}

fn default_targets() -> Targets {
    Targets::new().with_default(LevelFilter::WARN).with_target(OWN_CRATES, LevelFilter::INFO)
}

fn json_layer<S, W>(identity: &str, writer: W) -> json_subscriber::JsonLayer<S, W>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'writer> tracing_subscriber::fmt::MakeWriter<'writer> + 'static,
{
    let mut layer = json_subscriber::JsonLayer::new(writer);
    layer.with_timer("timestamp", tracing_subscriber::fmt::time::SystemTime);
    layer.with_level("level");
    layer.with_flattened_event();
    layer.add_static_field("identity", json!(identity));
    layer.add_dynamic_field("monotonic_ns", |_, _| Some(monotonic_ns()));
    layer
}

/// Returns `CLOCK_MONOTONIC` in nanoseconds. All processes of a machine share this clock and nobody can set it, so it orders
/// their lines.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_are_heard_when_they_warn_and_the_application_always() {
        let targets = default_targets();
        assert!(targets.would_enable(module_path!(), &tracing::Level::INFO));
        assert!(targets.would_enable("still_leading_kubert::election", &tracing::Level::INFO));
        assert!(targets.would_enable("kube_coordinate", &tracing::Level::ERROR));
        assert!(!targets.would_enable("kube_coordinate", &tracing::Level::INFO));
    }

    #[test]
    fn an_event_without_a_message_makes_no_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry()
            .with(FilterFn::new(has_message))
            .with(json_layer("pod-0_1", move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(error = "of an instrumented function");
            tracing::error!(error = "of a library", "it failed");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(written.contains("it failed"), "{written}");
    }

    #[test]
    fn a_json_line_is_flat_and_carries_the_event_the_identity_and_the_clock() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(json_layer("pod-0_1", move || writer.clone()));
        let before = monotonic_ns();
        tracing::subscriber::with_default(subscriber, || tracing::info!(n = 3, "still leading"));

        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(line["message"], "still leading");
        assert_eq!(line["n"], 3);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["identity"], "pod-0_1");
        assert!((before..=monotonic_ns()).contains(&line["monotonic_ns"].as_u64().unwrap()));
        assert_eq!(line.as_object().unwrap().len(), 6, "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }
}
