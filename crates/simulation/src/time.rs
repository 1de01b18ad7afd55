//! Virtual time, and the clocks of the replicas, which run at rates of their own.

use std::time::Duration;

use still_leading::internals::Moment;

/// Nanoseconds of virtual time since the history began.
pub type Ns = u64;
/// A second of virtual time.
pub const SECOND: Ns = 1_000_000_000;
/// A millisecond of virtual time.
pub const MILLI: Ns = 1_000_000;

/// Later than anything that is simulated.
pub const NEVER: Ns = u64::MAX / 2;

/// The monotonic clock of one process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the process started.
    pub started: Ns,
    /// How fast it runs: 1.1 is ten percent too fast.
    pub rate: f64,
}

impl Clock {
    /// What this clock shows at `now`.
    pub fn local(&self, now: Ns) -> Moment {
        let passed = now.saturating_sub(self.started);
        Duration::from_nanos(if self.is_exact() { passed } else { (passed as f64 * self.rate) as u64 })
    }

    /// The first virtual time at which this clock shows `moment` or later.
    pub fn global(&self, moment: Moment) -> Ns {
        let Ok(nanos) = u64::try_from(moment.as_nanos()) else { return NEVER };
        if self.is_exact() {
            return self.started.saturating_add(nanos).min(NEVER);
        }
        let mut at = self.started.saturating_add((nanos as f64 / self.rate) as u64).min(NEVER);
        while at < NEVER && self.local(at) < moment {
            at += 1;
        }
        at
    }

    fn is_exact(&self) -> bool {
        self.rate.to_bits() == 1.0f64.to_bits()
    }
}

/// `time` as a person reads it.
pub fn seconds(time: Ns) -> String {
    format!("{:.3}", time as f64 / SECOND as f64)
}

/// `duration` in virtual nanoseconds.
pub fn nanos(duration: Duration) -> Ns {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_reached_at_its_virtual_time_and_not_a_nanosecond_earlier() {
        for rate in [0.9, 1.0, 1.037, 1.1] {
            let clock = Clock { started: 7 * SECOND, rate };
            for nanos in [1, 999, 1_234_567_891, 15_000_000_000] {
                let moment = Duration::from_nanos(nanos);
                let at = clock.global(moment);
                assert!(clock.local(at) >= moment && clock.local(at - 2) < moment, "{rate} {nanos} {at}");
            }
        }
        assert_eq!(Clock { started: 0, rate: 0.9 }.global(Moment::MAX), NEVER);
    }
}
