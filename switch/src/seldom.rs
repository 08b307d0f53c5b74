//! A cause that comes with every request, told once a minute with how often it came. Pure.

use std::cell::Cell;
use std::time::Duration;

use domain::time::Instant;

/// Of one cause.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    told: Cell<Option<Instant>>,
    untold: Cell<u64>,
}

impl Seldom {
    /// It has come once more. `Some` when it is to be told: how often it came since it was told
    /// last, this time included.
    pub(crate) fn note(&self, now: Instant) -> Option<u64> {
        let count = self.untold.get().saturating_add(1);
        let last = self.told.get();
        if last.is_some_and(|last| now.since(last) < TELL_AGAIN) {
            self.untold.set(count);
            return None;
        }
        self.told.set(Some(now));
        self.untold.set(0);
        Some(count)
    }
}

const TELL_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_minute_with_how_often_it_came() {
        let seldom = Seldom::default();
        let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        assert_eq!(seldom.note(at(1)), Some(1));
        for second in 2..61 {
            assert_eq!(seldom.note(at(second)), None, "{second}");
        }
        assert_eq!(seldom.note(at(61)), Some(60));
        assert_eq!(seldom.note(at(121)), Some(1));
    }
}
