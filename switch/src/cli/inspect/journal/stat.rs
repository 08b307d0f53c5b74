//! `njia inspect journal stat`.

use std::io::Write;

use persistence::reader::{Folder, ShardFolder};
use persistence::recovery::SegmentEnd;
use serde_json::{Value, json};

use super::super::super::CliError;
use super::super::lines::SCHEMA;
use super::tally::{Tally, counts, named};
use super::verify::{ended, head};
use super::{aside, tell};

pub(super) fn run(folder: &Folder, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let manifest = folder.manifest.as_ref().ok();
    let mut findings = if json {
        u64::from(manifest.is_none())
    } else {
        head(folder, out)?
    };
    let mut shards = Vec::new();
    for shard in folder.shards.iter().filter(|shard| counts(shard)) {
        let tally = Tally::of(shard, manifest, &mut |finding| Ok(aside(&tell(finding))?))?;
        findings += tally.findings;
        if json {
            shards.push(object(shard, &tally));
        } else {
            writeln!(out, "{}", named(shard))?;
            write(&tally, out)?;
        }
    }
    if json {
        let journal = manifest.map(|content| content.journal.to_string());
        let node = manifest.map(|content| content.node.0);
        let told = json!({
            "schema": SCHEMA, "journal": journal, "node": node, "held": folder.is_held,
            "shards": shards,
        });
        writeln!(out, "{told}")?;
    }
    ended(findings)
}

pub(super) fn write(tally: &Tally, out: &mut dyn Write) -> Result<(), CliError> {
    let lsn = |lsn: Option<domain::ids::Lsn>| lsn.map_or(0, |lsn| lsn.0);
    let time =
        |at: Option<domain::time::WallTime>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    writeln!(
        out,
        "  segments      {:>14}  {} bytes",
        tally.segments, tally.file_bytes
    )?;
    writeln!(
        out,
        "  batches       {:>14}  {} anchors, {} bytes, {} % padding",
        tally.batches,
        tally.anchors,
        tally.batch_bytes,
        percent(tally.padding(), tally.batch_bytes)
    )?;
    writeln!(
        out,
        "  records       {:>14}  LSN {} to {}, {} bytes",
        tally.records,
        lsn(tally.first),
        lsn(tally.last),
        tally.record_bytes
    )?;
    writeln!(
        out,
        "  times         {} to {}",
        time(tally.oldest),
        time(tally.newest)
    )?;
    writeln!(
        out,
        "  transactions  {:>14}  {} bytes each, padding included",
        tally.transactions,
        tally
            .batch_bytes
            .checked_div(tally.transactions)
            .unwrap_or(0)
    )?;
    for (word, count) in &tally.by_type {
        writeln!(out, "  {word:<22}{count:>6}")?;
        if *word == "outcome" {
            for (how, count) in &tally.by_outcome {
                writeln!(out, "    {how:<20}{count:>6}")?;
            }
        }
    }
    for (currency, minor) in &tally.asked {
        writeln!(out, "  asked for {currency} {minor} (minor units)")?;
    }
    Ok(())
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

pub(super) fn object(shard: &ShardFolder, tally: &Tally) -> Value {
    let end = tally.end.map(|end| {
        let (SegmentEnd::Clean { offset } | SegmentEnd::Torn { offset, .. }) = end.how;
        json!({ "segment": end.segment, "offset": offset, "torn": tally.torn().is_some() })
    });
    json!({
        "generation": shard.generation,
        "state": format!("{:?}", shard.state).to_lowercase(),
        "shard": shard.shard.0,
        "checkpoint": shard.checkpoint,
        "segments": tally.segments,
        "file_bytes": tally.file_bytes,
        "batches": tally.batches,
        "anchors": tally.anchors,
        "batch_bytes": tally.batch_bytes,
        "padding_bytes": tally.padding(),
        "record_bytes": tally.record_bytes,
        "records": tally.records,
        "by_type": tally.by_type,
        "by_outcome": tally.by_outcome,
        "first_lsn": tally.first.map(|lsn| lsn.0),
        "last_lsn": tally.last.map(|lsn| lsn.0),
        "oldest": tally.oldest.map(|at| at.to_string()),
        "newest": tally.newest.map(|at| at.to_string()),
        "transactions": tally.transactions,
        "bytes_per_transaction": tally.batch_bytes.checked_div(tally.transactions),
        "asked_minor": asked(tally),
        "kept_torn_tails": tally.broken,
        "end": end,
    })
}

/// Sums beyond what a JSON number holds exactly stand at its largest.
fn asked(tally: &Tally) -> Value {
    let sums = tally.asked.iter();
    let sums = sums.map(|(currency, minor)| {
        let minor = u64::try_from(*minor).unwrap_or(u64::MAX);
        (currency.clone(), Value::from(minor))
    });
    Value::Object(sums.collect())
}
