//! Gateways' handlers that wait until something becomes of a transaction. Bounded twice, and nobody
//! is kept for longer than its gateway waits: who has gone takes no place from who comes.

use ahash::AHashMap;
use domain::ids::AcquirerId;
use domain::time::Instant;
use transaction::Handle;

use super::gateways::IsCopy;
use crate::acquirer::SessionRef;

/// One that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) to: SessionRef,
    /// Of the gateway that asks.
    pub(crate) acquirer: AcquirerId,
    pub(crate) is_copy: IsCopy,
    pub(crate) wants: Wanted,
    /// When its gateway waits no longer.
    pub(crate) until: Instant,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// That it is final.
    Final,
    /// That nothing is owed about it.
    Acknowledged,
}

/// All that wait on one shard.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    of: AHashMap<Handle, Vec<Asker>>,
    count: usize,
    of_acquirers: AHashMap<AcquirerId, usize>,
}

impl Askers {
    /// `false` when too many wait: who asks is told at once how it stands.
    pub(crate) fn put(&mut self, handle: Handle, asker: Asker, now: Instant) -> bool {
        if !self.has_room(asker.acquirer) {
            self.forget_gone(now);
        }
        if !self.has_room(asker.acquirer) {
            return false;
        }
        let waiting = self.of.entry(handle).or_default();
        if waiting.len() >= EACH_MAX {
            let gone: Vec<Asker> = waiting.extract_if(.., |asker| asker.until <= now).collect();
            self.leave(&gone);
        }
        let waiting = self.of.entry(handle).or_default();
        if waiting.len() >= EACH_MAX {
            return false;
        }
        waiting.push(asker);
        self.count += 1;
        *self.of_acquirers.entry(asker.acquirer).or_default() += 1;
        true
    }

    fn has_room(&self, acquirer: AcquirerId) -> bool {
        let of_acquirer = self.of_acquirers.get(&acquirer);
        self.count < ALL_MAX && of_acquirer.is_none_or(|count| *count < OF_ACQUIRER_MAX)
    }

    fn leave(&mut self, gone: &[Asker]) {
        self.count -= gone.len();
        for asker in gone {
            if let Some(count) = self.of_acquirers.get_mut(&asker.acquirer) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Takes out those who are to be told.
    pub(crate) fn take(&mut self, handle: Handle, is_told: impl Fn(Wanted) -> bool) -> Vec<Asker> {
        let Some(mut waiting) = self.of.remove(&handle) else {
            return Vec::new();
        };
        let told: Vec<Asker> = waiting
            .extract_if(.., |asker| is_told(asker.wants))
            .collect();
        self.leave(&told);
        if !waiting.is_empty() {
            self.of.insert(handle, waiting);
        }
        told
    }

    /// Whether anybody waits for this one.
    pub(crate) fn has(&self, handle: Handle) -> bool {
        self.of.contains_key(&handle)
    }

    fn forget_gone(&mut self, now: Instant) {
        let mut gone = Vec::new();
        self.of.retain(|_, waiting| {
            gone.extend(waiting.extract_if(.., |asker| asker.until <= now));
            !waiting.is_empty()
        });
        self.leave(&gone);
    }
}

/// Who waits for one transaction.
const EACH_MAX: usize = 64;
/// Who waits on one shard.
const ALL_MAX: usize = 4_096;
/// Who of one acquirer waits on one shard: a gateway that has all others wait takes a quarter.
const OF_ACQUIRER_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::ids::ShardId;

    use super::*;

    const fn handle(index: u32) -> Handle {
        Handle {
            index,
            generation: 1,
        }
    }

    fn asker(index: u32, until: Instant) -> Asker {
        Asker {
            to: SessionRef {
                shard: ShardId(0),
                index,
                generation: 1,
            },
            is_copy: IsCopy::No,
            acquirer: AcquirerId(u16::try_from(index / 1_024).unwrap()),
            wants: Wanted::Final,
            until,
        }
    }

    #[test]
    fn who_has_gone_takes_no_place_of_a_transaction() {
        let mut askers = Askers::default();
        let (begin, soon) = (Instant::ZERO, Instant::ZERO.after(Duration::from_secs(1)));
        for index in 0..64 {
            assert!(askers.put(handle(1), asker(index, soon), begin));
        }
        assert!(!askers.put(handle(1), asker(64, soon), begin), "the bound");
        assert!(askers.put(handle(2), asker(64, soon), begin), "of one");
        let later = soon.after(Duration::from_secs(1));
        assert!(askers.put(handle(1), asker(65, later), soon));
        assert_eq!(askers.count, 2);
    }

    #[test]
    fn who_has_gone_takes_no_place_of_the_shard() {
        let mut askers = Askers::default();
        let (begin, soon) = (Instant::ZERO, Instant::ZERO.after(Duration::from_secs(1)));
        for index in 0..4_096 {
            assert!(askers.put(handle(index / 64), asker(index, soon), begin));
        }
        assert!(!askers.put(handle(100), asker(1, soon), begin));
        assert!(askers.put(handle(100), asker(1, soon.after(Duration::MAX)), soon));
        assert_eq!((askers.count, askers.of.len()), (1, 1));
    }

    #[test]
    fn each_is_told_of_what_it_waits_for() {
        let mut askers = Askers::default();
        let until = Instant::FAR_FUTURE;
        let owed = Asker {
            wants: Wanted::Acknowledged,
            ..asker(2, until)
        };
        assert!(askers.put(handle(1), asker(1, until), Instant::ZERO));
        assert!(askers.put(handle(1), owed, Instant::ZERO));
        let told = askers.take(handle(1), |wants| wants == Wanted::Final);
        assert_eq!(told, [asker(1, until)]);
        assert!(askers.has(handle(1)));
        assert_eq!(askers.take(handle(1), |_| true), [owed]);
        assert!(!askers.has(handle(1)));
        assert_eq!(askers.count, 0);
    }

    #[test]
    fn an_acquirer_takes_a_quarter_of_the_places() {
        let mut askers = Askers::default();
        let (begin, soon) = (Instant::ZERO, Instant::ZERO.after(Duration::from_secs(1)));
        for index in 0..1_024 {
            assert!(askers.put(handle(index / 64), asker(index, soon), begin));
        }
        assert!(!askers.put(handle(100), asker(1, soon), begin), "the bound");
        assert!(
            askers.put(handle(100), asker(1_024, soon), begin),
            "another one"
        );
        assert_eq!(askers.take(handle(3), |_| true).len(), 64);
        assert!(askers.put(handle(100), asker(1, soon), begin), "given back");
    }
}
