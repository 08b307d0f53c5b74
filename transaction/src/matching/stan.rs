//! Gives out the STANs of one link, on the shard that owns the transaction (semantics §5).

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use domain::ids::Stan;
use domain::time::Instant;

use crate::output::StanReuse;
use crate::random::mix;

/// A shard's part of a link's numbers: `stan = base + shard × S + k`, 0 ≤ k < S, S = ⌊size /
/// shards⌋.
///
/// Goes round, and skips 000000, numbers in use and numbers whose answer may still come.
#[derive(Debug)]
pub struct StanAllocator {
    first: u32,
    share: u32,
    cursor: u32,
    /// One bit per number: in use or late.
    taken: Vec<u64>,
    /// One bit per number: late.
    resting: Vec<u64>,
    free: u32,
    /// Late numbers with the instant from which they are free again.
    late: VecDeque<(Instant, u32)>,
    late_max: usize,
    late_window: Duration,
}

/// The numbers of a link, and who shares them.
#[derive(Clone, Copy, Debug)]
pub struct StanRange {
    /// The link's first number.
    pub base: u32,
    /// How many numbers the link has; `base + size` is at most 1,000,000.
    pub size: u32,
    /// How many shards share them; at least 1.
    pub shards: u16,
    /// Which of them this is.
    pub shard: u16,
}

impl StanRange {
    /// S: how many numbers each shard has.
    #[must_use]
    pub fn share(&self) -> u32 {
        self.size.checked_div(u32::from(self.shards)).unwrap_or(0)
    }

    /// Which shard gave `stan` out, if all shards have kept their number: a hint, as an owed
    /// reversal may have been sent first under another number of shards.
    #[must_use]
    pub fn shard_of(&self, stan: Stan) -> Option<u16> {
        let offset = stan.number().checked_sub(self.base)?;
        let shard = u16::try_from(offset.checked_div(self.share())?).ok()?;
        (shard < self.shards).then_some(shard)
    }

    /// The number to go on behind where nothing but `latest` is known: what shards, also of another
    /// number of them, gave out last on this link. It is the one with the most numbers of this part
    /// between it and the next of them, as those just before that are the ones that were given out
    /// lately. Where none of them is of this part it begins with its first number, which lies
    /// furthest from any that a part beyond may have reached.
    //= docs/rules.md#M-08
    #[must_use]
    pub fn go_on_behind(&self, latest: &[Stan]) -> Option<Stan> {
        let share = self.share();
        let offset = |stan: &Stan| stan.number().checked_sub(self.first());
        let own = latest.iter().filter_map(offset);
        let own: BTreeSet<u32> = own.filter(|offset| *offset < share).collect();
        let last = share.checked_sub(1).filter(|_| !latest.is_empty())?;
        let round = own.first().map(|first| first.saturating_add(share));
        let next = own.iter().copied().skip(1).chain(round);
        let gaps = own
            .iter()
            .zip(next)
            .map(|(at, next)| (next.saturating_sub(*at), *at));
        let behind = gaps.max().map_or(last, |(_, at)| at);
        Stan::new(self.first().saturating_add(behind).min(Stan::MAX)).ok()
    }

    fn first(&self) -> u32 {
        let before = u32::from(self.shard).saturating_mul(self.share());
        self.base.saturating_add(before)
    }
}

impl StanAllocator {
    /// All numbers of the shard's part are free. `late_window` is how long a number rests whose
    /// answer may still come; at most `late_max` rest at once, the longest resting goes first.
    /// `seed` says where to begin where nothing is known of the run before.
    #[must_use]
    pub fn new(range: &StanRange, late_window: Duration, late_max: usize, seed: u64) -> Self {
        let past_the_end = Stan::MAX.saturating_add(1);
        let room = past_the_end.saturating_sub(range.first());
        let share = range.share().min(room);
        let words = usize::try_from(share.div_ceil(64)).unwrap_or(0);
        let late_max = late_max.min(usize::try_from(share).unwrap_or(0));
        let start = mix(seed).checked_rem(u64::from(share)).unwrap_or(0);
        let mut allocator = Self {
            first: range.first(),
            share,
            cursor: u32::try_from(start).unwrap_or(0),
            taken: vec![0; words],
            resting: vec![0; words],
            free: share,
            late: VecDeque::with_capacity(late_max),
            late_max,
            late_window,
        };
        if range.first() == 0 {
            allocator.take(0);
        }
        allocator
    }

    /// The next free number; `None` when all are in use or rest: the bulkhead is full.
    pub fn allocate(&mut self, now: Instant) -> Option<Stan> {
        self.wake(now);
        let number = self.next_free()?;
        self.take(number);
        self.cursor = number.saturating_add(1);
        Stan::new(self.first.saturating_add(number)).ok()
    }

