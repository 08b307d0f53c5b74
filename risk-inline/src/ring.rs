//! One sliding window of one account: how many requests and how much money, in nine buckets.

use core::time::Duration;

use domain::time::Instant;

/// The length of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketWidth(u64);

impl BucketWidth {
    /// An eighth of a window, rounded up.
    pub(crate) fn of(window: Duration) -> Self {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Self(nanos.div_ceil(FULL_BUCKETS).max(1))
    }

    /// The number of the bucket that holds `at`, since the clock's zero.
    fn number(self, at: Instant) -> u64 {
        at.as_nanos().checked_div(self.0).unwrap_or(0)
    }
}

/// The buckets of one window. When its newest one is, the account knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    buckets: [Bucket; BUCKETS],
}

impl Ring {
    pub(crate) const EMPTY: Self = Self {
        buckets: [Bucket::EMPTY; BUCKETS],
    };

    /// Drops what fell out of the window between `newest` and `now`.
    pub(crate) fn slide(&mut self, width: BucketWidth, newest: Instant, now: Instant) {
        let from = width.number(newest);
        let steps = width.number(now).saturating_sub(from);
        for step in 1..=steps.min(FULL_BUCKETS.saturating_add(1)) {
            if let Some(bucket) = self.buckets.get_mut(place(from.saturating_add(step))) {
                *bucket = Bucket::EMPTY;
            }
        }
    }

    /// Counts one request made at `at`, not after `newest`; passes over one that has left the
    /// window.
    pub(crate) fn count(&mut self, width: BucketWidth, newest: Instant, at: Instant, minor: u64) {
        let number = width.number(at);
        let age = width.number(newest).saturating_sub(number);
        debug_assert!(
            at <= newest,
            "the account was slid to the time of the request"
        );
        debug_assert!(number <= width.number(newest));
        if age > FULL_BUCKETS {
            return;
        }
        if let Some(bucket) = self.buckets.get_mut(place(number)) {
            bucket.add(minor);
        }
    }

    /// One of its buckets, unread.
    pub(crate) const fn sample(&self) -> u64 {
        let [.., last] = self.buckets;
        last.0
    }

    /// Requests and minor units in the window.
    pub(crate) fn sum(&self) -> (u32, u64) {
        let add = |(count, minor): (u32, u64), bucket: &Bucket| {
            (
                count.saturating_add(bucket.count()),
                minor.saturating_add(bucket.minor()),
            )
        };
        self.buckets.iter().fold((0, 0), add)
    }
}

/// A count in the upper 16 bits and minor units in the lower 48, both of which stop at their
/// largest. A limit is below what they can hold (`VelocityLimit::COUNT_MAX`,
/// `VelocityLimit::AMOUNT_MAX`), so a bucket that has stopped is over it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket(u64);

impl Bucket {
    const EMPTY: Self = Self(0);

    fn count(self) -> u32 {
        u32::try_from(self.0 >> MINOR_BITS).unwrap_or(u32::MAX)
    }

    const fn minor(self) -> u64 {
        self.0 & MINOR_MASK
    }

    fn add(&mut self, minor: u64) {
        let count = u64::from(self.count()).saturating_add(1).min(COUNT_MASK);
        let minor = self.minor().saturating_add(minor).min(MINOR_MASK);
        self.0 = (count << MINOR_BITS) | minor;
    }
}

/// Buckets that make up the length of a window; one more is filling.
const FULL_BUCKETS: u64 = 8;
const BUCKETS: usize = 9;
const MINOR_BITS: u32 = 48;
const MINOR_MASK: u64 = (1 << MINOR_BITS) - 1;
const COUNT_MASK: u64 = (1 << (64 - MINOR_BITS)) - 1;

fn place(number: u64) -> usize {
    usize::try_from(number % (FULL_BUCKETS + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: BucketWidth = BucketWidth(1_000_000);

    /// Rounded down, eight of them would be shorter than the window.
    #[test]
    fn a_bucket_is_an_eighth_of_a_window_rounded_up() {
        let width = |nanos| BucketWidth::of(Duration::from_nanos(nanos));
        assert_eq!(width(8_000_000_000), BucketWidth(1_000_000_000));
        assert_eq!(width(8_000_000_001), BucketWidth(1_000_000_001));
    }

    #[test]
    fn a_request_counts_for_eight_to_nine_buckets() {
        let mut ring = Ring::EMPTY;
        let made = Instant::from_nanos(5_999_999);
        ring.count(WIDTH, made, made, 40);
        assert_eq!(ring.sum(), (1, 40));
        let still = Instant::from_nanos(13_999_999);
        ring.slide(WIDTH, made, still);
        assert_eq!(ring.sum(), (1, 40));
        ring.slide(WIDTH, still, Instant::from_nanos(14_000_000));
        assert_eq!(ring.sum(), (0, 0));
    }

    #[test]
    fn an_old_request_lands_in_its_own_bucket_or_nowhere() {
        let mut ring = Ring::EMPTY;
        let newest = Instant::from_millis(20);
        ring.count(WIDTH, newest, Instant::from_millis(11), 1);
        assert_eq!(ring.sum(), (0, 0));
        ring.count(WIDTH, newest, Instant::from_millis(12), 1);
        assert_eq!(ring.sum(), (1, 1));
        ring.slide(WIDTH, newest, Instant::from_millis(21));
        assert_eq!(ring.sum(), (0, 0));
    }

    #[test]
    fn a_bucket_stops_at_its_largest_values() {
        let mut bucket = Bucket(MINOR_MASK - 1);
        bucket.add(u64::MAX);
        assert_eq!((bucket.count(), bucket.minor()), (1, MINOR_MASK));
        let mut bucket = Bucket(COUNT_MASK << MINOR_BITS);
        bucket.add(3);
        assert_eq!((bucket.count(), bucket.minor()), (65_535, 3));
    }
}
