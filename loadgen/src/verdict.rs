//! PASS, FAIL or INVALID: whether a run may be judged at all comes first.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::numeric::share;
use crate::recorder::{Outcome, Totals};
use crate::threshold::{Judged, Threshold};
use crate::units::show_duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Offered as asked, and every threshold holds.
    Pass,
    /// Offered as asked, and something does not hold.
    Fail,
    /// Not offered as asked: the generator was the limit, or the run was cut short.
    Invalid,
}

impl Verdict {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 99,
            Self::Invalid => 98,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Invalid => "INVALID",
        })
    }
}

/// How the generator itself fared.
#[derive(Clone, Debug, Default)]
pub struct Conduct {
    /// Share of the run that each generator thread spent on a processor.
    pub busy: Vec<f64>,
    /// The bound on messages in flight was reached.
    pub inflight_exhausted: bool,
    /// Ended by hand.
    pub interrupted: bool,
}

/// A verdict and why.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Each cause in one sentence; empty for PASS.
    pub reasons: Vec<String>,
    /// Every threshold with its value.
    pub thresholds: Vec<Judged>,
}

impl Judgement {
    /// Judges a run. What was not offered cannot be judged, so INVALID is decided first.
    ///
    /// # Errors
    /// A threshold names an item that the scenario does not have.
    pub fn of(totals: &Totals, conduct: &Conduct, thresholds: &[Threshold]) -> Result<Self> {
        let judged = thresholds
            .iter()
            .map(|threshold| threshold.judge(totals))
            .collect::<Result<Vec<_>>>()?;
        let invalid = causes_to_invalidate(totals, conduct, thresholds);
        let failed = causes_to_fail(totals, conduct, &judged);
        let (verdict, reasons) = match (invalid.is_empty(), failed.is_empty()) {
            (false, _) => (Verdict::Invalid, invalid),
            (true, false) => (Verdict::Fail, failed),
            (true, true) => (Verdict::Pass, Vec::new()),
        };
        Ok(Self {
            verdict,
            reasons,
            thresholds: judged,
        })
    }

    /// Adds a cause to fail that was found outside the run, such as a difference in the journal. It
    /// holds whatever was offered, so it stands above INVALID.
    pub fn fail(&mut self, reason: String) {
        self.verdict = Verdict::Fail;
        self.reasons.push(reason);
    }
}

/// The generator's own delay may use a tenth of the tightest latency bound.
#[must_use]
pub fn lag_bound(thresholds: &[Threshold]) -> Duration {
    thresholds
        .iter()
        .filter_map(Threshold::latency_bound)
        .min()
        .map_or(Duration::from_millis(40), |bound| bound / 10)
}

fn causes_to_invalidate(
    totals: &Totals,
    conduct: &Conduct,
    thresholds: &[Threshold],
) -> Vec<String> {
    let mut causes = Vec::new();
    let tally = &totals.all.tally;
    if conduct.interrupted {
        causes.push("the run was ended by hand".to_owned());
    }
    let sent = share(tally.sent, tally.scheduled);
    if tally.scheduled == 0 || sent < SENT_SHARE_MIN {
        causes.push(format!(
            "only {:.2}% of the {} scheduled messages were sent",
            sent * 100.0,
            tally.scheduled
        ));
    }
    let lag = Duration::from_micros(totals.all.latencies.lag.value_at_quantile(0.99));
    let bound = lag_bound(thresholds);
    if lag > bound {
        causes.push(format!(
            "the generator was late by itself: lag p99 {} is above {}",
            show_duration(lag),
            show_duration(bound)
        ));
    }
    for (thread, busy) in conduct.busy.iter().enumerate() {
        if *busy > BUSY_SHARE_MAX {
            causes.push(format!(
                "generator thread {thread} was busy {:.0}% of the time",
                busy * 100.0
            ));
        }
    }
    causes
}

fn causes_to_fail(totals: &Totals, conduct: &Conduct, judged: &[Judged]) -> Vec<String> {
    let mut causes: Vec<String> = judged
        .iter()
        .filter(|judged| !judged.met)
        .map(|judged| judged.shown.clone())
        .collect();
    if conduct.inflight_exhausted {
        causes.push("too many messages in flight: the target stopped answering".to_owned());
    }
    for outcome in Outcome::ALL.into_iter().filter(|one| one.is_breach()) {
        let seen = totals.all.tally.of(outcome) + totals.warmup.tally.of(outcome);
        if seen > 0 {
            causes.push(format!("{seen} × {}", outcome.name()));
        }
    }
    causes
}

/// Below this share of what was scheduled, a run was not offered.
const SENT_SHARE_MIN: f64 = 0.995;
/// Above this share of its time on a processor, a generator thread may be the limit.
const BUSY_SHARE_MAX: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(scheduled: u64, sent: u64, lag_us: u64, response_us: u64) -> Totals {
        let mut totals = Totals::default();
        totals.all.tally.scheduled = scheduled;
        totals.all.tally.sent = sent;
        totals.all.latencies.lag.record_n(lag_us, sent).unwrap();
        totals
            .all
            .latencies
            .response
            .record_n(response_us, sent)
            .unwrap();
        totals
    }

    #[track_caller]
    fn check(totals: &Totals, conduct: &Conduct, verdict: Verdict) {
        let judgement = Judgement::of(totals, conduct, &Threshold::defaults()).unwrap();
        assert_eq!(judgement.verdict, verdict, "{:?}", judgement.reasons);
        assert_eq!(judgement.reasons.is_empty(), verdict == Verdict::Pass);
    }

    #[test]
    fn a_run_that_was_offered_is_judged_by_its_thresholds() {
        let calm = Conduct::default();
        check(&totals(1_000, 1_000, 500, 30_000), &calm, Verdict::Pass);
        check(&totals(1_000, 1_000, 500, 500_000), &calm, Verdict::Fail);
    }

    #[test]
    fn a_run_that_was_not_offered_is_invalid_even_when_it_was_slow() {
        let calm = Conduct::default();
        check(&totals(1_000, 990, 500, 500_000), &calm, Verdict::Invalid);
        check(
            &totals(1_000, 1_000, 41_000, 500_000),
            &calm,
            Verdict::Invalid,
        );
        let busy = Conduct {
            busy: vec![0.2, 0.95],
            ..Conduct::default()
        };
        check(&totals(1_000, 1_000, 500, 30_000), &busy, Verdict::Invalid);
        check(&totals(0, 0, 1, 1), &calm, Verdict::Invalid);
    }

    #[test]
    fn a_full_table_fails_when_the_generator_kept_its_times() {
        let full = Conduct {
            inflight_exhausted: true,
            ..Conduct::default()
        };
        check(&totals(1_000, 1_000, 500, 30_000), &full, Verdict::Fail);
        check(
            &totals(1_000, 1_000, 90_000, 30_000),
            &full,
            Verdict::Invalid,
        );
    }

    #[test]
    fn what_is_found_outside_the_run_fails_it_whatever_was_offered() {
        let judge = |totals: &Totals| {
            Judgement::of(totals, &Conduct::default(), &Threshold::defaults()).unwrap()
        };
        for totals in [totals(1_000, 1_000, 500, 30_000), totals(0, 0, 1, 1)] {
            let mut judgement = judge(&totals);
            judgement.fail("the proof failed".to_owned());
            assert_eq!(judgement.verdict, Verdict::Fail);
        }
    }

    #[test]
    fn the_exit_codes_are_those_of_the_manual() {
        let codes = [Verdict::Pass, Verdict::Fail, Verdict::Invalid].map(Verdict::exit_code);
        assert_eq!(codes, [0, 99, 98]);
    }
}
