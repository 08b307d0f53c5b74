//! What is remembered of one account in one currency.

use core::mem::size_of;

use domain::currency::Currency;
use domain::pan::PanToken;
use domain::time::Instant;

use crate::policy::{Policy, WindowLimits};
use crate::ring::{BucketWidth, Ring};
use crate::verdict::Verdict;

/// The length of a bucket in each window.
pub(crate) type Widths = [BucketWidth; Policy::WINDOWS_MAX];

/// Whose counters they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountKey {
    pub(crate) token: PanToken,
    pub(crate) currency: Currency,
}

/// The counters of one account, and its places in the chains of the table. Four cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Account {
    pub(crate) key: AccountKey,
    /// When it was last asked about; the rings are as of then.
    newest: Instant,
    /// The next one with the same hash head, or the next free one.
    pub(crate) next: u32,
    /// The neighbours by time of last use.
    pub(crate) older: u32,
    pub(crate) newer: u32,
    rings: [Ring; Policy::WINDOWS_MAX],
}

impl Account {
    /// Says which number stands for no neighbour.
    pub(crate) const NONE: u32 = u32::MAX;

    pub(crate) const fn new(key: AccountKey, at: Instant) -> Self {
        Self {
            key,
            newest: at,
            next: Self::NONE,
            older: Self::NONE,
            newer: Self::NONE,
            rings: [Ring::EMPTY; Policy::WINDOWS_MAX],
        }
    }

    /// Brings the counters up to `now`. A time before the last one changes nothing.
    pub(crate) fn slide(&mut self, widths: &Widths, now: Instant) {
        if now <= self.newest {
            return;
        }
        for (ring, width) in self.rings.iter_mut().zip(widths) {
            ring.slide(*width, self.newest, now);
        }
        self.newest = now;
    }

    /// Counts a request made at `at`, which may lie before the last one.
    pub(crate) fn count(&mut self, widths: &Widths, at: Instant, minor: u64) {
        self.slide(widths, at);
        debug_assert!(at <= self.newest, "no time lies after the newest");
        for (ring, width) in self.rings.iter_mut().zip(widths) {
            ring.count(*width, self.newest, at, minor);
        }
    }

    /// Whether one more request of `minor` stays within `limits`; else which one it breaks, the
    /// first window first, in a window the count first.
    pub(crate) fn check(&self, limits: &WindowLimits, minor: u64) -> Verdict {
        for (ring, limit) in self.rings.iter().zip(limits) {
            let Some(limit) = limit else { continue };
            let (count, sum) = ring.sum();
            if limit.count_max.is_some_and(|max| count >= max) {
                return Verdict::VELOCITY_COUNT;
            }
            if limit
                .amount_max
                .is_some_and(|max| sum.saturating_add(minor) > max)
            {
                return Verdict::VELOCITY_AMOUNT;
            }
        }
        Verdict::Accept
    }

    /// Requests and minor units in each window, as of its newest time.
    pub(crate) fn sums(&self) -> [(u32, u64); Policy::WINDOWS_MAX] {
        self.rings.each_ref().map(Ring::sum)
    }

    /// Something of each of its cache lines.
    pub(crate) fn sample(&self) -> [u64; Policy::WINDOWS_MAX] {
        self.rings.each_ref().map(Ring::sample)
    }

    pub(crate) const fn newest(&self) -> Instant {
        self.newest
    }
}

// A node may hold a million of them.
const _: () = assert!(size_of::<Account>() == 256);
