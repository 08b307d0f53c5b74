//! Finds the highest rate that is held: doubles until one is not, then halves the interval.

/// The state of one search; pure.
#[derive(Clone, Debug)]
pub struct Search {
    /// Highest rate that was held, 0 before any.
    held: u32,
    /// Lowest rate that was not held.
    missed: Option<u32>,
    start: u32,
    /// The interval at which the search ends, as a share of the rate that was held.
    resolution: f64,
}

/// Below this rate the search gives up: the target does not work.
const RATE_MIN: u32 = 100;
/// Above this rate the search ends: nobody schedules more.
const RATE_MAX: u32 = 2_000_000;

impl Search {
    /// Begins at `start` transactions per second.
    #[must_use]
    pub fn new(start: u32, resolution: f64) -> Self {
        Self {
            held: 0,
            missed: None,
            start: start.max(RATE_MIN),
            resolution,
        }
    }

    /// The rate to try; none when the search has ended.
    #[must_use]
    pub fn next_rate(&self) -> Option<u32> {
        let Some(missed) = self.missed else {
            let next = if self.held == 0 {
                self.start
            } else {
                self.held.saturating_mul(2)
            };
            return (next <= RATE_MAX).then_some(next);
        };
        if self.held == 0 {
            return (missed / 2 >= RATE_MIN).then_some(missed / 2);
        }
        let gap = missed - self.held;
        let is_open = f64::from(gap) > f64::from(self.held) * self.resolution;
        is_open.then_some(self.held + gap / 2)
    }

    /// Enters what became of `rate`.
    pub fn record(&mut self, rate: u32, is_held: bool) {
        if is_held {
            self.held = self.held.max(rate);
        } else {
            self.missed = Some(self.missed.map_or(rate, |missed| missed.min(rate)));
        }
    }

    /// The highest rate that was held, once [`Self::next_rate`] gives none.
    #[must_use]
    pub fn held(&self) -> Option<u32> {
        (self.held > 0).then_some(self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: u32, knee: u32, resolution: f64) {
        let mut search = Search::new(start, resolution);
        let mut steps = 0;
        while let Some(rate) = search.next_rate() {
            search.record(rate, rate <= knee);
            steps += 1;
            assert!(steps < 40, "the search does not end");
        }
        let held = f64::from(search.held().expect("the knee is above the minimum"));
        let knee = f64::from(knee);
        assert!(
            held <= knee && held * (1.0 + resolution) + 2.0 >= knee,
            "{held} for {knee}"
        );
    }

    #[test]
    fn a_knee_is_found_within_the_resolution() {
        for knee in [200, 9_999, 10_000, 10_001, 47_123, 140_000] {
            check(5_000, knee, 0.05);
            check(160_000, knee, 0.02);
        }
    }

    #[test]
    fn a_target_that_holds_nothing_ends_the_search() {
        let mut search = Search::new(5_000, 0.05);
        while let Some(rate) = search.next_rate() {
            search.record(rate, false);
        }
        assert_eq!(search.held(), None);
    }

    #[test]
    fn a_target_that_holds_everything_ends_the_search() {
        let mut search = Search::new(5_000, 0.05);
        while let Some(rate) = search.next_rate() {
            search.record(rate, true);
        }
        assert!(search.held().is_some_and(|held| held > RATE_MAX / 2));
    }
}
