//! Many seeds, on as many threads as are given.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Driver, Report, Violation, run};

/// What a range of seeds came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaign {
    /// Seeds that were run.
    pub seeds: u64,
    /// Seeds that were run twice, to compare their traces.
    pub repeated: u64,
    /// The sums of all reports; its trace is the hash of all traces in the order of their seeds.
    pub sum: Report,
    /// The promises that were broken, by seed.
    pub violations: Vec<Violation>,
}

impl Campaign {
    /// Runs `seeds` from `from` on. Every eighth is run twice.
    #[must_use]
    pub fn run(from: u64, seeds: u64, threads: usize) -> Self {
        let next = AtomicU64::new(from);
        let all = Mutex::new(Self::default());
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= from.saturating_add(seeds) {
                            return;
                        }
                        let first = run_caught(seed);
                        let twice = seed.is_multiple_of(TWICE);
                        let again = twice.then(|| run_caught(seed));
                        let mut all = all.lock().unwrap_or_else(|broken| broken.into_inner());
                        all.add(seed, first, again);
                    }
                });
            }
        });
        let mut all = all
            .into_inner()
            .unwrap_or_else(|broken| broken.into_inner());
        all.violations.sort_by_key(|violation| violation.seed);
        all
    }

    fn add(
        &mut self,
        seed: u64,
        first: Result<Report, Violation>,
        again: Option<Result<Report, Violation>>,
    ) {
        self.seeds += 1;
        if let Some(again) = again {
            self.repeated += 1;
            if again != first {
                self.violations.push(Violation {
                    seed,
                    step: 0,
                    at_ms: 0,
                    rule: "trace",
                    what: format!("{first:?}, then {again:?}"),
                });
            }
        }
        match first {
            Ok(report) => self.sum.add(seed, &report),
            Err(violation) => self.violations.push(violation),
        }
    }
}

/// A panic of the product is a broken promise of its seed.
fn run_caught(seed: u64) -> Result<Report, Violation> {
    std::panic::catch_unwind(|| run(seed, Driver::Faithful)).unwrap_or_else(|_| {
        Err(Violation {
            seed,
            step: 0,
            at_ms: 0,
            rule: "panic",
            what: "printed above".to_string(),
        })
    })
}

/// One seed in so many is run twice.
const TWICE: u64 = 8;
