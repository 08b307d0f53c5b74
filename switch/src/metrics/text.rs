//! The text form 0.0.4, which prometheus-client does not write and `promtool check metrics` needs.

use std::fmt::Write as _;

use super::fold::{Sample, Samples, Value};
use super::names::{Family, Kind, Unit};

pub(crate) fn write(families: &[Samples]) -> String {
    let mut out = String::with_capacity(256 * 1024);
    for Samples { family, samples } in families {
        let name = family.name;
        line(&mut out, &["# HELP ", name, " ", family.help]);
        line(&mut out, &["# TYPE ", name, " ", family.type_name()]);
        for sample in samples {
            write_sample(&mut out, family, sample);
        }
    }
    out
}

fn write_sample(out: &mut String, family: &Family, sample: &Sample) {
    let labels = labels(&sample.labels);
    match &sample.value {
        Value::Number(number) => {
            let value = shown(*number, family.unit);
            line(out, &[family.name, &braced(&labels, ""), " ", &value]);
        }
        Value::Histogram { counts, sum } => write_histogram(out, family, &labels, counts, *sum),
    }
}

fn write_histogram(out: &mut String, family: &Family, labels: &str, counts: &[u64], sum: u64) {
    let Kind::Histogram(buckets) = family.kind else {
        return;
    };
    let (name, bare) = (family.name, braced(labels, ""));
    let finite = buckets.bounds().iter();
    let finite = finite.map(|bound| shown(*bound, family.unit));
    let mut cumulative = 0_u64;
    for (bound, count) in finite.chain(["+Inf".to_owned()]).zip(counts) {
        cumulative = cumulative.wrapping_add(*count);
        let labels = braced(labels, &format!("le=\"{bound}\""));
        line(
            out,
            &[name, "_bucket", &labels, " ", &cumulative.to_string()],
        );
    }
    line(out, &[name, "_sum", &bare, " ", &shown(sum, family.unit)]);
    line(out, &[name, "_count", &bare, " ", &cumulative.to_string()]);
}

fn line(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
    out.push('\n');
}

/// Values are names of the configuration and words of ours, so only what a version string could
/// hold needs an escape.
fn labels(labels: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let value = value
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', r"\n");
        // Writing to a string cannot fail.
        write!(text, "{comma}{name}=\"{value}\"").unwrap_or_default();
    }
    text
}

fn braced(labels: &str, more: &str) -> String {
    match (labels.is_empty(), more.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("{{{labels}}}"),
        (true, false) => format!("{{{more}}}"),
        (false, false) => format!("{{{labels},{more}}}"),
    }
}

/// A value in its base unit: nanoseconds become seconds, exactly.
pub(crate) fn shown(value: u64, unit: Unit) -> String {
    match unit {
        Unit::None | Unit::Bytes | Unit::WholeSeconds => value.to_string(),
        Unit::Seconds => {
            let (whole, nanos) = (value / 1_000_000_000, value % 1_000_000_000);
            if nanos == 0 {
                return whole.to_string();
            }
            let fraction = format!("{nanos:09}");
            format!("{whole}.{}", fraction.trim_end_matches('0'))
        }
    }
}
