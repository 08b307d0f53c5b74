//! What has ended without its issuer taking it: kept for people to look at, up to a bound, so that
//! they can put it back.

use core::time::Duration;

use domain::time::Instant;

use crate::output::Ended;
use crate::saf::{Chain, Saf, Status};
use crate::table::NONE;

impl Saf {
    /// Moves an entry from what is owed to the exceptions. Returns one that has to leave them for
    /// it: the journal has that one all the same.
    #[must_use]
    pub(crate) fn except(&mut self, position: u32, ended: Ended) -> Option<u32> {
        self.end(position);
        let mut excepted = self.excepted;
        self.push_back(Chain::Aging, &mut excepted, position);
        self.excepted = excepted;
        self.exceptions = self.exceptions.saturating_add(1);
        if let Some(entry) = self.get_mut(position) {
            entry.status = Status::Exception(ended);
            entry.next = NONE;
        }
        (self.exceptions > self.exceptions_max).then_some(self.excepted.head)
    }

    /// The oldest exception that keeps content, if what is owed needs room for `len` bytes more.
    pub(crate) fn exception_in_the_way(&self, len: usize) -> Option<u32> {
        if self.has_room_for(len) {
            return None;
        }
        let mut position = self.excepted.head;
        while position != NONE && self.content(position).is_empty() {
            position = self.get(position).map_or(NONE, |entry| {
                let [_, aging] = entry.links;
                aging.next
            });
        }
        (position != NONE).then_some(position)
    }

    /// Forgets an exception.
    pub(crate) fn forget_exception(&mut self, position: u32) {
        self.leave_exceptions(position);
        self.vacate(position);
    }

    /// Makes an exception owed again, as of now; its record is not durable. `false` when there is
    /// no room for it.
    #[must_use]
    pub(crate) fn put_back(&mut self, position: u32, age: Duration, now: Instant) -> bool {
        if self.count >= self.entries_max {
            return false;
        }
        self.leave_exceptions(position);
        let mut aging = self.aging;
        self.push_back(Chain::Aging, &mut aging, position);
        self.aging = aging;
        self.count = self.count.saturating_add(1);
        let expires = now.after(self.policy.expiry.saturating_sub(age));
        if let Some(entry) = self.get_mut(position) {
            entry.status = Status::Appended;
            entry.expires = expires;
            entry.expired = false;
            entry.refusals = 0;
            // It may have been sent before.
            entry.found = true;
        }
        true
    }

    /// What people have to look at.
    pub(crate) const fn exceptions(&self) -> usize {
        self.exceptions
    }

    fn leave_exceptions(&mut self, position: u32) {
        let mut excepted = self.excepted;
        self.unlink(Chain::Aging, &mut excepted, position);
        self.excepted = excepted;
        self.exceptions = self.exceptions.saturating_sub(1);
    }
}
