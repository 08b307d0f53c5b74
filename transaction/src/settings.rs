//! What an engine is built with. All bounds are known here; nothing grows past them.

use core::num::NonZeroU32;
use core::time::Duration;

use domain::ResponseCode;
use domain::ids::{IssuerId, Lsn, NodeId, ShardId};
use domain::time::WallTime;

use crate::reconciliation::Parties;

/// Construction parameters of an [`crate::Engine`].
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// This machine.
    pub node: NodeId,
    /// This shard; at most 255.
    pub shard: ShardId,
    /// The node's start counter.
    pub start: u32,
    /// Entries in all: in flight, owing, and finished ones that are kept for repeats and reversals.
    /// [`Settings::ENTRY_BYTES_MAX`] each, allocated as they are first needed.
    pub transactions_max: usize,
    /// Transactions without a durable outcome, at most.
    pub inflight_max: usize,
    /// Reversals owed, at most. A tenth is kept back for the acquirers' own.
    pub saf_max: usize,
    /// Owed reversals and advices that ended as exceptions and are kept for an operator to put them
    /// back, at most; the oldest give way.
    pub exceptions_max: usize,
    /// How long an advice is kept at least, and how old it may be: not below the duplicate window.
    pub advice_window: Duration,
    /// Bytes for what owed advices say, at most.
    pub advice_bytes_max: usize,
    /// Bytes for the further fields of stored answers, beyond what those in flight may need.
    pub answer_bytes_max: usize,
    /// Lengths of route deadlines that differ, at most; further ones work, but slower.
    pub deadlines_max: usize,
    /// Issuers; their ids are below.
    pub issuers: usize,
    /// How long a finished transaction is kept at least.
    pub duplicate_window: Duration,
    /// What a request is told whose DE7 lies outside the window.
    pub outside_window: OutsideWindow,
    /// What the acquirer is told when the issuer was silent: 91 or 68.
    pub timeout_answer: ResponseCode,
    /// How long risk and route may take before the request is shed.
    pub decision_timeout: Duration,
    /// How owed reversals are sent.
    pub saf: SafPolicy,
    /// Which issuers have what they are owed for an account before a request of it.
    pub before_live: BeforeLive,
    /// Which issuers can be asked what became of a request.
    pub asked_later: IssuerSet,
    /// With whom totals are kept.
    pub parties: Parties,
    /// The position of the first record that this engine writes.
    pub next_lsn: Lsn,
    /// The wall time at [`domain::time::Instant::ZERO`].
    pub wall_at_zero: WallTime,
    /// Seeds the jitter and the hash of the index.
    pub seed: u64,
    /// When the table's chunks are allocated.
    pub chunks: Chunks,
}

/// How long the copies of an acquirer are known at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Those of requests, and how old a request may be.
    pub requests: Duration,
    /// Those of advices, and how old an advice may be: not below that of requests.
    pub advices: Duration,
}

impl Windows {
    /// How many different ones acquirers may have.
    pub const DIFFERENT_MAX: usize = 31;

    pub(crate) const NONE: Self = Self {
        requests: Duration::ZERO,
        advices: Duration::ZERO,
    };

    /// The same, with advices kept for as long as requests at least.
    pub(crate) fn ordered(self) -> Self {
        Self {
            advices: self.advices.max(self.requests),
            ..self
        }
    }
}

impl Settings {
    /// Of acquirers that say nothing.
    pub(crate) fn windows(&self) -> Windows {
        let windows = Windows {
            requests: self.duplicate_window,
            advices: self.advice_window,
        };
        windows.ordered()
    }

    /// What one entry of the table takes.
    pub const ENTRY_BYTES_MAX: usize = 432;

    //= docs/rules.md#R-08
    /// Room for what is owed without the tenth that the acquirers' reversals have (F31).
    pub(crate) const fn saf_free_of_reserve(&self) -> usize {
        self.saf_max.saturating_sub(self.saf_max / 10)
    }

    /// Of `transactions_max` entries, what a running engine fills. A recovery may take the rest: so
    /// it never has to forget what the engine before it still knew.
    #[must_use]
    pub const fn live_max(transactions_max: usize) -> usize {
        transactions_max.saturating_sub(transactions_max / 16)
    }
}

/// How owed reversals are sent.
#[derive(Clone, Copy, Debug)]
pub struct SafPolicy {
    /// How long the issuer may take to acknowledge.
    pub response_timeout: Duration,
    /// Pause after the first transmission without success; doubles.
    pub backoff_first: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// After this the entry goes to people.
    pub expiry: Duration,
    /// Owed reversals in flight to one issuer, at most.
    pub inflight_max: u32,
    /// How many leave in the first second after an issuer has come back; twice as many in each
    /// further one. `None`: as many as the window admits.
    pub rate_after_up: Option<NonZeroU32>,
}

/// Some issuers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IssuerSet(u64);

impl IssuerSet {
    /// How many issuers can be told apart, by the ids from 0.
    pub const ISSUERS_MAX: usize = 64;

    /// No issuer.
    pub const NOBODY: Self = Self(0);

    /// The same with one more, whose id is below [`Self::ISSUERS_MAX`].
    #[must_use]
    pub fn with(self, issuer: IssuerId) -> Self {
        Self(self.0 | 1_u64.checked_shl(issuer.0.into()).unwrap_or(0))
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, issuer: IssuerId) -> bool {
        issuer.0 < 64 && (self.0 >> issuer.0) & 1 == 1
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Which issuers have what they are owed for an account before a request of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeforeLive {
    issuers: IssuerSet,
    /// Requests held back at once, at most; never more than half of those in flight.
    pub held_back_max: usize,
}

impl BeforeLive {
    /// No issuer.
    pub const NOBODY: Self = Self::new(0);

    /// No issuer so far, and so many requests held back at most.
    #[must_use]
    pub const fn new(held_back_max: usize) -> Self {
        Self {
            issuers: IssuerSet::NOBODY,
            held_back_max,
        }
    }

    /// The same with one more, whose id is below [`IssuerSet::ISSUERS_MAX`].
    #[must_use]
    pub fn with(mut self, issuer: IssuerId) -> Self {
        self.issuers = self.issuers.with(issuer);
        self
    }

    /// Whether this one has.
    #[must_use]
    pub const fn has(&self, issuer: IssuerId) -> bool {
        self.issuers.has(issuer)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }
}

/// What happens to a request whose DE7 lies outside the duplicate window (F63).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideWindow {
    /// 94: it may be a copy of one that is no longer remembered.
    Refuse,
    /// It is processed: for sessions whose clock cannot be trusted; they need a longer window.
    Admit,
}

/// When the table's chunks are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// As they are first needed.
    Lazy,
    /// All at construction.
    Preallocated,
}
