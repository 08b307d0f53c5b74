//! Nonces that gateways have signed with, at their owner: the shard that their hash names, whatever
//! key the request has and wherever it came in. So each comes once.
//!
//! Bounded by what each gateway may have known. What is full refuses, and forgets nothing: a nonce
//! that is forgotten while its signature is good could come again.

use std::collections::VecDeque;
use std::time::Duration;

use ahash::AHashSet;
use domain::time::Instant;

/// Those of all gateways on one shard.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    /// By the number of their gateway.
    of_gateways: Vec<Known>,
}

/// Those of one gateway.
#[derive(Debug, Default)]
struct Known {
    all: AHashSet<u128>,
    /// In the order in which they came.
    oldest: VecDeque<(Instant, u128)>,
    most: usize,
}

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// It is new, and is known from here on.
    Once,
    /// It has come before.
    Again,
    /// There is no room to know it.
    NoRoom,
}

impl Nonces {
    /// With so many of each gateway over all shards.
    pub(crate) fn new(most: impl Iterator<Item = usize>, shards: u16) -> Self {
        let known = |most: usize| Known {
            most: most.div_ceil(usize::from(shards.max(1))),
            ..Known::default()
        };
        Self {
            of_gateways: most.map(known).collect(),
        }
    }

    /// Of a gateway that is not there none is new.
    pub(crate) fn spend(&mut self, gateway: u16, nonce: u128, now: Instant) -> Spent {
        let known = self.of_gateways.get_mut(usize::from(gateway));
        known.map_or(Spent::NoRoom, |known| known.spend(nonce, now))
    }
}

impl Known {
    fn spend(&mut self, nonce: u128, now: Instant) -> Spent {
        self.forget(now);
        if self.all.contains(&nonce) {
            return Spent::Again;
        }
        if self.all.len() >= self.most {
            return Spent::NoRoom;
        }
        self.all.insert(nonce);
        self.oldest.push_back((now, nonce));
        debug_assert_eq!(
            self.all.len(),
            self.oldest.len(),
            "invariant: each stands once"
        );
        Spent::Once
    }

    /// More than one comes, so that it catches up; few, so that no turn is long.
    fn forget(&mut self, now: Instant) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let front = self.oldest.front();
            let Some((_, nonce)) = front.filter(|(since, _)| now.since(*since) > KNOWN_FOR) else {
                return;
            };
            self.all.remove(nonce);
            self.oldest.pop_front();
        }
    }
}

/// A signature is good from 300 s before its time to 300 s after it.
pub(crate) const KNOWN_FOR: Duration = Duration::from_secs(600);
const FORGOTTEN_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(1_000 + seconds))
    }

    #[test]
    fn a_nonce_comes_once_in_600_seconds() {
        let mut nonces = Nonces::new([100, 100].into_iter(), 1);
        assert_eq!(nonces.spend(0, 7, at(0)), Spent::Once);
        assert_eq!(nonces.spend(0, 7, at(0)), Spent::Again);
        assert_eq!(nonces.spend(1, 7, at(0)), Spent::Once, "of another gateway");
        assert_eq!(nonces.spend(0, 8, at(600)), Spent::Once);
        assert_eq!(nonces.spend(0, 7, at(600)), Spent::Again);
        assert_eq!(nonces.spend(0, 7, at(601)), Spent::Once);
        assert_eq!(nonces.spend(0, 8, at(1_200)), Spent::Again);
        assert_eq!(nonces.spend(2, 1, at(0)), Spent::NoRoom, "of no gateway");
    }

    #[test]
    fn what_is_full_refuses_and_forgets_nothing_that_is_good() {
        let mut nonces = Nonces::new([1_000, 10].into_iter(), 2);
        for nonce in 0..500 {
            assert_eq!(nonces.spend(0, nonce, at(0)), Spent::Once);
        }
        assert_eq!(nonces.spend(0, 500, at(600)), Spent::NoRoom);
        assert_eq!(nonces.spend(0, 499, at(600)), Spent::Again);
        assert_eq!(
            nonces.spend(1, 500, at(600)),
            Spent::Once,
            "of another gateway"
        );
        // Room is made by and by, never all of it in one turn.
        assert_eq!(nonces.spend(0, 500, at(601)), Spent::Once);
        assert_eq!(nonces.of_gateways[0].all.len(), 500 - 8 + 1);
        for nonce in 501..600 {
            assert_eq!(nonces.spend(0, nonce, at(601)), Spent::Once);
        }
        assert_eq!(nonces.of_gateways[0].all.len(), 100);
        assert_eq!(nonces.of_gateways[0].oldest.len(), 100);
    }
}
