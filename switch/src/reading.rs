//! What sessions and links share when they read their sockets.

use std::time::Duration;

use domain::time::Instant;

/// Bytes asked for in one read: enough for some dozen messages, so that a busy connection costs one
/// system call for many, and few enough that the other tasks of the shard need not wait long.
pub(crate) const READ_LEN: usize = 16 * 1024;

/// Whether a socket may hold more than was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// All that was asked for came.
    MayWait,
    /// The socket was empty.
    Nothing,
}

impl More {
    /// After `count` bytes were read into a buffer with room for `room`.
    pub(crate) const fn after(count: usize, room: usize) -> Self {
        if count == room {
            Self::MayWait
        } else {
            Self::Nothing
        }
    }
}

/// The frame that has begun and is not whole: its deadline runs from its first byte, however many
/// reads it takes (fault 74).
#[derive(Debug)]
pub(crate) struct Unfinished {
    since: Option<Instant>,
    deadline: Duration,
}

/// A frame was not whole in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLate;

impl Unfinished {
    /// None has begun.
    pub(crate) const fn new(deadline: Duration) -> Self {
        Self {
            since: None,
            deadline,
        }
    }

    /// Whole frames of `taken` bytes were taken out of what was read, and `rest` bytes are left.
    pub(crate) fn note(&mut self, taken: usize, rest: usize, now: Instant) {
        self.since = match self.since {
            _ if rest == 0 => None,
            Some(since) if taken == 0 => Some(since),
            _ => Some(now),
        };
    }

    /// How long the next read may take; `None` while no frame has begun.
    ///
    /// # Errors
    /// [`TooLate`].
    pub(crate) fn time_left(&self, now: Instant) -> Result<Option<Duration>, TooLate> {
        let Some(since) = self.since else {
            return Ok(None);
        };
        let left = self.deadline.saturating_sub(now.since(since));
        if left.is_zero() {
            Err(TooLate)
        } else {
            Ok(Some(left))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_frame_that_comes_byte_by_byte_has_one_deadline() {
        let mut unfinished = Unfinished::new(DEADLINE);
        for second in 0..5 {
            unfinished.note(0, 1, at(second));
            let left = unfinished.time_left(at(second));
            assert_eq!(left, Ok(Some(Duration::from_secs(5 - second))));
        }
        assert_eq!(unfinished.time_left(at(5)), Err(TooLate));
    }

    #[test]
    fn the_next_frame_has_its_own() {
        let mut unfinished = Unfinished::new(DEADLINE);
        assert_eq!(unfinished.time_left(at(0)), Ok(None));
        unfinished.note(0, 7, at(0));
        unfinished.note(100, 9, at(4));
        assert_eq!(unfinished.time_left(at(4)), Ok(Some(DEADLINE)));
        unfinished.note(50, 0, at(6));
        assert_eq!(unfinished.time_left(at(60)), Ok(None));
    }
}
