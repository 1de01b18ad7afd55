//! The wall clock of one replica, which anybody may set.

use crate::server::BEGIN;
use crate::time::Ns;

/// See the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wall {
    offset: i64,
    stands_at: Option<i64>,
}

impl Wall {
    /// What it shows at `now`, in microseconds since 1970.
    pub fn micros(&self, now: Ns) -> i64 {
        self.stands_at.unwrap_or_else(|| (BEGIN * 1_000_000 + (now / 1000) as i64).saturating_add(self.offset))
    }

    /// Somebody sets it by so many seconds.
    pub fn jump(&mut self, seconds: i64) {
        // To one place, not further with every fault: the clocks end with the year 9999.
        self.offset = seconds.saturating_mul(1_000_000);
    }

    /// It stands still from `now` on, or goes again.
    pub fn stand(&mut self, now: Ns, stands: bool) {
        self.stands_at = stands.then(|| self.micros(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    #[test]
    fn it_goes_jumps_and_stands_still() {
        let mut wall = Wall::default();
        let begin = BEGIN * 1_000_000;
        assert_eq!(wall.micros(SECOND), begin + 1_000_000);
        wall.jump(-3);
        assert_eq!(wall.micros(SECOND), begin - 2_000_000);
        wall.stand(SECOND, true);
        assert_eq!(wall.micros(9 * SECOND), begin - 2_000_000);
        wall.stand(9 * SECOND, false);
        assert_eq!(wall.micros(9 * SECOND), begin + 6_000_000);
    }
}
