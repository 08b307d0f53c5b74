//! What the person sees while load is offered: one line a second, the outage, and the breakers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};

use super::scrape::Metrics;
use crate::console::say;
use crate::report::progress_line;
use crate::runner::Snapshot;

/// Follows a run.
pub(super) struct Screen<'a> {
    metrics: &'a Metrics,
    before: Snapshot,
    outage_at: Duration,
    outage_until: Duration,
    muted: bool,
    breakers: BTreeMap<String, String>,
}

impl<'a> Screen<'a> {
    /// The outage lasts 3 s in the middle of what is offered, or less when that is short.
    pub(super) fn new(warmup: Duration, duration: Duration, metrics: &'a Metrics) -> Self {
        let outage_at = warmup + duration / 3;
        let lasts = Duration::from_secs(3).min(duration / 4);
        Self {
            metrics,
            before: Snapshot::default(),
            outage_at,
            outage_until: outage_at + lasts,
            muted: false,
            breakers: BTreeMap::new(),
        }
    }

    /// Whether the issuer is silent at this time.
    pub(super) fn outage(&mut self, elapsed: Duration) -> bool {
        let mute = elapsed >= self.outage_at && elapsed < self.outage_until;
        if mute != self.muted {
            self.muted = mute;
            say(format_args!(
                "{:>5.1} s  issuer momo {}",
                elapsed.as_secs_f64(),
                if mute {
                    "stops answering"
                } else {
                    "answers again"
                }
            ));
        }
        mute
    }

    /// A line for this second, and one for each breaker that moved.
    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        say(format_args!("{}", progress_line(snapshot, &self.before)));
        self.before = *snapshot;
        // A scrape that fails is no reason to end the load.
        if let Ok(samples) = self.metrics.read() {
            self.show_breakers(snapshot.elapsed, samples.breakers());
        }
    }

    fn show_breakers(&mut self, elapsed: Duration, states: BTreeMap<String, String>) {
        for (name, state) in &states {
            let known = self.breakers.get(name).map_or("closed", String::as_str);
            if known != state {
                say(format_args!(
                    "{:>5.1} s  breaker {name}: {known} to {state}",
                    elapsed.as_secs_f64()
                ));
            }
        }
        self.breakers = states;
    }

    /// Says how often breakers opened and closed again; an outage that none saw is a fault.
    pub(super) fn conclude(&self) -> Result<()> {
        let samples = self.metrics.read()?;
        let opened = samples.transitions("open");
        let closed = samples.transitions("closed");
        say(format_args!(
            "breakers    opened {opened:.0} times, closed again {closed:.0} times"
        ));
        let outage = self.outage_until.saturating_sub(self.outage_at);
        if opened < 0.5 && outage >= Duration::from_secs(2) {
            bail!(
                "an issuer was silent for {} s, and no breaker opened",
                outage.as_secs()
            );
        }
        Ok(())
    }
}
