//! Chooses the few calls of a step that are timed.

use std::cell::Cell;
use std::time::Duration;

use domain::time::Instant;

use super::{Histogram, Metrics, Stage};
use crate::clock::Clock;

/// Times one call in [`SAMPLE_EVERY`] of one step: reading the clock twice would be a good part of
/// what the shortest steps take.
#[derive(Debug)]
pub(crate) struct Sampler {
    stage: Stage,
    left: Cell<u8>,
}

/// One call of a step; knows its beginning when it is one of those that are timed.
#[derive(Clone, Copy, Debug)]
#[must_use = "ended by Sampler::end"]
pub(crate) struct Timing(Option<Instant>);

impl Sampler {
    /// Begins with the first call, so that a quiet switch shows its steps too.
    pub(crate) const fn new(stage: Stage) -> Self {
        Self {
            stage,
            left: Cell::new(0),
        }
    }

    /// The step begins.
    pub(crate) fn begin(&self, clock: Clock) -> Timing {
        let left = self.left.get();
        self.left
            .set(left.checked_sub(1).unwrap_or(SAMPLE_EVERY - 1));
        Timing((left == 0).then(|| clock.now()))
    }

    /// The step has ended. How long it took, when it was timed.
    pub(crate) fn end(&self, timing: Timing, clock: Clock, metrics: &Metrics) -> Option<Duration> {
        let took = clock.now().since(timing.0?);
        metrics.observe_duration(Histogram::Stage(self.stage), took);
        Some(took)
    }
}

const SAMPLE_EVERY: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_sixteen_calls_is_timed() {
        let sampler = Sampler::new(Stage::Route);
        let (clock, metrics) = (Clock::start(), Metrics::new());
        let timed: Vec<usize> = (0..40)
            .filter(|_| {
                let timing = sampler.begin(clock);
                sampler.end(timing, clock, &metrics).is_some()
            })
            .collect();
        assert_eq!(timed, [0, 16, 32]);
    }
}
