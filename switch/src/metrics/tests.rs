//! Counting, adding up, both forms, and the page.

use std::collections::BTreeSet;
use std::sync::Arc;

use iso8583::{Dialect, FieldIndex, MessageRef};

use super::exposition::Source;
use super::fold::{Sample, Samples, Value};
use super::names::{FAMILIES, Kind, Values};
use super::*;

fn labels() -> Labels {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Labels {
        issuers: names(&["bank", "momo"]),
        listeners: names(&["pos"]),
        gateways: names(&["mobile"]),
    }
}

fn scrape(shards: &[Metrics]) -> String {
    Exposition::new(labels(), shards.to_vec()).text()
}

#[track_caller]
fn check(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no line {line}");
}

#[test]
fn shards_are_added_up_unless_the_metric_is_of_a_shard() {
    let shards = [Metrics::new(), Metrics::new()];
    shards[0].count(Counter::Rejected(Ingress::Iso, RejectReason::QueueFull));
    shards[1].count(Counter::Rejected(Ingress::Iso, RejectReason::QueueFull));
    shards[1].count(Counter::ShardTurns);
    shards[0].add(Counter::ShardBusy, 1_500_000_000);
    let text = scrape(&shards);
    check(
        &text,
        "njia_rejected_total{ingress=\"iso\",reason=\"queue_full\"} 2",
    );
    check(
        &text,
        "njia_rejected_total{ingress=\"iso\",reason=\"malformed\"} 0",
    );
    check(&text, "njia_shard_turns_total{shard=\"0\"} 0");
    check(&text, "njia_shard_turns_total{shard=\"1\"} 1");
    check(&text, "njia_shard_busy_seconds_total{shard=\"0\"} 1.5");
}

#[test]
fn a_histogram_is_cumulative_and_its_count_is_the_sum_of_its_buckets() {
    let shard = Metrics::new();
    shard.observe(
        Histogram::Transaction(Ingress::Iso, Outcome::Approved),
        400_000_000,
    );
    shard.observe(
        Histogram::Transaction(Ingress::Iso, Outcome::Approved),
        400_000_001,
    );
    shard.observe(
        Histogram::Transaction(Ingress::Iso, Outcome::Approved),
        60_000_000_000,
    );
    let text = scrape(&[shard]);
    let name = "njia_transaction_duration_seconds";
    let of = |le: &str| format!("ingress=\"iso\",outcome=\"approved\",le=\"{le}\"");
    check(&text, &format!("{name}_bucket{{{}}} 0", of("0.3")));
    check(&text, &format!("{name}_bucket{{{}}} 1", of("0.4")));
    check(&text, &format!("{name}_bucket{{{}}} 2", of("0.5")));
    check(&text, &format!("{name}_bucket{{{}}} 2", of("30")));
    check(&text, &format!("{name}_bucket{{{}}} 3", of("+Inf")));
    check(
        &text,
        &format!("{name}_sum{{ingress=\"iso\",outcome=\"approved\"}} 60.800000001"),
    );
    check(
        &text,
        &format!("{name}_count{{ingress=\"iso\",outcome=\"approved\"}} 3"),
    );
}

#[test]
fn the_gravest_breaker_of_the_shards_is_shown() {
    let shards = [Metrics::new(), Metrics::new(), Metrics::new()];
    shards[0].set_breaker(IssuerId(1), BreakerLabel::HalfOpen);
    shards[1].set_breaker(IssuerId(1), BreakerLabel::Open);
    let text = scrape(&shards);
    check(
        &text,
        "njia_breaker_state{issuer=\"bank\",state=\"closed\"} 1",
    );
    check(
        &text,
        "njia_breaker_state{issuer=\"momo\",state=\"closed\"} 0",
    );
    check(
        &text,
        "njia_breaker_state{issuer=\"momo\",state=\"half_open\"} 0",
    );
    check(
        &text,
        "njia_breaker_state{issuer=\"momo\",state=\"open\"} 1",
    );
}

#[test]
fn sessions_come_and_go() {
    let shard = Metrics::new();
    shard.session_opened(ListenerId(0));
    shard.session_opened(ListenerId(0));
    shard.session_closed(ListenerId(0), CloseReason::Peer);
    shard.session_refused(ListenerId(0), CloseReason::Limit);
    let text = scrape(&[shard]);
    check(&text, "njia_sessions{listener=\"pos\"} 1");
    check(&text, "njia_session_accepts_total{listener=\"pos\"} 2");
    check(
        &text,
        "njia_session_closes_total{listener=\"pos\",reason=\"peer\"} 1",
    );
    check(
        &text,
        "njia_session_closes_total{listener=\"pos\",reason=\"limit\"} 1",
    );
}

