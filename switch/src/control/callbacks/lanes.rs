//! The journals on their way to the gateways: each gateway has a watermark of its own, so that one
//! whose receiver is away holds up itself alone. What is read together is read once.

use domain::ids::{Lsn, ShardId};
use persistence::applier::{Phase, RecordSource, ShardJournal, SourceError};
use persistence::identity::JournalUuid;
use persistence::reader::Entry;

/// One shard of one journal.
pub(super) struct Lane {
    pub(super) journal: JournalUuid,
    pub(super) shard: ShardId,
    phase: Phase,
    source: Box<dyn RecordSource>,
    /// By gateway: the last record that it has had.
    read: Vec<Lsn>,
}

/// All of them, those of older generations first.
#[derive(Debug)]
pub(super) struct Lanes(Vec<Lane>);

/// What is read next: the records `(after, up_to]` of a lane, for some of the gateways.
struct Piece {
    lane: usize,
    after: Lsn,
    up_to: Lsn,
    gateways: Vec<usize>,
}

impl Lane {
    fn lag(&self, gateway: usize) -> u64 {
        self.source.durable().0.saturating_sub(self.read(gateway).0)
    }

    pub(super) fn read(&self, gateway: usize) -> Lsn {
        self.read.get(gateway).copied().unwrap_or(Lsn::ZERO)
    }
}

impl Lanes {
    /// Each where `known` says, or with the first record that is left.
    ///
    /// # Errors
    /// A journal ends before what was read of it.
    pub(super) fn new(
        journals: Vec<ShardJournal>,
        gateways: usize,
        known: impl Fn(JournalUuid, ShardId, usize) -> Option<Lsn>,
    ) -> Result<Self, String> {
        let mut lanes = Vec::new();
        for journal in journals {
            let (uuid, shard) = (journal.journal, journal.shard);
            let first = Lsn(journal.source.first_retained().0.saturating_sub(1));
            let begin = |gateway| known(uuid, shard, gateway).unwrap_or(first);
            let read: Vec<Lsn> = (0..gateways).map(begin).collect();
            let durable = journal.source.durable();
            if let Some(ahead) = read.iter().find(|lsn| **lsn > durable) {
                return Err(format!(
                    "shard {shard} of journal {uuid} ends at {durable}, but was read up to \
                     {ahead}: the journal is an older copy; remove callbacks.state if receivers \
                     may be told twice"
                ));
            }
            lanes.push(Lane {
                journal: uuid,
                shard,
                phase: journal.phase,
                source: journal.source,
                read,
            });
        }
        Ok(Self(lanes))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.0.iter()
    }

    /// Shows a piece to the gateways that lack it and have room, as `has_room` says. Whether there
    /// was one.
    pub(super) fn read(
        &mut self,
        has_room: impl Fn(usize) -> bool,
        mut visit: impl FnMut(usize, &Entry<'_>),
    ) -> Result<bool, SourceError> {
        let Some(piece) = self.next_piece(has_room) else {
            return Ok(false);
        };
        let Some(lane) = self.0.get_mut(piece.lane) else {
            return Ok(false);
        };
        let mut last = piece.after;
        lane.source
            .read(piece.after, piece.up_to, READ_MAX, &mut |entry| {
                for gateway in &piece.gateways {
                    visit(*gateway, entry);
                }
                last = entry.lsn;
            })?;
        for gateway in piece.gateways {
            if let Some(read) = lane.read.get_mut(gateway) {
                *read = last;
            }
        }
        Ok(last > piece.after)
    }

    fn next_piece(&self, has_room: impl Fn(usize) -> bool) -> Option<Piece> {
        let gateways = self.0.first()?.read.len();
        let having_room: Vec<usize> = (0..gateways).filter(|gateway| has_room(*gateway)).collect();
        let mut pieces = (0..self.0.len()).filter_map(|lane| self.piece(lane, &having_room));
        pieces.next()
    }

    /// What lies furthest back of a lane.
    fn piece(&self, at: usize, gateways: &[usize]) -> Option<Piece> {
        let lane = self.0.get(at)?;
        let ready = gateways.iter().copied();
        let ready = ready.filter(|gateway| lane.lag(*gateway) > 0 && !self.is_early(at, *gateway));
        let ready: Vec<usize> = ready.collect();
        let after = ready.iter().map(|gateway| lane.read(*gateway)).min()?;
        let (now, later): (Vec<usize>, Vec<usize>) = ready
            .into_iter()
            .partition(|gateway| lane.read(*gateway) == after);
        let later = later.into_iter().map(|gateway| lane.read(gateway)).min();
        let durable = lane.source.durable();
        let up_to = later.map_or(durable, |lsn| lsn.min(durable));
        Some(Piece {
            lane: at,
            after,
            up_to,
            gateways: now,
        })
    }

    /// Whether an older generation comes first: what happened there came before.
    fn is_early(&self, at: usize, gateway: usize) -> bool {
        let journal = self.0.get(at).map(|lane| lane.journal);
        let draining = self
            .0
            .iter()
            .find(|lane| lane.phase == Phase::Draining && lane.lag(gateway) > 0);
        draining.is_some_and(|older| Some(older.journal) != journal)
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
            .field("journal", &self.journal)
            .field("shard", &self.shard)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

/// Records of one lane that are read before others get their turn.
pub(super) const READ_MAX: usize = 500;
