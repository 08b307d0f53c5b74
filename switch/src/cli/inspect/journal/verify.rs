//! `njia inspect journal verify`.

use std::io::Write;

use persistence::reader::{Finding, Folder, ShardFolder, What};
use persistence::recovery::SegmentEnd;
use serde_json::{Value, json};

use super::super::super::CliError;
use super::super::lines::SCHEMA;
use super::findings::{advice, offset, tell, text};
use super::stat;
use super::tally::{Tally, counts, named};

/// Findings of one shard that a JSON object lists; the others are counted.
const LISTED_MAX: usize = 1_000;

pub(super) fn run(folder: &Folder, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if json {
        as_json(folder, out)
    } else {
        as_text(folder, out, &mut |_, _, _| Ok(()))
    }
}

/// The same with what `stat` prints, in one walk.
pub(super) fn with_stat(folder: &Folder, out: &mut dyn Write) -> Result<(), CliError> {
    as_text(folder, out, &mut |_, tally, out| stat::write(tally, out))
}

type After<'a> = dyn FnMut(&ShardFolder, &Tally, &mut dyn Write) -> Result<(), CliError> + 'a;

fn as_text(folder: &Folder, out: &mut dyn Write, after: &mut After<'_>) -> Result<(), CliError> {
    let mut findings = head(folder, out)?;
    let manifest = folder.manifest.as_ref().ok();
    for shard in &folder.shards {
        if !counts(shard) {
            writeln!(out, "{}: the next start removes it (J10)", named(shard))?;
            continue;
        }
        let tally = Tally::of(shard, manifest, &mut |finding| {
            writeln!(out, "{}\n  do: {}", tell(finding), advice(&finding.what))?;
            Ok(())
        })?;
        writeln!(out, "{}: {}", named(shard), verdict(&tally, folder.is_held))?;
        after(shard, &tally, out)?;
        findings += tally.findings;
    }
    ended(findings)
}

/// Which journal it is; returns how much is wrong with its manifest.
pub(super) fn head(folder: &Folder, out: &mut dyn Write) -> Result<u64, CliError> {
    let held = if folder.is_held {
        "; a switch holds it"
    } else {
        ""
    };
    match &folder.manifest {
        Ok(content) => {
            writeln!(
                out,
                "journal {} of node {}: generation {}, {} shards, start {}{held}",
                content.journal, content.node, content.generation, content.shards, content.start
            )?;
            Ok(0)
        }
        Err(error) => {
            writeln!(out, "{error}{held}\n  do: {}", advice_on_manifest())?;
            Ok(1)
        }
    }
}

const fn advice_on_manifest() -> &'static str {
    "bring back the manifest of this very folder; the segments can be exported without it"
}

fn verdict(tally: &Tally, is_held: bool) -> String {
    let state = if tally.findings == 0 {
        "good".to_owned()
    } else {
        format!("DAMAGED, {} findings", tally.findings)
    };
    let last = tally.last.map_or(0, |lsn| lsn.0);
    let mut text = format!(
        "{state}: {} segments, {} batches, {} records up to {last}",
        tally.segments, tally.batches, tally.records
    );
    if let Some(end) = tally.end {
        let (SegmentEnd::Clean { offset } | SegmentEnd::Torn { offset, .. }) = end.how;
        text += &format!("; ends at offset {offset} of segment {}", end.segment);
    }
    if tally.torn().is_some() {
        text += if is_held {
            ", where a batch is being written"
        } else {
            " with a torn tail, which the next start judges"
        };
    }
    if tally.broken > 0 {
        text += &format!("; {} copies of torn tails are kept", tally.broken);
    }
    text
}

pub(super) fn ended(findings: u64) -> Result<(), CliError> {
    match findings {
        0 => Ok(()),
        findings => Err(CliError::Damaged(findings)),
    }
}

fn as_json(folder: &Folder, out: &mut dyn Write) -> Result<(), CliError> {
    let manifest = folder.manifest.as_ref().ok();
    let mut findings = u64::from(manifest.is_none());
    let mut shards = Vec::new();
    for shard in folder.shards.iter().filter(|shard| counts(shard)) {
        let mut listed = Vec::new();
        let tally = Tally::of(shard, manifest, &mut |finding| {
            if listed.len() < LISTED_MAX {
                listed.push(object(finding));
            }
            Ok(())
        })?;
        findings += tally.findings;
        let mut shown = stat::object(shard, &tally);
        shown["good"] = json!(tally.findings == 0);
        shown["finding_count"] = json!(tally.findings);
        shown["findings"] = Value::Array(listed);
        shards.push(shown);
    }
    let told = json!({
        "schema": SCHEMA,
        "journal": manifest.map(|content| content.journal.to_string()),
        "node": manifest.map(|content| content.node.0),
        "generation": manifest.map(|content| content.generation),
        "manifest": folder.manifest.as_ref().err().map(ToString::to_string),
        "held": folder.is_held,
        "good": findings == 0,
        "shards": shards,
    });
    writeln!(out, "{told}")?;
    ended(findings)
}

fn object(finding: &Finding) -> Value {
    let missing = match &finding.what {
        What::Missing { first, last } => Some([first.0, last.0]),
        What::Refused(_) | What::Record { .. } | What::Unreadable { .. } => None,
    };
    json!({
        "label": finding.what.label().map(|label| label.to_string()),
        "file": finding.path.display().to_string(),
        "offset": offset(&finding.what),
        "missing": missing,
        "what": text(&finding.what),
        "do": advice(&finding.what),
    })
}
