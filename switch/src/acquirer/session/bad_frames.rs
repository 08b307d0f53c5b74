//! How many messages of a session nobody can use. Pure.

use std::cell::Cell;
use std::time::Duration;

use domain::time::Instant;

/// Bad but framed messages within the running minute.
#[derive(Debug, Default)]
pub(super) struct BadFrames {
    since: Cell<Instant>,
    count: Cell<u32>,
}

impl BadFrames {
    /// Adds `count` and returns how many there are.
    pub(super) fn add(&self, now: Instant, count: u32) -> u32 {
        if now.since(self.since.get()) >= Duration::from_secs(60) {
            self.since.set(now);
            self.count.set(0);
        }
        self.count.set(self.count.get().saturating_add(count));
        self.count.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_begins_with_its_first_one() {
        let frames = BadFrames::default();
        let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        assert_eq!(frames.add(at(100), 2), 2);
        assert_eq!(frames.add(at(159), 1), 3);
        assert_eq!(frames.add(at(160), 1), 1);
    }
}
