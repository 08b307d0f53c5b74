//! What a run must hold: `p99<400ms`, `error_rate<0.1%@auth`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::numeric::{real, share};
use crate::recorder::{ItemRecord, Outcome, Totals};
use crate::units::{parse_duration, parse_share, show_duration};

/// One bound on what a run saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    metric: Metric,
    bound: f64,
    item: Option<String>,
}

/// What is bounded. Times are in microseconds, shares between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Quantile(f64),
    Max,
    ErrorRate,
    DeclinesUnexpected,
    Achieved,
    Approved,
}

/// A threshold and how far the run stayed from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The threshold as written.
    pub threshold: String,
    /// What the run had: microseconds or a share.
    pub value: f64,
    /// What it was allowed: microseconds or a share.
    pub bound: f64,
    /// Whether it holds.
    pub met: bool,
    /// For people: value, bound, and by how much.
    pub shown: String,
}

impl Threshold {
    /// What holds when nothing is asked for: `p99<400ms` and `error_rate<0.1%`.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let everything = |metric, bound| Self {
            metric,
            bound,
            item: None,
        };
        vec![
            everything(Metric::Quantile(0.99), 400_000.0),
            everything(Metric::ErrorRate, 0.001),
        ]
    }

    /// The bound, if it is one on a latency.
    #[must_use]
    pub fn latency_bound(&self) -> Option<Duration> {
        match self.metric {
            Metric::Quantile(_) | Metric::Max => {
                Some(Duration::from_micros(crate::numeric::whole(self.bound)))
            }
            Metric::ErrorRate
            | Metric::DeclinesUnexpected
            | Metric::Achieved
            | Metric::Approved => None,
        }
    }

    /// Holds it against what was seen.
    ///
    /// # Errors
    /// It names an item that the scenario does not have.
    pub fn judge(&self, totals: &Totals) -> Result<Judged> {
        let item = self.item.as_deref();
        let record = totals
            .item(item)
            .with_context(|| format!("`{self}` names an item that is not in the scenario"))?;
        let value = self.metric.value(record);
        let met = match self.metric {
            Metric::Achieved | Metric::Approved => value >= self.bound,
            Metric::Quantile(_) | Metric::Max | Metric::ErrorRate | Metric::DeclinesUnexpected => {
                value < self.bound
            }
        };
        Ok(Judged {
            threshold: self.to_string(),
            value,
            bound: self.bound,
            met,
            shown: self.shown(value, met),
        })
    }

    fn shown(&self, value: f64, met: bool) -> String {
        let factor = if self.bound > 0.0 {
            format!("{:.2} of the bound", value / self.bound)
        } else {
            "no room".to_owned()
        };
        let verdict = if met { "holds" } else { "MISSED" };
        let value = self.metric.show(value);
        format!("{self}: {value}, {factor}, {verdict}")
    }
}

impl Metric {
    fn value(self, record: &ItemRecord) -> f64 {
        let tally = &record.tally;
        let response = &record.latencies.response;
        match self {
            Self::Quantile(quantile) => real(response.value_at_quantile(quantile)),
            Self::Max => real(response.max()),
            Self::ErrorRate => share(tally.errors(), tally.scheduled),
            Self::DeclinesUnexpected => share(tally.of(Outcome::Unexpected), tally.answered()),
            Self::Achieved => share(tally.answered(), tally.scheduled),
            Self::Approved => share(tally.of(Outcome::Approved), tally.answered()),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Quantile(_) | Self::Max => {
                show_duration(Duration::from_micros(crate::numeric::whole(value)))
            }
            Self::ErrorRate | Self::DeclinesUnexpected | Self::Achieved | Self::Approved => {
                format!("{:.3}%", value * 100.0)
            }
        }
    }
}

impl FromStr for Threshold {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (rule, item) = match text.split_once('@') {
            Some((rule, item)) => (rule, Some(item.trim().to_owned())),
            None => (text, None),
        };
        let (name, above, bound) = match (rule.split_once(">="), rule.split_once('<')) {
            (Some((name, bound)), _) => (name.trim(), true, bound),
            (None, Some((name, bound))) => (name.trim(), false, bound),
            (None, None) => bail!("`{text}` compares nothing: write p99<400ms or achieved>=99%"),
        };
        let time =
            |bound| -> Result<f64> { Ok(real(u64::try_from(parse_duration(bound)?.as_micros())?)) };
        let (metric, bound) = match (name, above) {
            ("p50", false) => (Metric::Quantile(0.5), time(bound)?),
            ("p90", false) => (Metric::Quantile(0.9), time(bound)?),
            ("p99", false) => (Metric::Quantile(0.99), time(bound)?),
            ("p99.9", false) => (Metric::Quantile(0.999), time(bound)?),
            ("max", false) => (Metric::Max, time(bound)?),
            ("error_rate", false) => (Metric::ErrorRate, parse_share(bound)?),
            ("declines_unexpected", false) => (Metric::DeclinesUnexpected, parse_share(bound)?),
            ("achieved", true) => (Metric::Achieved, parse_share(bound)?),
            ("approved", true) => (Metric::Approved, parse_share(bound)?),
            _ => bail!(
                "`{text}` is not a threshold: p50, p90, p99, p99.9 or max < TIME, error_rate or \
                 declines_unexpected < SHARE, achieved or approved >= SHARE"
            ),
        };
        Ok(Self {
            metric,
            bound,
            item,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.metric.show(self.bound).replace(' ', "");
        match self.metric {
            Metric::Quantile(quantile) => {
                let digits = format!("{:.1}", quantile * 100.0);
                write!(f, "p{}<{bound}", digits.trim_end_matches(".0"))?;
            }
            Metric::Max => write!(f, "max<{bound}")?,
            Metric::ErrorRate => write!(f, "error_rate<{bound}")?,
            Metric::DeclinesUnexpected => write!(f, "declines_unexpected<{bound}")?,
            Metric::Achieved => write!(f, "achieved>={bound}")?,
            Metric::Approved => write!(f, "approved>={bound}")?,
        }
        match &self.item {
            Some(item) => write!(f, "@{item}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_and_shown() {
        let check = |text: &str, shown: &str| {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), shown);
        };
        check("p99<400ms", "p99<400ms");
        check("p99.9 < 2s @auth", "p99.9<2.00s@auth");
        check("error_rate<0.1%", "error_rate<0.100%");
        check("achieved>=99%", "achieved>=99.000%");
        for wrong in ["p98<1s", "p99>=1s", "p99", "p99<400", "error_rate<5s"] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_threshold_holds_or_is_missed() {
        let mut totals = Totals::new(&["auth".to_owned()]);
        totals
            .all
            .latencies
            .response
            .record_n(399_000, 100)
            .unwrap();
        let judge = |text: &str| {
            let threshold: Threshold = text.parse().unwrap();
            threshold.judge(&totals).unwrap().met
        };
        assert!(judge("p99<400ms"));
        assert!(!judge("p99<399ms"));
        assert!(judge("error_rate<0.1%"));
        assert!(
            "p99<1s@cash"
                .parse::<Threshold>()
                .unwrap()
                .judge(&totals)
                .is_err()
        );
    }

    #[test]
    fn the_defaults_are_the_promise() {
        let shown: Vec<String> = Threshold::defaults()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(shown, ["p99<400ms", "error_rate<0.100%"]);
    }
}
