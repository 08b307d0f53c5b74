//! A connection to an issuer: its STANs, and what waits for an answer on it.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::Stan;
use domain::time::Instant;
use transaction::matching::{Match, PendingLimits, PendingTable, StanAllocator, StanRange};
use transaction::{Handle, OwedId};

use super::Driver;
use super::words::{LegB, Said};

/// One connection to an issuer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) up: bool,
    pub(super) stans: StanAllocator,
    pub(super) pending: PendingTable<Waits>,
    /// What the null control keeps instead.
    by_stan: BTreeMap<(u8, Stan), Waits>,
}

/// What waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    Request(Handle),
    Reversal(OwedId),
}

impl Link {
    pub(super) fn new(up: bool, seed: u64) -> Self {
        let range = StanRange {
            base: 1,
            size: SHARE,
            shards: 1,
            shard: 0,
        };
        let limits = PendingLimits {
            inflight_max: 300,
            late_max: 300,
            answered_max: 300,
            window: LATE_WINDOW,
        };
        Self {
            up,
            stans: StanAllocator::new(&range, LATE_WINDOW, 1_000, seed),
            pending: PendingTable::new(limits, seed),
            by_stan: BTreeMap::new(),
        }
    }

    /// Notes what is about to go out. `false` when its key is taken.
    pub(super) fn note(&mut self, message: &LegB, waits: Waits, now: u64) -> bool {
        let expected = message.expected;
        self.by_stan
            .insert((expected.kind as u8, expected.stan), waits);
        let now = Instant::from_nanos(now);
        if let Waits::Reversal(next) = waits {
            let same = |earlier: &Waits| match earlier {
                Waits::Reversal(earlier) => earlier.handle == next.handle,
                Waits::Request(_) => false,
            };
            self.pending.supersede(expected, same);
        }
        self.pending
            .insert(expected, message.echo, waits, now)
            .is_ok()
    }

    pub(super) fn match_answer(
        &mut self,
        driver: Driver,
        said: &Said,
        now: Instant,
    ) -> Option<Waits> {
        if driver == Driver::MatchesOnStanAlone {
            let key = (said.expected.kind as u8, said.expected.stan);
            return self.by_stan.get(&key).copied();
        }
        match self.pending.resolve(said.expected, &said.echo, now) {
            Match::Matched(waits)
            | Match::Late { owner: waits, .. }
            | Match::AlreadyAnswered { owner: waits, .. } => Some(waits),
            Match::Differs(_) | Match::Unknown => None,
        }
    }
}

pub(super) const SHARE: u32 = 2_000;
const LATE_WINDOW: Duration = Duration::from_secs(600);