/// `0810` with DE2 and DE32 of an odd number of digits each.
#[test]
fn each_field_with_a_wrong_pad_is_counted() {
    let shard = Metrics::new();
    let count = |dialect: &str, pads: [u8; 2]| {
        let mut bytes = vec![0x08, 0x10, 0x40, 0, 0, 1, 0, 0, 0, 0];
        bytes.extend([3, 0x50, 0x60 | pads[0], 3, 0x12, 0x30 | pads[1]]);
        let mut index = FieldIndex::new();
        let dialect = Dialect::by_name(dialect).unwrap();
        dialect.parse(&bytes, &mut index).unwrap();
        let message = MessageRef::new(&bytes, &index);
        shard.count_wrong_padding(Counter::SessionPadding(ListenerId(0)), message);
        shard.count_wrong_padding(Counter::IssuerPadding(IssuerId(1)), message);
    };
    count("iso87-bcd", [0, 0]);
    count("iso87-bcd-f", [0xF, 0xF]);
    let expect = |number| {
        let text = scrape(std::slice::from_ref(&shard));
        let session = "njia_session_wrong_padding_total{listener=\"pos\"}";
        check(&text, &format!("{session} {number}"));
        let issuer = "njia_issuer_wrong_padding_total{issuer=\"momo\"}";
        check(&text, &format!("{issuer} {number}"));
    };
    expect(0);
    count("iso87-bcd", [0, 0xF]);
    expect(1);
    count("iso87-bcd-f", [0, 0]);
    expect(3);
}

/// Counts each counter a number of times that no other one has, and expects each number in exactly
/// one sample.
#[test]
fn no_two_counters_share_a_slot() {
    let shard = Metrics::new();
    let mut counted = 0;
    let mut count = |counter| {
        counted += 1;
        shard.add(counter, counted);
    };
    for issuer in [IssuerId(0), IssuerId(1)] {
        for result in IssuerResult::ALL {
            count(Counter::IssuerRequests(issuer, *result));
        }
        for reason in UnmatchedReason::ALL {
            count(Counter::Unmatched(issuer, *reason));
        }
        for reason in UnwritableReason::ALL {
            count(Counter::Unwritable(issuer, *reason));
        }
        for state in BreakerLabel::ALL {
            count(Counter::BreakerTransitions(issuer, *state));
        }
        for change in EjectionLabel::ALL {
            count(Counter::LinkEjections(issuer, *change));
        }
        count(Counter::LinkReconnects(issuer));
        count(Counter::IssuerPadding(issuer));
        count(Counter::IssuerRejects(issuer));
        count(Counter::BreakerRejected(issuer));
        count(Counter::Failovers(issuer));
    }
    of_each_ingress(&mut count);
    for origin in Origin::ALL {
        for reason in DeclineReason::ALL {
            count(Counter::Declines(*origin, *reason));
        }
    }
    for side in Side::ALL {
        for reason in ParseReason::ALL {
            count(Counter::ParseErrors(*side, *reason));
        }
        for result in ReconciliationResult::ALL {
            count(Counter::Reconciliations(*side, *result));
        }
    }
    for result in OwedResultLabel::ALL {
        for cause in ReversalCauseLabel::ALL {
            count(Counter::Reversals(*cause, *result));
        }
        for origin in AdviceOriginLabel::ALL {
            count(Counter::Advices(*origin, *result));
        }
    }
    for result in AdministrativeResult::ALL {
        count(Counter::Administrative(*result));
    }
    count(Counter::SessionPadding(ListenerId(0)));
    count(Counter::RiskAllowed);
    count(Counter::RiskDeclined);
    assert_eq!(counted_by(shard), (1..=counted).collect::<Vec<u64>>());
}

fn of_each_ingress(count: &mut impl FnMut(Counter)) {
    for ingress in Ingress::ALL {
        for kind in TransactionType::ALL {
            for outcome in Outcome::ALL {
                count(Counter::Transactions(*ingress, *kind, *outcome));
            }
        }
        for result in RepeatResult::ALL {
            count(Counter::Repeats(*ingress, *result));
        }
        for reason in RejectReason::ALL {
            count(Counter::Rejected(*ingress, *reason));
        }
        count(Counter::Requests(*ingress));
    }
}

/// What stands in the counters of ours, ascending.
fn counted_by(shard: Metrics) -> Vec<u64> {
    let exposition = Exposition::new(labels(), vec![shard]);
    let of_ours = |told: &Samples| {
        told.family.kind == Kind::Counter && !told.family.name.starts_with("process_")
    };
    let ours = exposition.samples().into_iter().filter(of_ours);
    let counted_so_far = |sample: Sample| match sample.value {
        Value::Number(number) => (number > 0).then_some(number),
        Value::Histogram { .. } => None,
    };
    let samples = ours.flat_map(|told| told.samples);
    let mut values: Vec<u64> = samples.filter_map(counted_so_far).collect();
    values.sort_unstable();
    values
}

