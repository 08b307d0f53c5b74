//! How a key gives way to the next: first everybody can check with it, then it is acknowledged,
//! then it is used.
//!
//! ```text
//!  current ── offer ──► current + next ── use_next ──► next + previous ── overlap ──► next
//!                            │ withdraw
//!                            ▼
//!                         current
//! ```

use core::time::Duration;

use domain::time::Instant;

/// The keys of one direction of one endpoint. `K` is a handle of a key, never shown.
#[derive(Clone)]
pub struct KeyRoll<K> {
    current: K,
    /// Checks, but makes nothing yet.
    next: Option<K>,
    /// Checks until then.
    previous: Option<(K, Instant)>,
    overlap: Duration,
}

impl<K> core::fmt::Debug for KeyRoll<K> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyRoll")
            .field("next", &self.next.is_some())
            .field("previous", &self.previous.is_some())
            .finish_non_exhaustive()
    }
}

impl<K: Clone> KeyRoll<K> {
    /// One key, which another may follow; the two overlap for so long.
    pub const fn new(current: K, overlap: Duration) -> Self {
        Self {
            current,
            next: None,
            previous: None,
            overlap,
        }
    }

    /// One key that has followed another; that one still checks until then.
    pub const fn resumed(current: K, previous: Option<(K, Instant)>, overlap: Duration) -> Self {
        Self {
            current,
            next: None,
            previous,
            overlap,
        }
    }

    /// What makes new codes.
    pub const fn current(&self) -> &K {
        &self.current
    }

    /// All that may check at `now`, the likeliest first.
    pub fn checking(&self, now: Instant) -> impl Iterator<Item = &K> {
        core::iter::once(&self.current)
            .chain(&self.next)
            .chain(self.previous(now))
    }

    /// What made codes before, while it still checks at `now`.
    pub fn previous(&self, now: Instant) -> Option<&K> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        previous.map(|(key, _)| key)
    }

    /// A next key: it checks from here on. It takes the place of one that was never used.
    pub fn offer(&mut self, key: K) {
        self.next = Some(key);
    }

    /// The next key is not to be.
    pub fn withdraw(&mut self) {
        self.next = None;
    }

    //= docs/rules.md#N-04
    /// The next key makes codes from here on; the one before it checks until the overlap ends.
    /// `false` when there is none.
    pub fn use_next(&mut self, now: Instant) -> bool {
        let Some(next) = self.next.take() else {
            return false;
        };
        let before = core::mem::replace(&mut self.current, next);
        self.previous = Some((before, now.after(self.overlap)));
        true
    }

    /// Forgets a key whose overlap has ended.
    pub fn expire(&mut self, now: Instant) {
        if self
            .previous
            .as_ref()
            .is_some_and(|(_, until)| *until <= now)
        {
            self.previous = None;
        }
    }
}

/// Waits until every shard can check with a key, before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    left: u16,
    deadline: Instant,
}

/// What became of a [`Spread`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpreadStep {
    /// Others have still to say so.
    Waiting,
    /// All can: acknowledge, then use it.
    Complete,
    /// They took too long: refuse and withdraw.
    Overdue,
}

impl Spread {
    /// Waits for so many others, until the deadline.
    #[must_use]
    pub const fn over(others: u16, deadline: Instant) -> Self {
        Self {
            left: others,
            deadline,
        }
    }

    /// One more can.
    pub const fn note(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Where it stands.
    #[must_use]
    pub fn step(&self, now: Instant) -> SpreadStep {
        if self.left == 0 {
            SpreadStep::Complete
        } else if self.deadline <= now {
            SpreadStep::Overdue
        } else {
            SpreadStep::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    const OVERLAP: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    #[track_caller]
    fn check(roll: &KeyRoll<u8>, now: Instant, making: u8, checking: &[u8]) {
        assert_eq!(*roll.current(), making);
        let found: Vec<u8> = roll.checking(now).copied().collect();
        assert_eq!(found, checking);
        let before = roll.previous(now);
        assert!(before.is_none_or(|before| found.last() == Some(before)));
    }

    #[test]
    fn a_key_checks_before_it_makes_and_the_old_one_checks_on_for_the_overlap() {
        let mut roll = KeyRoll::new(1, OVERLAP);
        check(&roll, at(0), 1, &[1]);
        roll.offer(2);
        check(&roll, at(1), 1, &[1, 2]);
        assert!(roll.use_next(at(2)));
        check(&roll, at(2), 2, &[2, 1]);
        check(&roll, at(301), 2, &[2, 1]);
        check(&roll, at(302), 2, &[2]);
        roll.expire(at(301));
        assert!(format!("{roll:?}").contains("previous: true"));
        roll.expire(at(302));
        assert!(format!("{roll:?}").contains("previous: false"));
        assert!(!roll.use_next(at(303)));
        check(&roll, at(303), 2, &[2]);
    }

    #[test]
    fn an_offer_that_is_withdrawn_or_followed_by_another_leaves_nothing() {
        let mut roll = KeyRoll::new(1, OVERLAP);
        roll.offer(2);
        roll.withdraw();
        check(&roll, at(0), 1, &[1]);
        roll.offer(3);
        roll.offer(4);
        check(&roll, at(0), 1, &[1, 4]);
        assert!(roll.use_next(at(0)));
        check(&roll, at(0), 4, &[4, 1]);
    }

    #[test]
    fn a_spread_is_complete_when_all_have_said_so_and_overdue_otherwise() {
        let mut spread = Spread::over(2, at(1));
        assert_eq!(spread.step(at(0)), SpreadStep::Waiting);
        spread.note();
        assert_eq!(spread.step(at(0)), SpreadStep::Waiting);
        assert_eq!(spread.step(at(1)), SpreadStep::Overdue);
        spread.note();
        assert_eq!(spread.step(at(1)), SpreadStep::Complete);
        spread.note();
        assert_eq!(Spread::over(0, at(0)).step(at(9)), SpreadStep::Complete);
    }
}
