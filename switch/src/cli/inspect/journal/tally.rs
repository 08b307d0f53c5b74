//! Everything that one walk through the files of a shard adds up to.

use std::collections::BTreeMap;
use std::fs;

use domain::ids::{Lsn, TransactionId};
use domain::record::{OutcomeKind, Record};
use domain::time::WallTime;
use persistence::batch::{BATCH_HEADER_LEN, BatchHeader, BatchKind};
use persistence::error::JournalError;
use persistence::layout;
use persistence::manifest::Content;
use persistence::reader::{Belongs, End, Event, Finding, Generation, Met, Scan, ShardFolder, What};
use persistence::record::RecordType;
use persistence::recovery::{Refusal, SegmentEnd};

use super::super::super::CliError;
use super::super::fields;

/// The sums of one shard.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) segments: u64,
    /// Of the files.
    pub(super) file_bytes: u64,
    pub(super) batches: u64,
    pub(super) anchors: u64,
    /// Of batches, padding included.
    pub(super) batch_bytes: u64,
    /// Of records, their headers included.
    pub(super) record_bytes: u64,
    pub(super) records: u64,
    pub(super) by_type: BTreeMap<&'static str, u64>,
    pub(super) by_outcome: BTreeMap<&'static str, u64>,
    pub(super) first: Option<Lsn>,
    pub(super) last: Option<Lsn>,
    pub(super) oldest: Option<WallTime>,
    pub(super) newest: Option<WallTime>,
    pub(super) transactions: u64,
    /// Minor units asked for, by currency: transactions with an intent, refusals, advices.
    pub(super) asked: BTreeMap<String, u128>,
    pub(super) findings: u64,
    pub(super) end: Option<End>,
    /// Copies of torn tails that starts have cut off.
    pub(super) broken: u64,
    /// Whose request was not sent, in the record before: its next intent follows at once.
    not_sent: Option<TransactionId>,
}

impl Tally {
    /// Walks through all files of `shard`; `on_finding` is told what is wrong as it is met.
    pub(super) fn of(
        shard: &ShardFolder,
        manifest: Option<&Content>,
        on_finding: &mut dyn FnMut(&Finding) -> Result<(), CliError>,
    ) -> Result<Self, CliError> {
        let mut tally = Self::default();
        tally.look_at_names(shard);
        let mut scan = Scan::open(&shard.dir, shard.belongs, Lsn(1))?;
        let end = loop {
            match scan.advance()? {
                Event::Segment(header) => {
                    tally.segments += 1;
                    tally.file_bytes += header.segment_bytes;
                }
                Event::Batch(header) => tally.batch(&header),
                Event::Record(met) => tally.record(&met),
                Event::Finding(finding) => {
                    tally.findings += 1;
                    on_finding(&finding)?;
                }
                Event::End(end) => break end,
            }
        };
        tally.end = Some(end);
        let whole = uncovered(shard, tally.records);
        for finding in lost(shard, manifest, end).into_iter().chain(whole) {
            tally.findings += 1;
            on_finding(&finding)?;
        }
        Ok(tally)
    }

    /// Bytes of batches that are no header and no record.
    pub(super) const fn padding(&self) -> u64 {
        let headers = self.batches.saturating_mul(BATCH_HEADER_LEN as u64);
        self.batch_bytes
            .saturating_sub(self.record_bytes)
            .saturating_sub(headers)
    }

    /// Where something lies behind the last good batch that is no batch, or none yet, and where
    /// that ends.
    pub(super) const fn torn(&self) -> Option<(u64, u64)> {
        match self.end {
            Some(End {
                how: SegmentEnd::Torn { offset, end },
                ..
            }) => Some((offset, end)),
            _ => None,
        }
    }

    fn look_at_names(&mut self, shard: &ShardFolder) {
        let Ok(entries) = fs::read_dir(&shard.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let kept = name.to_str().map(layout::classify);
            self.broken += u64::from(kept == Some(layout::Entry::Broken));
        }
    }