    /// A number for what may wait for days, such as an advice: only while more than half of them
    /// are free, so that requests find one however much is owed.
    pub fn allocate_spare(&mut self, now: Instant) -> Option<Stan> {
        self.wake(now);
        let is_spare = self.free > self.share / 2;
        is_spare.then(|| self.allocate(now)).flatten()
    }

    /// Whether `stan` is of this part.
    #[must_use]
    pub fn has(&self, stan: Stan) -> bool {
        self.number_of(stan).is_some()
    }

    /// Takes a number that a recovered leg uses. `false` when it is not of this part, or taken.
    pub fn claim(&mut self, stan: Stan) -> bool {
        match self.number_of(stan) {
            Some(number) if !self.is_taken(number) => {
                self.take(number);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Goes on behind the number that the run before gave out last. An issuer tells one request
    /// from another by STAN and DE7: where the wall clock is set back over a restart, a number that
    /// comes again at once may meet the same second.
    //= docs/rules.md#M-08
    pub fn go_on_after(&mut self, stan: Stan) {
        if let Some(number) = self.number_of(stan) {
            self.cursor = number.saturating_add(1);
        }
    }

    /// Gives a number back. One that is not of this part, free, or at rest already is ignored:
    /// after a restart an owed reversal and a later request may have had the same number, and each
    /// of them gives it back.
    pub fn release(&mut self, stan: Stan, reuse: StanReuse, now: Instant) {
        let Some(number) = self.number_of(stan) else {
            return;
        };
        if !self.is_taken(number) || is_set(&self.resting, number) {
            return;
        }
        match reuse {
            StanReuse::AtOnce => self.give_back(number),
            StanReuse::AfterLateWindow => {
                if self.late.len() >= self.late_max
                    && let Some((_, oldest)) = self.late.pop_front()
                {
                    self.give_back(oldest);
                }
                flip(&mut self.resting, number);
                self.late.push_back((now.after(self.late_window), number));
            }
        }
    }

    /// Numbers that can be given out.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Numbers that rest because their answer may still come.
    #[must_use]
    pub fn late(&self) -> usize {
        self.late.len()
    }

    fn wake(&mut self, now: Instant) {
        while let Some((_, number)) = self.late.pop_front_if(|(until, _)| *until <= now) {
            self.give_back(number);
        }
    }

    /// From the cursor to the end, then from the beginning; a word of taken numbers in one step.
    fn next_free(&self) -> Option<u32> {
        if self.free == 0 {
            return None;
        }
        self.free_between(self.cursor, self.share)
            .or_else(|| self.free_between(0, self.cursor))
    }

    fn free_between(&self, from: u32, to: u32) -> Option<u32> {
        let mut number = from;
        while number < to {
            let word = self.word(number);
            let open = !word & (u64::MAX << (number % 64));
            let start = number.saturating_sub(number % 64);
            if open != 0 {
                let found = start.saturating_add(open.trailing_zeros());
                return (found < to).then_some(found);
            }
            number = start.saturating_add(64);
        }
        None
    }

    fn number_of(&self, stan: Stan) -> Option<u32> {
        let number = stan.number().checked_sub(self.first)?;
        (number < self.share).then_some(number)
    }

    fn word(&self, number: u32) -> u64 {
        let word = usize::try_from(number / 64).ok();
        let word = word.and_then(|word| self.taken.get(word));
        word.copied().unwrap_or(u64::MAX)
    }

    fn is_taken(&self, number: u32) -> bool {
        self.word(number) & bit(number) != 0
    }

    fn take(&mut self, number: u32) {
        debug_assert!(!self.is_taken(number), "a number in use is never given out");
        flip(&mut self.taken, number);
        self.free = self.free.saturating_sub(1);
    }

    fn give_back(&mut self, number: u32) {
        debug_assert!(self.is_taken(number), "a free number is not given back");
        if is_set(&self.resting, number) {
            flip(&mut self.resting, number);
        }
        flip(&mut self.taken, number);
        self.free = self.free.saturating_add(1);
    }
}

fn flip(words: &mut [u64], number: u32) {
    let word = usize::try_from(number / 64).ok();
    if let Some(word) = word.and_then(|word| words.get_mut(word)) {
        *word ^= bit(number);
    }
}

fn is_set(words: &[u64], number: u32) -> bool {
    let word = usize::try_from(number / 64).ok();
    let word = word.and_then(|word| words.get(word));
    word.is_some_and(|word| word & bit(number) != 0)
}

const fn bit(number: u32) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests;
