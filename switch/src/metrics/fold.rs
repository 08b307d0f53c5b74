//! Adds the blocks of all writers up to samples.

use super::Metrics;
use super::block::OFFSETS;
use super::exposition::Labels;
use super::names::{Family, FamilyId, Kind, Label, Values};

/// A family with all its samples.
#[derive(Debug)]
pub(crate) struct Samples {
    pub(crate) family: &'static Family,
    pub(crate) samples: Vec<Sample>,
}

/// One combination of labels and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: Value,
}

/// A value in the unit in which it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    /// Counts per bucket, the infinite one last, and the sum.
    Histogram {
        counts: Vec<u64>,
        sum: u64,
    },
}

impl Sample {
    /// A number with labels.
    pub(crate) const fn labelled(labels: Vec<(&'static str, String)>, value: u64) -> Self {
        Self {
            labels,
            value: Value::Number(value),
        }
    }

    /// A number without labels.
    pub(crate) const fn number(value: u64) -> Self {
        Self {
            labels: Vec::new(),
            value: Value::Number(value),
        }
    }
}

/// What one family says, out of the blocks of `shards`: for each shard those that count for it.
pub(crate) fn fold(id: FamilyId, shards: &[Vec<&Metrics>], labels: &Labels) -> Samples {
    let family = id.family();
    let slot = OFFSETS[id as usize];
    let per_shard = family
        .labels
        .iter()
        .any(|label| matches!(label.values, Values::Shard));
    let mut samples = Vec::new();
    if per_shard {
        for (shard, writers) in shards.iter().enumerate() {
            let value = read(family, slot, &mut writers.iter().copied());
            let labels = vec![("shard", shard.to_string())];
            samples.push(Sample { labels, value });
        }
    } else {
        for (labels, place) in combinations(family, labels) {
            let slot = slot + place * family.width();
            let value = read(family, slot, &mut shards.iter().flatten().copied());
            match family.kind {
                Kind::State => samples.extend(one_hot(family, &labels, &value)),
                Kind::Counter | Kind::Gauge | Kind::Histogram(_) => {
                    samples.push(Sample { labels, value });
                }
            }
        }
    }
    Samples { family, samples }
}

/// Each combination of labels that can exist, with its place among the family's slots.
fn combinations(
    family: &'static Family,
    names: &Labels,
) -> Vec<(Vec<(&'static str, String)>, usize)> {
    let mut combinations = vec![(Vec::new(), 0)];
    let counted = match family.kind {
        Kind::State => family
            .labels
            .split_last()
            .map_or(family.labels, |(_, rest)| rest),
        Kind::Counter | Kind::Gauge | Kind::Histogram(_) => family.labels,
    };
    for label in counted {
        let values = values(label, names);
        let with_each = |(labels, place): (Vec<(&'static str, String)>, usize)| {
            let extended = values.iter().enumerate().map(move |(position, value)| {
                let mut labels = labels.clone();
                labels.push((label.name, value.clone()));
                (labels, place * label.values.capacity() + position)
            });
            extended.collect::<Vec<_>>()
        };
        combinations = combinations.into_iter().flat_map(with_each).collect();
    }
    combinations
}

fn values(label: &Label, names: &Labels) -> Vec<String> {
    match label.values {
        Values::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        Values::Issuers => names.issuers.clone(),
        Values::Listeners => names.listeners.clone(),
        Values::Gateways => names.gateways.clone(),
        Values::Shard | Values::Free => Vec::new(),
    }
}

fn read(family: &Family, slot: usize, writers: &mut dyn Iterator<Item = &Metrics>) -> Value {
    match family.kind {
        Kind::State => {
            let values = writers.map(|writer| writer.block().value(slot));
            Value::Number(values.max().unwrap_or(0))
        }
        Kind::Counter | Kind::Gauge => {
            let values = writers.map(|writer| writer.block().value(slot));
            Value::Number(values.fold(0, u64::wrapping_add))
        }
        Kind::Histogram(buckets) => {
            let mut numbers = vec![0_u64; buckets.bounds().len() + 2];
            for writer in writers {
                for (position, number) in numbers.iter_mut().enumerate() {
                    *number = number.wrapping_add(writer.block().value(slot + position));
                }
            }
            let sum = numbers.pop().unwrap_or(0);
            Value::Histogram {
                counts: numbers,
                sum,
            }
        }
    }
}

/// One sample per state: 1 for the one that holds.
fn one_hot(
    family: &'static Family,
    labels: &[(&'static str, String)],
    value: &Value,
) -> Vec<Sample> {
    let (Some(label), Value::Number(state)) = (family.labels.last(), value) else {
        return Vec::new();
    };
    let Values::Words(words) = label.values else {
        return Vec::new();
    };
    let sample = |(position, word): (u64, &&'static str)| {
        let mut labels = labels.to_vec();
        labels.push((label.name, (*word).to_owned()));
        Sample {
            labels,
            value: Value::Number(u64::from(position == *state)),
        }
    };
    (0..).zip(words).map(sample).collect()
}
