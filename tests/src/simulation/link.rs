//! A connection to an issuer: its STANs, and what waits for an answer on it.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::{IssuerId, LinkId, Stan};
use domain::time::Instant;
use transaction::matching::{Match, PendingLimits, PendingTable, StanAllocator, StanRange};

use super::Driver;
use super::switch::ISSUERS;
use super::words::{LegB, OutboundId, Said};

/// What one shard knows of a link.
#[derive(Debug)]
pub(super) struct LinkPlace {
    pub(super) issuer: IssuerId,
    /// The shard that holds the connection.
    pub(super) home: u16,
    pub(super) up: bool,
    /// This shard's part of the link's numbers.
    pub(super) stans: StanAllocator,
    share: u32,
    /// Numbers that legs of other shards hold.
    strange: u32,
}

/// One connection to an issuer, at its home.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) up: bool,
    pub(super) pending: PendingTable<OutboundId>,
    /// What the null control keeps instead.
    by_stan: BTreeMap<(u8, Stan), OutboundId>,
    /// What has been sent and not answered, for the null control that sends it again elsewhere.
    pub(super) sent: Vec<(OutboundId, LegB, Vec<u8>)>,
}

impl LinkPlace {
    pub(super) fn new(link: LinkId, shards: u16, shard: u16, seed: u64) -> Self {
        let range = range_of(link, shards, shard);
        Self {
            issuer: IssuerId(link.0 % ISSUERS),
            home: link.0 % shards,
            up: false,
            stans: StanAllocator::new(&range, LATE_WINDOW, 1_000, seed),
            share: range.share(),
            strange: 0,
        }
    }

    /// Claims a number that a leg of another shard holds: it is free after the next start.
    pub(super) fn claim_strange(&mut self, stan: Stan) {
        self.strange += u32::from(self.stans.claim(stan));
    }

    /// Numbers that are out, and not at rest.
    pub(super) fn busy(&self) -> i64 {
        let used = i64::from(self.share) - i64::from(self.stans.free());
        used - self.stans.late() as i64 - i64::from(self.strange)
    }
}

impl Link {
    pub(super) fn new(up: bool, seed: u64) -> Self {
        let limits = PendingLimits {
            inflight_max: PENDING_MAX,
            late_max: PENDING_MAX,
            answered_max: PENDING_MAX,
            window: LATE_WINDOW,
        };
        Self {
            up,
            pending: PendingTable::new(limits, seed),
            by_stan: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    /// Notes what is about to go out. `false` when its key is taken.
    pub(super) fn note(&mut self, message: &LegB, id: OutboundId, now: u64) -> bool {
        let expected = message.expected;
        self.by_stan
            .insert((expected.kind as u8, expected.stan), id);
        let now = Instant::from_nanos(now);
        if id.purpose.is_repeated() {
            self.pending
                .supersede(expected, |earlier| id.is_reversal_beside(earlier));
        }
        self.pending.insert(expected, message.echo, id, now).is_ok()
    }

    pub(super) fn match_answer(
        &mut self,
        driver: Driver,
        said: &Said,
        now: Instant,
    ) -> Option<OutboundId> {
        if driver == Driver::MatchesOnStanAlone {
            let key = (said.expected.kind as u8, said.expected.stan);
            return self.by_stan.get(&key).copied();
        }
        match self.pending.resolve(said.expected, &said.echo, now) {
            Match::Matched(id)
            | Match::Late { owner: id, .. }
            | Match::AlreadyAnswered { owner: id, .. } => Some(id),
            Match::Differs(_) | Match::Unknown => None,
        }
    }
}

/// A shard's part of a link's numbers.
pub(super) fn range_of(link: LinkId, shards: u16, shard: u16) -> StanRange {
    StanRange {
        base: 1 + u32::from(link.0) * SIZE,
        size: SIZE,
        shards,
        shard,
    }
}

/// Whose number it is.
pub(super) fn link_of(stan: Stan) -> LinkId {
    LinkId(((stan.number() - 1) / SIZE) as u16)
}

/// Numbers of a link.
const SIZE: u32 = 6_000;
pub(super) const PENDING_MAX: usize = 300;
const LATE_WINDOW: Duration = Duration::from_secs(600);
