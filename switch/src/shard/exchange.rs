//! The past of accounts on its way to their homes: a start finds it in the journal of the shard
//! that owned the transaction, and the home of the account counts it. With it travels the latest
//! place of what each shard owes, so that all know the latest of all.
//!
//! ```text
//!  reading ── batch full ──► home's queue ──► counted there
//!     │ end of the journal
//!  closing ── rest sent, senders dropped; takes what comes
//!     │ all peers have dropped theirs
//!   ended
//! ```
//! Memory is bounded: per home one batch that fills, per shard one queue. Whoever finds a queue
//! full takes what has come for itself until there is room, so that two shards never wait for each
//! other. A shard that does not start drops its ends: what is sent to it is dropped too, because
//! then the node does not start.

use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use domain::ids::ShardId;
use domain::request::{Facts, IssuerLeg};
use domain::time::{Instant, WallTime};
use risk_inline::{Past, RiskEngine};

use super::routing::account_home;
use super::standing_in::{RuleId, StandInState};
use crate::config::Config;

/// What the home of an account counts.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) risk: RiskEngine,
    pub(super) stand_in: StandInState,
    /// The latest place of what any shard owes.
    pub(super) placed: WallTime,
}

/// One shard's side of the exchange, while its journal is read and until all others are.
#[derive(Debug)]
pub(super) struct Exchange {
    shards: u16,
    counters: Counters,
    /// By home, what is still to be sent; what stays here too.
    filling: Vec<Batch>,
    ends: ExchangeEnds,
}

/// The ends that one shard takes into its executor.
#[derive(Debug)]
pub(crate) struct ExchangeEnds {
    /// By shard; none to itself.
    senders: Vec<Option<Sender<Batch>>>,
    receiver: Receiver<Batch>,
}

/// What is counted together.
#[derive(Debug, Default)]
struct Batch {
    risk: Vec<Past>,
    stand_in: Vec<(RuleId, Past)>,
    placed: WallTime,
}

/// A bounded queue for each shard, and the way of all others to it.
pub(crate) fn build(shards: u16) -> Vec<ExchangeEnds> {
    let queues: Vec<_> = (0..shards).map(|_| bounded(BATCHES_MAX)).collect();
    let to_others = |shard: usize| {
        let senders = queues.iter().enumerate();
        let senders = senders.map(|(to, (sender, _))| (to != shard).then(|| sender.clone()));
        senders.collect()
    };
    let ends = queues
        .iter()
        .enumerate()
        .map(|(shard, (_, receiver))| ExchangeEnds {
            senders: to_others(shard),
            receiver: receiver.clone(),
        });
    ends.collect()
}

impl Exchange {
    pub(super) fn new(ends: ExchangeEnds, counters: Counters) -> Self {
        let shards = u16::try_from(ends.senders.len()).unwrap_or(u16::MAX);
        Self {
            shards,
            counters,
            filling: ends.senders.iter().map(|_| Batch::default()).collect(),
            ends,
        }
    }

    /// A request that risk accepted `age` before `now`.
    pub(super) fn note_accepted(&mut self, facts: &Facts, age: Duration, now: Instant) {
        let Some(past) = self.counters.risk.past(facts, age, now) else {
            return;
        };
        let home = account_home(facts, self.shards);
        if let Some(batch) = self.filling.get_mut(usize::from(home.0)) {
            batch.risk.push(past);
            self.send_if_full(home);
        }
    }

    /// A request that was approved in place of an issuer, `age` before `now`.
    pub(super) fn note_stood_in(
        &mut self,
        config: &Config,
        (facts, leg): (&Facts, &IssuerLeg),
        age: Duration,
        now: Instant,
    ) {
        let home = account_home(facts, self.shards);
        let found = self.counters.stand_in.past(config, (facts, leg), age, now);
        if let Some(batch) = self.filling.get_mut(usize::from(home.0)) {
            batch.stand_in.extend(found);
            self.send_if_full(home);
        }
    }

    //= docs/rules.md#V-12
    /// What this shard owes has its latest place then.
    pub(super) fn note_placed(&mut self, placed: WallTime) {
        for batch in &mut self.filling {
            batch.placed = batch.placed.max(placed);
        }
    }

    /// The journal has been read. Returns when all others have been too, with everything counted
    /// that any of them holds of the accounts at home here.
    pub(super) async fn end(mut self) -> Counters {
        self.close();
        while self.take() == Incoming::Open {
            glommio::timer::sleep(CLOSING_WAIT).await;
        }
        self.counters
    }

    fn close(&mut self) {
        for home in (0..self.shards).map(ShardId) {
            self.send(home);
        }
        self.ends.senders.clear();
    }

    /// Counts what has come.
    fn take(&mut self) -> Incoming {
        loop {
            match self.ends.receiver.try_recv() {
                Ok(batch) => self.counters.count(&batch),
                Err(TryRecvError::Empty) => return Incoming::Open,
                Err(TryRecvError::Disconnected) => return Incoming::Ended,
            }
        }
    }

    fn send_if_full(&mut self, home: ShardId) {
        let batch = self.filling.get(usize::from(home.0));
        if batch.is_some_and(|batch| batch.len() >= BATCH_LEN) {
            self.send(home);
        }
    }

    fn send(&mut self, home: ShardId) {
        let home = usize::from(home.0);
        let Some(batch) = self.filling.get_mut(home) else {
            return;
        };
        let Some(sender) = self.ends.senders.get(home).and_then(Option::as_ref) else {
            self.counters.count(batch);
            batch.clear();
            return;
        };
        let mut batch = std::mem::replace(batch, Batch::with_room());
        loop {
            match sender.try_send(batch) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => break,
                Err(TrySendError::Full(unsent)) => batch = unsent,
            }
            // The reading of the journal stands still with the executor: nothing else has to go on.
            match self.ends.receiver.try_recv() {
                Ok(arrived) => self.counters.count(&arrived),
                Err(_) => thread::park_timeout(FULL_WAIT),
            }
        }
        // What has come does not wait for the end.
        self.take();
    }
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incoming {
    Open,
    /// All others have sent what they had.
    Ended,
}

impl Counters {
    fn count(&mut self, batch: &Batch) {
        self.risk.observe_all(&batch.risk);
        for (rule, past) in &batch.stand_in {
            self.stand_in.observe(*rule, past);
        }
        self.placed = self.placed.max(batch.placed);
    }
}

impl Batch {
    fn with_room() -> Self {
        Self {
            risk: Vec::with_capacity(BATCH_LEN),
            stand_in: Vec::new(),
            placed: WallTime::default(),
        }
    }

    fn len(&self) -> usize {
        self.risk.len().saturating_add(self.stand_in.len())
    }

    fn clear(&mut self) {
        self.risk.clear();
        self.stand_in.clear();
    }
}

/// As many as risk counts together; 10 KiB.
const BATCH_LEN: usize = 256;
/// Batches in a shard's queue: a peer may read on for so long while this one is between two
/// segments.
const BATCHES_MAX: usize = 64;
/// Between two attempts to send to a shard that is behind.
const FULL_WAIT: Duration = Duration::from_micros(50);
/// Between two looks for what still comes.
const CLOSING_WAIT: Duration = Duration::from_millis(1);

#[cfg(test)]
pub(super) mod tests;
