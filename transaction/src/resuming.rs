//! Requests that a start finds open, and whose issuer can be asked what became of them.
//!
//! | row | found | becomes |
//! |---|---|---|
//! | Q01 | an intent that says until when, its issuer can be asked, the time is not over | in flight: asked for |
//! | Q02 | the same, the time is over, or its issuer cannot be asked any more | P01 |
//! | Q03 | Q01, and the issuer tells | as without a restart |
//! | Q04 | Q01, and its deadline passes | timed out, a reversal owed |
//! | Q05 | Q01, and a further start | as Q01 or Q02 |
//!
//! The record says both that it is asked for and until when, so a configuration that has changed
//! since can end the asking and neither begin it nor make it longer: a request that went out
//! in another form is never judged by a query that cannot know it.

use core::time::Duration;

use domain::profile::Undelivered;
use domain::record::Intent;
use domain::time::{Instant, WallTime};

use crate::engine::Engine;
use crate::input::Handle;
use crate::output::Output;
use crate::transaction::Transaction;

impl Engine {
    /// Whether this start has found it open, and its issuer is, or was, asked what became of it.
    #[must_use]
    pub fn is_resumed(&self, handle: Handle) -> bool {
        let transaction = self.table.transaction(handle);
        transaction.is_some_and(|found| found.legs.is_resumed())
    }

    //= docs/rules.md#T-16
    /// Until when a start that finds this intent open asks for it; `None` where its issuer cannot
    /// be asked. A completion request is nothing that a query is for. Behind a restart nobody can
    /// be told, so where an approval that was not told is reversed, so is what may become one.
    pub(crate) fn asked_until(&self, transaction: &Transaction) -> Option<WallTime> {
        let leg = transaction.leg.as_ref()?;
        let is_asked = self.settings.asked_later.has(leg.issuer) && !transaction.is_completion();
        if !is_asked || transaction.profile.undelivered == Undelivered::Reverse {
            return None;
        }
        let left = transaction.deadline.since(self.clock.now());
        let until = self.clock.wall().after(left);
        let length = self.deadlines.length_of(transaction)?;
        Some(transaction.admitted.after(length).min(until))
    }

    /// Q01, Q02: what its record says of it.
    pub(crate) fn replay_asked(&mut self, handle: Handle, intent: &Intent) {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let deadline = intent.asked_until.map(|until| {
            // A clock that was set back makes nothing longer than it was.
            let length = millis_between(intent.admitted, until);
            now.after(millis_between(wall, until).min(length))
        });
        self.with_replayed(handle, |transaction| {
            transaction.legs.set_asked(deadline.is_some());
            transaction.deadline = deadline.unwrap_or(Instant::FAR_FUTURE);
        });
    }

    /// Q01, and not Q02.
    pub(crate) fn can_resume(&self, transaction: &Transaction) -> bool {
        let issuer = transaction.leg.map(|leg| leg.issuer);
        transaction.legs.is_asked()
            && transaction.deadline > self.clock.now()
            && issuer.is_some_and(|issuer| self.settings.asked_later.has(issuer))
    }

    //= docs/rules.md#T-16
    pub(crate) fn resume(&mut self, handle: Handle) {
        let now = self.clock.now();
        let Some(transaction) = self.table.transaction_mut(handle) else {
            return;
        };
        let Some(leg) = transaction.leg else {
            debug_assert!(false, "an intent has a leg");
            return;
        };
        transaction.legs.resume();
        transaction.started = now;
        let at = transaction.deadline;
        // That of its route, so that it stands in one queue with what comes behind it.
        let until = self.clock.wall_at(at);
        let length = millis_between(transaction.admitted, until);
        self.deadlines.set(&mut self.table, handle, at, length);
        self.emit(Output::Inquire { handle, leg, until });
    }
}

const fn millis_between(from: WallTime, to: WallTime) -> Duration {
    Duration::from_millis(to.unix_millis().saturating_sub(from.unix_millis()))
}

#[cfg(test)]
mod tests;
