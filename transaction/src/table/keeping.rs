//! How long what has ended is kept, and in which list it waits to be forgotten.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use domain::ids::AcquirerId;
use domain::request::MessageKind;
use domain::time::WallTime;

use super::List;
use crate::settings::Windows;

/// How long the transactions of some acquirers are kept, and those that are finished. What is kept
/// for long holds nobody else's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) windows: Windows,
    /// Settled, owing nothing: of each list the head may go first.
    pub(super) finished: [List; Kept::LISTS],
    /// The latest DE7 of which a copy may be unknown by now.
    pub(super) unknown: WallTime,
    /// The same for advices.
    pub(super) unknown_advice: WallTime,
}

/// Of each acquirer, the latest DE7 of an advice that gave way to requests: no window says so. One
/// acquirer's says nothing of another's, whose advices may well be old when they first come.
#[derive(Clone, Debug)]
pub(super) struct GaveWay {
    by_acquirer: Vec<WallTime>,
    /// Of whom it is not known: from before a start.
    of_anyone: WallTime,
}

impl GaveWay {
    pub(super) fn new(acquirers: usize) -> Self {
        Self {
            by_acquirer: vec![WallTime::default(); acquirers],
            of_anyone: WallTime::default(),
        }
    }

    pub(super) fn note(&mut self, acquirer: AcquirerId, sent: WallTime) {
        let own = self.by_acquirer.get_mut(usize::from(acquirer.0));
        let own = own.unwrap_or(&mut self.of_anyone);
        *own = sent.max(*own);
    }

    pub(super) fn note_of_anyone(&mut self, sent: WallTime) {
        self.of_anyone = self.of_anyone.max(sent);
    }

    pub(super) fn of(&self, acquirer: AcquirerId) -> WallTime {
        let own = self.by_acquirer.get(usize::from(acquirer.0));
        own.map_or(self.of_anyone, |own| self.of_anyone.max(*own))
    }

    pub(super) fn latest(&self) -> WallTime {
        let all = self.by_acquirer.iter().copied();
        all.fold(self.of_anyone, WallTime::max)
    }
}

impl Term {
    pub(super) const fn new(windows: Windows) -> Self {
        Self {
            windows,
            finished: [List::EMPTY; Kept::LISTS],
            unknown: WallTime::from_unix_millis(0),
            unknown_advice: WallTime::from_unix_millis(0),
        }
    }
}

/// How long an entry is kept, once it is finished.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// Its admission.
    pub(super) since: WallTime,
    /// Beyond the window; at most another one, but for an advice.
    pub(super) longer: Duration,
    /// Of that, what it is kept in any case; the rest gives way to requests when there is no place.
    pub(super) least: Duration,
    /// Whose copies it is kept for.
    pub(super) kind: MessageKind,
    /// The window of its acquirer.
    pub(super) window: Duration,
    /// Its place among the terms.
    pub(super) term: usize,
    pub(super) acquirer: AcquirerId,
}

impl Kept {
    /// The window alone; up to an eighth longer; up to another window longer; advices. An entry
    /// waits behind another of its list for no more than that, whatever is in the other lists.
    pub(super) const LISTS: usize = 4;
    /// The list of advices.
    pub(super) const ADVICES: u8 = 3;

    pub(super) fn list(&self) -> u8 {
        let window = self.window;
        if self.kind == MessageKind::Advice {
            Self::ADVICES
        } else if self.longer.is_zero() {
            0
        } else if self.longer.saturating_mul(8) <= window {
            1
        } else {
            2
        }
    }

    pub(super) fn until(&self) -> WallTime {
        self.since.after(self.window).after(self.longer)
    }

    /// Until when it is kept in any case.
    pub(super) fn least(&self) -> WallTime {
        self.since.after(self.window).after(self.least)
    }

    /// The list that it belongs in, over all terms.
    pub(super) fn number(&self) -> u8 {
        let first = self.term.saturating_mul(Self::LISTS);
        let number = first.saturating_add(usize::from(self.list()));
        u8::try_from(number).unwrap_or(u8::MAX)
    }
}

/// The term and the list in it that a number stands for.
pub(super) const fn place_of(number: u8) -> (usize, usize) {
    let number = number as usize;
    (number / Kept::LISTS, number % Kept::LISTS)
}

/// Windows that differ, those of the settings among them.
pub(super) const TERMS_MAX: usize = Windows::DIFFERENT_MAX + 1;
const _: () = assert!(TERMS_MAX * Kept::LISTS <= 255, "a list is told by a byte");
