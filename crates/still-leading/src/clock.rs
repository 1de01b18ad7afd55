//! The clock that decides: monotonic, and running on while the machine is suspended.

use std::fmt::Debug;
use std::time::Duration;

use crate::lease::Moment;

/// A clock that nobody can set. Injected, so that tests can move it.
pub trait Clock: Debug + Send + Sync {
    /// The time since the clock was started.
    fn now(&self) -> Moment;
}

/// A reading of the operating system.
type Reading = fn() -> Duration;

/// The time since the elector started, suspend included.
#[derive(Debug)]
pub struct BootClock {
    read: Reading,
    started: Duration,
}

impl BootClock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self::reading(since_boot)
    }

    fn reading(read: Reading) -> Self {
        Self { read, started: read() }
    }
}

impl Clock for BootClock {
    fn now(&self) -> Moment {
        (self.read)().saturating_sub(self.started)
    }
}

#[cfg(target_os = "linux")]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(CLOCK)).unwrap_or_default()
}

/// Elsewhere suspend is not counted: fit for trying things out, not for a cluster.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    STARTED.elapsed()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local!(static READING: Cell<Duration> = const { Cell::new(Duration::from_secs(1000)) });

    #[test]
    fn it_starts_at_zero_and_counts_what_the_system_counts() {
        let clock = BootClock::reading(|| READING.get());
        assert_eq!(clock.now(), Duration::ZERO);
        READING.set(Duration::from_secs(4600));
        assert_eq!(clock.now(), Duration::from_secs(3600));
        READING.set(Duration::from_secs(1));
        assert_eq!(clock.now(), Duration::ZERO, "a reading from before the start does not panic");
    }

    /// No test can suspend the machine, so this one holds the clock's name: CLOCK_MONOTONIC stands still in suspend.
    #[cfg(target_os = "linux")]
    #[test]
    fn on_linux_it_is_the_clock_that_counts_suspend() {
        assert_eq!(CLOCK, rustix::time::ClockId::Boottime);
        let apart = since_boot().abs_diff(Duration::try_from(rustix::time::clock_gettime(CLOCK)).unwrap());
        assert!(apart < Duration::from_secs(10), "{apart:?}");
    }
}
