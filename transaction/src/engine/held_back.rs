//! Requests that are held back until their issuer has what it is owed for their account; the table
//! is that of `saf/live.rs`.

use core::time::Duration;

use domain::ResponseCode;
use domain::ids::IssuerId;
use domain::record::RefusalReason;
use domain::request::IssuerLeg;

use crate::engine::Engine;
use crate::input::Handle;
use crate::output::{Event, GivenUp, NotAdmitted};
use crate::saf::live::{Before, Chosen, Leave, Room, may_leave};
use crate::state::{Signal, State};

impl Engine {
    //= docs/rules.md#A-09
    /// What an issuer's being chosen comes to. The leg of a request that does not leave goes back.
    pub(crate) fn routed(
        &mut self,
        handle: Handle,
        leg: IssuerLeg,
        deadline: Duration,
    ) -> Signal<'static> {
        let verdict = match self.chosen(handle, &leg) {
            Some(chosen) => may_leave(chosen),
            None => Leave::Now,
        };
        if verdict != Leave::Now {
            self.return_leg(handle, leg);
        }
        let issuer = leg.issuer;
        match verdict {
            Leave::Now => Signal::Routed { leg, deadline },
            Leave::Later => Signal::Held { issuer, deadline },
            Leave::NoRoom(Room::Draining) => {
                self.count(Event::GivenUp(GivenUp::Draining));
                Signal::TurnedAway(NotAdmitted::Shed)
            }
            Leave::NoRoom(Room::Free | Room::Full) => {
                self.count(Event::GivenUp(GivenUp::Full));
                Signal::TurnedAway(NotAdmitted::HeldBackFull)
            }
            Leave::NotThere => {
                self.count(Event::GivenUp(GivenUp::OtherIssuer));
                let code = ResponseCode::ISSUER_INOPERATIVE;
                let reason = RefusalReason::NoneAdmits;
                Signal::Unrouted { code, reason }
            }
        }
    }

    /// `None` where nobody waits for an issuer.
    fn chosen(&self, handle: Handle, leg: &IssuerLeg) -> Option<Chosen> {
        let live = &self.saf.live;
        let is_asked = live.is_asked(leg.issuer);
        if !is_asked {
            return None;
        }
        let transaction = self.table.transaction(handle)?;
        let before = match (transaction.state, live.held_for(handle)) {
            (State::Rerouting, _) => Before::Intent,
            (State::Routing, None) => Before::Nothing,
            (State::Routing, Some(issuer)) if issuer == leg.issuer => Before::HeldForIt,
            (State::Routing, Some(_)) => Before::HeldForOther,
            (
                State::Assessing
                | State::HeldBack
                | State::Assigning
                | State::Locating
                | State::Intended
                | State::Sent
                | State::Reversing
                | State::Settling(_)
                | State::Settled(_),
                _,
            ) => return None,
        };
        Some(Chosen {
            is_asked,
            is_completion: leg.is_of_original(),
            is_owed: live.is_owed(leg.issuer, transaction.facts.account.token),
            before,
            room: live.room(),
        })
    }

    /// L04. Its route's deadline runs from here; half of it is for waiting.
    pub(crate) fn hold_back(&mut self, handle: Handle, issuer: IssuerId, deadline: Duration) {
        self.set_deadline(handle, deadline);
        let now = self.clock.now();
        let Some(transaction) = self.table.transaction(handle) else {
            return;
        };
        let token = transaction.facts.account.token;
        let due = now.after(deadline.checked_div(2).unwrap_or_default());
        let is_held = self.saf.live.hold(handle, (issuer, token), due);
        debug_assert!(is_held, "the issuer is owed something");
        self.count(Event::HeldBack);
        self.saf.hurry(issuer, token, now);
    }

    /// L11.
    pub(crate) fn give_up_waiting(&mut self, handle: Handle) {
        self.count(Event::GivenUp(GivenUp::TooLong));
        let code = ResponseCode::ISSUER_INOPERATIVE;
        self.refuse(handle, code, RefusalReason::NoneAdmits);
    }

    //= docs/rules.md#V-13
    /// L13. Nobody is answered, and what it would have been told is what its copies are told.
    pub(crate) fn reverse_held_back(&mut self, handle: Handle) {
        self.discard_frame(handle);
        let code = self.code_of_reversed(handle);
        self.refuse(handle, code, RefusalReason::ReversedOriginal);
    }

    /// What is owed for the account of its transaction holds requests from here on.
    pub(crate) fn hold_requests_behind(&mut self, saf: u32) {
        let Some(entry) = self.saf.get(saf) else {
            return;
        };
        let (handle, issuer) = (entry.handle, entry.issuer);
        if let Some(transaction) = self.table.transaction(handle) {
            let token = transaction.facts.account.token;
            self.saf.live.owe(saf, issuer, token);
        }
    }

    /// One piece of the work on those who are held back: L10, L11, L14.
    pub(crate) fn held_back_step(&mut self) -> bool {
        if let Some(handle) = self.saf.live.next_freed() {
            if self.is_held_back(handle) {
                self.advance(handle, Signal::Freed);
            }
            return true;
        }
        if let Some(handle) = self.saf.live.expired(self.expire_until) {
            self.advance(handle, Signal::Deadline);
            return true;
        }
        let Some(handle) = self.saf.live.next_drained() else {
            return false;
        };
        self.count(Event::GivenUp(GivenUp::Draining));
        self.advance(handle, Signal::TurnedAway(NotAdmitted::Shed));
        true
    }

    fn is_held_back(&self, handle: Handle) -> bool {
        let transaction = self.table.transaction(handle);
        transaction.is_some_and(|found| found.state == State::HeldBack)
    }
}

#[cfg(test)]
mod tests;
