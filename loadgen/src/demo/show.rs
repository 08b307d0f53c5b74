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
    warmup: Duration,
    /// From when to when an issuer is silent.
    outage: Option<(Duration, Duration)>,
    muted: bool,
    breakers: BTreeMap<String, String>,
}

impl<'a> Screen<'a> {
    /// The outage begins at a third of what is offered. A load that is so short that the outage
    /// would be more than one transaction in a hundred has none.
    pub(super) fn new(warmup: Duration, duration: Duration, metrics: &'a Metrics) -> Self {
        let at = warmup + duration / 3;
        let outage = (duration >= OUTAGE_NEEDS).then_some((at, at + OUTAGE));
        if outage.is_none() {
            let needed = OUTAGE_NEEDS.as_secs();
            say(format_args!(
                "outage      none: the load lasts less than {needed} s"
            ));
        }
        Self {
            metrics,
            before: Snapshot::default(),
            warmup,
            outage,
            muted: false,
            breakers: BTreeMap::new(),
        }
    }

    /// Whether the issuer is silent at this time.
    pub(super) fn outage(&mut self, elapsed: Duration) -> bool {
        let mute = self
            .outage
            .is_some_and(|(from, until)| elapsed >= from && elapsed < until);
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
        let mut line = progress_line(snapshot, &self.before);
        if snapshot.elapsed < self.warmup {
            line += "  (warm-up)";
        }
        say(format_args!("{line}"));
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
        if opened < 0.5 && self.outage.is_some() {
            bail!(
                "an issuer was silent for {} s, and no breaker opened",
                OUTAGE.as_secs()
            );
        }
        Ok(())
    }
}

/// How long an issuer is silent.
const OUTAGE: Duration = Duration::from_secs(3);
/// What is offered lasts at least so long, or there is no outage.
const OUTAGE_NEEDS: Duration = Duration::from_secs(15);
