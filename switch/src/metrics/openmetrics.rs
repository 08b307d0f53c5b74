//! The OpenMetrics form, by prometheus-client: one collector that tells everything.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry;

use super::exposition::Exposition;
use super::fold::{Sample, Value};
use super::names::{Family, Kind, Unit};

/// One scrape of an [`Exposition`].
#[derive(Debug)]
pub(crate) struct Scrape(pub(crate) Arc<Exposition>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for told in self.0.samples() {
            let family = told.family;
            let (unit, kind) = (unit(family), metric_type(family));
            let mut metric =
                encoder.encode_descriptor(family.bare_name(), family.help, unit.as_ref(), kind)?;
            for sample in &told.samples {
                if sample.labels.is_empty() {
                    encode(&mut metric, family, sample)?;
                } else {
                    encode(&mut metric.encode_family(&sample.labels)?, family, sample)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(metric: &mut MetricEncoder<'_>, family: &Family, sample: &Sample) -> fmt::Result {
    let number = match &sample.value {
        Value::Number(number) => *number,
        Value::Histogram { counts, sum } => {
            return encode_histogram(metric, family, counts, *sum);
        }
    };
    match (family.kind, family.unit) {
        (Kind::Counter, Unit::Seconds) => {
            metric.encode_counter::<NoLabelSet, f64, f64>(&seconds(number), None)
        }
        (Kind::Counter, Unit::None | Unit::Bytes | Unit::WholeSeconds) => {
            metric.encode_counter::<NoLabelSet, u64, f64>(&number, None)
        }
        (_, Unit::Seconds) => metric.encode_gauge(&seconds(number)),
        (_, Unit::None | Unit::Bytes | Unit::WholeSeconds) => metric.encode_gauge(&number),
    }
}

/// The encoder wants counts per bucket and an infinite last bound.
fn encode_histogram(
    metric: &mut MetricEncoder<'_>,
    family: &Family,
    counts: &[u64],
    sum: u64,
) -> fmt::Result {
    let Kind::Histogram(buckets) = family.kind else {
        return Ok(());
    };
    let shown = |value: u64| match family.unit {
        Unit::Seconds => seconds(value),
        Unit::None | Unit::Bytes | Unit::WholeSeconds => approximate(value),
    };
    let bounds = buckets
        .bounds()
        .iter()
        .map(|bound| shown(*bound))
        .chain([f64::INFINITY]);
    let pairs: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
    let count = counts
        .iter()
        .fold(0, |sum: u64, count| sum.wrapping_add(*count));
    metric.encode_histogram::<NoLabelSet>(shown(sum), count, &pairs, None)
}

const fn unit(family: &Family) -> Option<registry::Unit> {
    match family.unit {
        Unit::None => None,
        Unit::Seconds | Unit::WholeSeconds => Some(registry::Unit::Seconds),
        Unit::Bytes => Some(registry::Unit::Bytes),
    }
}

const fn metric_type(family: &Family) -> MetricType {
    match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge | Kind::State => MetricType::Gauge,
        Kind::Histogram(_) => MetricType::Histogram,
    }
}

fn seconds(nanos: u64) -> f64 {
    approximate(nanos) / 1e9
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an exposition is read by people and by Prometheus"
)]
const fn approximate(value: u64) -> f64 {
    value as f64
}