    fn batch(&mut self, header: &BatchHeader) {
        self.batches += 1;
        self.anchors += u64::from(header.kind == BatchKind::Anchor);
        self.batch_bytes += header.extent();
        let header_len = BATCH_HEADER_LEN as u64;
        self.record_bytes += u64::from(header.len).saturating_sub(header_len);
    }

    fn record(&mut self, met: &Met<'_>) {
        let at = fields::at(&met.record);
        self.records += 1;
        self.first.get_or_insert(met.lsn);
        self.last = Some(met.lsn);
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.newest = self.newest.max(Some(at));
        let word = RecordType::of(&met.record).word();
        *self.by_type.entry(word).or_default() += 1;
        let is_first = self.not_sent.take() != Some(met.record.transaction());
        if let Record::Outcome(outcome) = &met.record {
            let how = persistence::applier::words::outcome(outcome.kind);
            *self.by_outcome.entry(how).or_default() += 1;
            let is_not_sent = outcome.kind == OutcomeKind::NotSent;
            self.not_sent = is_not_sent.then_some(outcome.transaction);
        }
        if let Some(facts) = fields::facts(&met.record)
            && is_first
        {
            self.transactions += 1;
            let currency = facts.amount.currency().to_string();
            *self.asked.entry(currency).or_default() += u128::from(facts.amount.minor());
        }
    }
}

/// J09 and J21, as far as checkpoints tell. One that was replaced meanwhile is not missed.
fn uncovered(shard: &ShardFolder, records: u64) -> Option<Finding> {
    let judged = shard.judge_whole(records);
    match judged.err()? {
        JournalError::Refused { path, refusal } if shard.dir.exists() => Some(Finding {
            path,
            what: What::Refused(refusal),
        }),
        _ => None,
    }
}

/// J09, as far as the manifest tells: the newest segment is older than the one that the last start
/// went on in.
fn lost(shard: &ShardFolder, manifest: Option<&Content>, end: End) -> Option<Finding> {
    let expected = match shard.state {
        _ if shard.checkpoint.is_some() => 0,
        Generation::Current => manifest.map_or(0, |content| content.segment_known(shard.shard)),
        Generation::Sealed | Generation::Unfinished | Generation::Unknown => 0,
    };
    let found = end.segment;
    (found < expected).then(|| Finding {
        path: shard.dir.clone(),
        what: What::Refused(Refusal::Lost { expected, found }),
    })
}

/// Whether the files of `shard` count: those of a change of the shard count that has not come to
/// its end were never acknowledged.
pub(in super::super) fn counts(shard: &ShardFolder) -> bool {
    shard.state != Generation::Unfinished
}

/// `generation/shard`, with what is to be known of the generation.
pub(super) fn named(shard: &ShardFolder) -> String {
    let state = match shard.state {
        Generation::Current => "",
        Generation::Sealed => " (sealed)",
        Generation::Unfinished => " (unfinished)",
        Generation::Unknown => " (no manifest)",
    };
    let covers = shard
        .checkpoint
        .map(|segment| format!(" checkpoint before segment {segment}"));
    let covers = covers.unwrap_or_default();
    format!("shard {}/{}{covers}{state}", shard.generation, shard.shard)
}

/// The journal whose files these are, as far as it is known before they are read.
pub(in super::super) const fn journal_of(
    belongs: Belongs,
) -> Option<persistence::identity::JournalUuid> {
    match belongs {
        Belongs::To(identity) => Some(identity.journal),
        Belongs::Folder { .. } => None,
    }
}

/// The journal of a record in `shard`, whose file names `found`: those of a checkpoint name none.
pub(in super::super) const fn journal_in(
    shard: &ShardFolder,
    found: persistence::identity::JournalUuid,
) -> persistence::identity::JournalUuid {
    match shard.checkpoint {
        Some(segment) => persistence::checkpoint::journal_apart(found, segment),
        None => found,
    }
}
