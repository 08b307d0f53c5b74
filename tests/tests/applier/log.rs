//! A journal in memory: what a shard would have on disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use domain::ids::{Lsn, ShardId};
use domain::record::Record;
use persistence::applier::{Origin, Phase, RecordSource, ShardJournal, SourceError};
use persistence::identity::JournalUuid;
use persistence::reader::Entry;
use persistence::record;

/// Encoded records, of which the first `durable` may be read.
#[derive(Debug, Clone)]
pub struct Log {
    pub journal: JournalUuid,
    pub shard: ShardId,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: Mutex<Vec<Vec<u8>>>,
    durable: AtomicU64,
    first: AtomicU64,
    /// Reads that fail before one succeeds.
    unreadable: AtomicU64,
}

impl Log {
    pub fn new(name: u8) -> Self {
        let inner = Inner::default();
        inner.first.store(1, Ordering::Release);
        Self {
            journal: JournalUuid([name; 16]),
            shard: ShardId(0),
            inner: Arc::new(inner),
        }
    }

    pub fn of_shard(self, shard: u16) -> Self {
        Self {
            shard: ShardId(shard),
            ..self
        }
    }

    /// Appends records and publishes them as durable.
    pub fn append(&self, records: Vec<Vec<u8>>) {
        let mut all = self.inner.records.lock().unwrap();
        all.extend(records);
        let durable = all.len() as u64;
        self.inner.durable.store(durable, Ordering::Release);
    }

    /// Lets the next reads fail.
    pub fn fail_reads(&self, count: u64) {
        self.inner.unreadable.store(count, Ordering::Release);
    }

    /// Reads that will fail.
    pub fn unreadable(&self) -> u64 {
        self.inner.unreadable.load(Ordering::Acquire)
    }

    /// Says that older records were retired.
    pub fn retire_before(&self, first: Lsn) {
        self.inner.first.store(first.0, Ordering::Release);
    }

    pub fn durable(&self) -> Lsn {
        Lsn(self.inner.durable.load(Ordering::Acquire))
    }

    /// Shows every record.
    pub fn each(&self, mut visit: impl FnMut(Lsn, &Record<'_>)) {
        let all = self.inner.records.lock().unwrap();
        for bytes in all.iter() {
            let decoded = record::decode(bytes).unwrap();
            visit(decoded.lsn, &decoded.record);
        }
    }

    /// As the applier is given it.
    pub fn journal(&self) -> ShardJournal {
        self.journal_of(Origin::Recovered, Phase::Live)
    }

    pub fn journal_of(&self, origin: Origin, phase: Phase) -> ShardJournal {
        ShardJournal {
            journal: self.journal,
            shard: self.shard,
            origin,
            phase,
            source: Box::new(self.clone()),
        }
    }
}

impl RecordSource for Log {
    fn durable(&self) -> Lsn {
        Log::durable(self)
    }

    fn first_retained(&self) -> Lsn {
        Lsn(self.inner.first.load(Ordering::Acquire))
    }

    fn read(
        &mut self,
        after: Lsn,
        up_to: Lsn,
        max: usize,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), SourceError> {
        if self.unreadable() > 0 {
            self.inner.unreadable.fetch_sub(1, Ordering::AcqRel);
            return Err("00000001.seg at 4096: too many open files".into());
        }
        let all = self.inner.records.lock().unwrap();
        let from = usize::try_from(after.0)?;
        let to = usize::try_from(up_to.0)?.min(from.saturating_add(max));
        for bytes in &all[from..to] {
            let decoded = record::decode(bytes)?;
            visit(&Entry {
                lsn: decoded.lsn,
                record: decoded.record,
                carriage: decoded.carriage,
                bytes,
            });
        }
        Ok(())
    }
}
