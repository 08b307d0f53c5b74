//! Nonces that gateways have signed with, at their owner: the shard that their hash names, whatever
//! key the request has and wherever it came in. So each comes once.
//!
//! A nonce that is forgotten makes everything too old that was signed up to when it was: it could
//! come again otherwise, whatever becomes of the clock. A start has forgotten all of the runs
//! before it, of which no more is known than how late the latest of them may have been signed
//! (`control/horizon.rs`). So what is taken was signed later than all that is forgotten, and not
//! later than the horizon, which the next start will know.
//!
//! Bounded by what each gateway may have known. What is full refuses, and forgets nothing early.

use std::collections::VecDeque;
use std::time::Duration;

use ahash::AHashSet;
use domain::time::Instant;

use crate::limits::{SIGNED_AHEAD_MAX_S, SIGNED_BEHIND_MAX_S};

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
    oldest: VecDeque<(Instant, Signed)>,
    most: usize,
    /// Those that are forgotten were signed up to here; seconds since 1970.
    forgotten: u64,
}

/// What a good signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The name of its nonce.
    pub(crate) nonce: u128,
    /// When it was made; seconds since 1970.
    pub(crate) at: u64,
}

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// It is new, and is known from here on.
    Once,
    /// It has come before.
    Again,
    /// It may be one of those that are forgotten: they were signed up to then.
    Forgotten {
        /// Seconds since 1970.
        until: u64,
    },
    /// It is signed later than the next start would know of.
    BeyondHorizon,
    /// There is no room to know it.
    NoRoom,
}

impl Nonces {
    /// With so many of each gateway over all shards; what was signed up to `forgotten` may have
    /// come before.
    pub(crate) fn new(most: impl Iterator<Item = usize>, shards: u16, forgotten: u64) -> Self {
        let known = |most: usize| Known {
            most: most.div_ceil(usize::from(shards.max(1))),
            forgotten,
            ..Known::default()
        };
        Self {
            of_gateways: most.map(known).collect(),
        }
    }

    /// Of a gateway that is not there none is new. The horizon is read by the owner, in the same
    /// turn.
    pub(crate) fn spend(
        &mut self,
        gateway: u16,
        (signed, horizon): (Signed, u64),
        now: Instant,
    ) -> Spent {
        let known = self.of_gateways.get_mut(usize::from(gateway));
        known.map_or(Spent::NoRoom, |known| known.spend(signed, horizon, now))
    }
}

impl Known {
    fn spend(&mut self, signed: Signed, horizon: u64, now: Instant) -> Spent {
        self.forget(now);
        if self.all.contains(&signed.nonce) {
            return Spent::Again;
        }
        if signed.at <= self.forgotten {
            let until = self.forgotten;
            return Spent::Forgotten { until };
        }
        if signed.at > horizon {
            return Spent::BeyondHorizon;
        }
        if self.all.len() >= self.most {
            return Spent::NoRoom;
        }
        self.all.insert(signed.nonce);
        self.oldest.push_back((now, signed));
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
            let Some((_, signed)) = front.filter(|(since, _)| now.since(*since) > KNOWN_FOR) else {
                return;
            };
            self.all.remove(&signed.nonce);
            self.forgotten = self.forgotten.max(signed.at);
            self.oldest.pop_front();
        }
    }
}

