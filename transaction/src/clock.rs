//! The instant of the last input, and the wall time that belongs to it.

use domain::time::{Instant, WallTime};

/// Follows the shell's clock; never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    now: Instant,
    anchor: Instant,
    wall_at_anchor: WallTime,
}

impl Clock {
    pub(crate) const fn new(wall_at_zero: WallTime) -> Self {
        Self {
            now: Instant::ZERO,
            anchor: Instant::ZERO,
            wall_at_anchor: wall_at_zero,
        }
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(crate) const fn anchor(&mut self, wall: WallTime) {
        self.anchor = self.now;
        self.wall_at_anchor = wall;
    }

    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    pub(crate) const fn wall(&self) -> WallTime {
        self.wall_at(self.now)
    }

    /// The wall time at an instant that is not before the last anchor.
    pub(crate) const fn wall_at(&self, at: Instant) -> WallTime {
        let nanos = at.as_nanos().saturating_sub(self.anchor.as_nanos());
        let millis = self.wall_at_anchor.unix_millis();
        WallTime::from_unix_millis(millis.saturating_add(nanos / 1_000_000))
    }
}
