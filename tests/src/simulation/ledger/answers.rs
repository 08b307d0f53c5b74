//! L1: who asks about money is answered, or told that a newer copy is answered in its place, by a
//! deadline.

use std::collections::BTreeMap;

use super::Broken;
use crate::simulation::words::{Ask, MS};

/// What waits for an answer, in one life of the node.
#[derive(Debug, Default)]
pub(in crate::simulation) struct AnswerBook {
    next: u32,
    within_ns: u64,
    due: BTreeMap<u32, Due>,
    /// By shard: its disk kept it.
    disks: BTreeMap<u16, Still>,
    /// The process stood still.
    process: Still,
}

#[derive(Debug)]
struct Due {
    ask: Ask,
    owner: u16,
    since: u64,
    /// How long its owner had been kept by then.
    still: u64,
}

/// For how long something has stood still, in ns.
#[derive(Clone, Copy, Debug, Default)]
struct Still {
    sum: u64,
    until: u64,
}

impl Still {
    /// It does so for a while from now on; what overlaps counts once.
    fn begins(&mut self, now: u64, for_ns: u64) {
        let (from, end) = (self.until.max(now), now + for_ns);
        self.sum += end.saturating_sub(from);
        self.until = end.max(self.until);
    }

    fn so_far(&self, now: u64) -> u64 {
        self.sum - self.until.saturating_sub(now)
    }
}

impl AnswerBook {
    /// All decisions of a request share 500 ms; each of two candidates has its route's deadline.
    /// The rest is for flushes in health and for what shards tell each other.
    pub(in crate::simulation) fn of(deadline_ms: u64) -> Self {
        Self {
            within_ns: (500 + 2 * deadline_ms + 500) * MS,
            ..Self::default()
        }
    }

    /// A message is taken. The number that it has from here on is to end once.
    pub(in crate::simulation) fn taken(&mut self, ask: Ask, owner: u16, now: u64) -> u32 {
        let serial = self.next;
        self.next += 1;
        let still = self.still(owner, now);
        let due = Due {
            ask,
            owner,
            since: now,
            still,
        };
        self.due.insert(serial, due);
        serial
    }

    /// Another shard has what it is about.
    pub(in crate::simulation) fn moved(&mut self, serial: u32, owner: u16, now: u64) {
        let still = self.still(owner, now);
        let before = self.due.get(&serial).map(|due| self.still(due.owner, now));
        if let (Some(due), Some(before)) = (self.due.get_mut(&serial), before) {
            let kept = before - due.still;
            (due.owner, due.still) = (owner, still.saturating_sub(kept));
        }
    }

    /// It is answered, or a newer copy is answered in its place.
    pub(in crate::simulation) fn ended(&mut self, serial: u32) -> Result<(), Broken> {
        match self.due.remove(&serial) {
            Some(_) => Ok(()),
            None => Err(("L1", format!("message {serial} ends a second time"))),
        }
    }

    /// An operation of a shard's disk takes longer than any does in health.
    pub(in crate::simulation) fn disk_keeps(&mut self, shard: u16, now: u64, for_ns: u64) {
        if for_ns > HEALTHY_NS {
            self.disks.entry(shard).or_default().begins(now, for_ns);
        }
    }

    pub(in crate::simulation) fn process_stops(&mut self, now: u64, for_ns: u64) {
        self.process.begins(now, for_ns);
    }

    /// The process ends, and every session with it.
    pub(in crate::simulation) fn close(&mut self) {
        self.due.clear();
        self.disks.clear();
    }

    /// At every step: nobody waits beyond what is allowed.
    pub(in crate::simulation) fn check(&self, now: u64) -> Result<(), Broken> {
        let late = self.due.values().find(|due| {
            let still = self.still(due.owner, now).saturating_sub(due.still);
            now - due.since > self.within_ns + still
        });
        match late {
            None => Ok(()),
            Some(late) => {
                let (ask, since) = (late.ask, late.since / MS);
                Err(("L1", format!("since {since} ms nobody answers {ask:?}")))
            }
        }
    }

    fn still(&self, owner: u16, now: u64) -> u64 {
        let disk = self.disks.get(&owner).copied().unwrap_or_default();
        disk.so_far(now) + self.process.so_far(now)
    }
}

/// A flush and the making of a segment take no longer in health.
const HEALTHY_NS: u64 = 3 * MS;