/// Longer than a signature is good by a clock that is not set back, so that nothing is too old for
/// what was forgotten alone.
pub(crate) const KNOWN_FOR: Duration = Duration::from_secs(600);
const _: () = assert!(KNOWN_FOR.as_secs() > SIGNED_BEHIND_MAX_S + SIGNED_AHEAD_MAX_S);
const FORGOTTEN_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clock of a gateway says at [`at`] of zero seconds.
    const SIGNED: u64 = 1_795_297_141;
    const OPEN: u64 = u64::MAX;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(1_000 + seconds))
    }

    /// Signed when it comes, under a horizon that is far.
    fn spend(nonces: &mut Nonces, gateway: u16, nonce: u128, seconds: u64) -> Spent {
        let signed = Signed {
            nonce,
            at: SIGNED + seconds,
        };
        nonces.spend(gateway, (signed, OPEN), at(seconds))
    }

    #[test]
    fn a_nonce_comes_once_in_600_seconds() {
        let mut nonces = Nonces::new([100, 100].into_iter(), 1, 0);
        assert_eq!(spend(&mut nonces, 0, 7, 0), Spent::Once);
        assert_eq!(spend(&mut nonces, 0, 7, 0), Spent::Again);
        assert_eq!(spend(&mut nonces, 1, 7, 0), Spent::Once, "another gateway");
        assert_eq!(spend(&mut nonces, 0, 8, 600), Spent::Once);
        assert_eq!(spend(&mut nonces, 0, 7, 600), Spent::Again);
        assert_eq!(spend(&mut nonces, 0, 7, 601), Spent::Once);
        assert_eq!(spend(&mut nonces, 0, 8, 1_200), Spent::Again);
        assert_eq!(spend(&mut nonces, 2, 1, 0), Spent::NoRoom, "no gateway");
    }

    #[test]
    fn what_is_full_refuses_and_forgets_nothing_that_is_good() {
        let mut nonces = Nonces::new([1_000, 10].into_iter(), 2, 0);
        for nonce in 0..500 {
            assert_eq!(spend(&mut nonces, 0, nonce, 0), Spent::Once);
        }
        assert_eq!(spend(&mut nonces, 0, 500, 600), Spent::NoRoom);
        assert_eq!(spend(&mut nonces, 0, 499, 600), Spent::Again);
        assert_eq!(spend(&mut nonces, 1, 500, 600), Spent::Once, "another");
        // Room is made by and by, never all of it in one turn.
        assert_eq!(spend(&mut nonces, 0, 500, 601), Spent::Once);
        assert_eq!(nonces.of_gateways[0].all.len(), 500 - 8 + 1);
        for nonce in 501..600 {
            assert_eq!(spend(&mut nonces, 0, nonce, 601), Spent::Once);
        }
        assert_eq!(nonces.of_gateways[0].all.len(), 100);
        assert_eq!(nonces.of_gateways[0].oldest.len(), 100);
    }

    #[test]
    fn what_is_taken_was_signed_behind_the_last_run_and_within_the_horizon() {
        let mut nonces = Nonces::new([100, 100].into_iter(), 2, SIGNED);
        let mut numbers = 0..;
        let mut spend = |gateway, signed_at, horizon| {
            let nonce = numbers.next().unwrap();
            let signed = Signed {
                nonce,
                at: signed_at,
            };
            nonces.spend(gateway, (signed, horizon), at(0))
        };
        let forgotten = Spent::Forgotten { until: SIGNED };
        for gateway in [0, 1] {
            assert_eq!(spend(gateway, 0, OPEN), forgotten);
            assert_eq!(spend(gateway, SIGNED, OPEN), forgotten);
            // As after a start whose clock was set back: nothing lies between the two.
            assert_eq!(spend(gateway, SIGNED, SIGNED), forgotten);
            assert_eq!(spend(gateway, SIGNED + 1, SIGNED), Spent::BeyondHorizon);
            assert_eq!(spend(gateway, SIGNED + 1, SIGNED + 1), Spent::Once);
            assert_eq!(spend(gateway, SIGNED + 2, SIGNED + 1), Spent::BeyondHorizon);
        }
        // What was refused is not known: it may come when the horizon has been raised.
        let (mut nonces, early) = (Nonces::new([1].into_iter(), 1, 0), SIGNED + 1);
        let signed = Signed {
            nonce: 1,
            at: early,
        };
        let beyond = nonces.spend(0, (signed, SIGNED), at(0));
        assert_eq!(beyond, Spent::BeyondHorizon);
        assert_eq!(nonces.spend(0, (signed, early), at(0)), Spent::Once);
        assert_eq!(nonces.spend(0, (signed, early), at(0)), Spent::Again);
    }

    #[test]
    fn a_clock_that_is_set_back_brings_no_forgotten_nonce_again() {
        let mut nonces = Nonces::new([100].into_iter(), 1, 0);
        let signed = |nonce, at| Signed { nonce, at };
        let first = signed(1, SIGNED);
        assert_eq!(nonces.spend(0, (first, OPEN), at(0)), Spent::Once);
        // An hour later nobody knows it, and the clock says that no time has passed.
        let forgotten = Spent::Forgotten { until: SIGNED };
        assert_eq!(nonces.spend(0, (first, OPEN), at(3_600)), forgotten);
        let earlier = nonces.spend(0, (signed(2, SIGNED - 1), OPEN), at(3_600));
        assert_eq!(earlier, forgotten);
        let later = nonces.spend(0, (signed(3, SIGNED + 1), OPEN), at(3_600));
        assert_eq!(later, Spent::Once);
        assert_eq!(nonces.of_gateways[0].oldest.len(), 1);
    }
}