#[test]
fn names_follow_the_rules() {
    let mut names = BTreeSet::new();
    for family in FAMILIES {
        let name = family.name;
        assert!(names.insert(name), "{name} twice");
        let of_process = name.starts_with("process_");
        assert!(name.starts_with("njia_") || of_process, "{name}");
        assert_eq!(
            name.ends_with("_total"),
            family.kind == Kind::Counter,
            "{name}"
        );
        let bare = family.bare_name();
        let total = if family.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        assert_eq!(name, format!("{bare}{}{total}", family.unit_suffix()));
        assert!(family.help.ends_with('.'), "{name}");
        for label in family.labels {
            let forbidden = [
                "pan", "token", "stan", "rrn", "terminal", "merchant", "address", "id",
            ];
            assert!(!forbidden.contains(&label.name), "{name}");
        }
        if family.kind == Kind::State {
            let last = family.labels.last().map(|label| label.values);
            assert!(matches!(last, Some(Values::Words(_))), "{name}");
        }
    }
}

/// metrics.md of the project bounds what one node exports.
#[test]
fn the_number_of_series_is_bounded() {
    let names: Vec<String> = (0..LABELS_MAX)
        .map(|position| format!("name-{position}"))
        .collect();
    let labels = Labels {
        issuers: names.clone(),
        listeners: names[..10].to_vec(),
        gateways: names[..10].to_vec(),
    };
    let shards: Vec<Metrics> = (0..16).map(|_| Metrics::new()).collect();
    let text = Exposition::new(labels, shards).text();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 8_000, "{series} series");
    assert!(
        series > 2_000,
        "{series} series: is the shape still the largest one?"
    );
}

#[test]
fn both_forms_tell_the_same() {
    let shard = Metrics::new();
    shard.count(Counter::Requests(Ingress::Iso));
    shard.observe(Histogram::JournalBatchRecords, 3);
    shard.observe(Histogram::Issuer(IssuerId(0)), 7_000_000);
    shard.add(Counter::JournalBytes, 4096);
    let exposition = Arc::new(Exposition::new(labels(), vec![shard]));
    let plain = exposition.text();
    let open = exposition.openmetrics().unwrap();
    assert!(open.ends_with("# EOF\n"));
    let series = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        // OpenMetrics puts `le` first and writes numbers with a fraction.
        let key = |line: &str| {
            let name = line.split(['{', ' ']).next().unwrap_or_default().to_owned();
            let inside = line.split(['{', '}']).nth(1).filter(|_| line.contains('{'));
            let mut labels: Vec<&str> = inside.unwrap_or_default().split(',').collect();
            labels.retain(|label| !label.starts_with("le="));
            labels.sort_unstable();
            format!("{name}{{{}}}", labels.join(","))
        };
        lines.map(key).collect()
    };
    assert_eq!(series(&plain), series(&open));
    check(&plain, "njia_journal_bytes_total 4096");
    check(&open, "njia_journal_bytes_total 4096");
    check(&open, "njia_journal_batch_records_sum 3.0");
    check(&open, "# UNIT njia_issuer_duration_seconds seconds");
    check(&plain, "njia_journal_batch_records_bucket{le=\"4\"} 1");
    assert!(!plain.contains("# UNIT") && !plain.contains("# EOF"));
}

#[test]
fn a_source_takes_the_place_of_the_blocks() {
    #[derive(Debug)]
    struct Disk;
    impl Source for Disk {
        fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
            (family == FamilyId::JournalDiskFree).then(|| vec![Sample::number(77)])
        }
    }
    let mut exposition = Exposition::new(labels(), vec![Metrics::new()]);
    exposition.add_source(Disk);
    check(&exposition.text(), "njia_journal_disk_free_bytes 77");
}

/// The table of `docs/metrics.md` is this table, row for row.
#[test]
fn the_documentation_lists_every_metric() {
    let documented = include_str!("../../../docs/metrics.md");
    let rows: Vec<String> = FAMILIES.iter().map(row).collect();
    let found: Vec<&str> = documented
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(str::trim_end)
        .collect();
    for row in &rows {
        assert!(
            found.contains(&row.as_str()),
            "docs/metrics.md lacks this row:\n{row}"
        );
    }
    assert_eq!(
        found.len(),
        rows.len(),
        "docs/metrics.md has rows of metrics that do not exist"
    );
}

fn row(family: &names::Family) -> String {
    let kind = match family.kind {
        Kind::Histogram(buckets) => format!("histogram {buckets:?}").to_lowercase(),
        Kind::Counter | Kind::Gauge | Kind::State => family.type_name().to_owned(),
    };
    let label = |label: &names::Label| match label.values {
        Values::Words(words) => format!("{} ({})", label.name, words.join(", ")),
        Values::Issuers => "issuer (≤ 50)".to_owned(),
        Values::Listeners => "listener (≤ 50)".to_owned(),
        Values::Gateways => "gateway (≤ 50)".to_owned(),
        Values::Shard => "shard (≤ 64)".to_owned(),
        Values::Free => label.name.to_owned(),
    };
    let labels: Vec<String> = family.labels.iter().map(label).collect();
    let labels = if labels.is_empty() {
        "–".to_owned()
    } else {
        labels.join("; ")
    };
    format!(
        "| `{}` | {kind} | {labels} | {} |",
        family.name, family.help
    )
}
