//! What becomes of a completion request, an 0202: it asks the issuer of an earlier transaction to
//! complete that, and may be declined.
//!
//! | row | what it names | answer | toward the issuer |
//! |---|---|---|---|
//! | C01 | what an issuer has answered, also with a decline | that of the issuer | the request |
//! | C02 | nothing that is known, or that went nowhere | 25 | nothing |
//! | C03 | what was reversed, or is being | 94, or 12 by profile | nothing |
//! | C04 | what is undecided | 96 | nothing, nothing is remembered |
//! | C05 | an approval in an issuer's place that it has not heard of | 91 | nothing |
//! | C06 | what belongs to an issuer that cannot be asked | 91 | nothing |
//! | C07 | what it goes beyond by more than its session lets it | 13 | nothing |
//!
//! C01: an issuer that has declined may have meant to be called first (01, 02), and what it has
//! approved by voice is completed by its DE38. So it decides again.
//!
//! Otherwise it is a request like any other: intent, deadline, owed reversal and copies are those
//! of `state.rs`. Risk is not asked, since it has judged what is completed; and nobody approves in
//! the issuer's place, which alone knows what it holds.

use domain::ids::IssuerId;
use domain::record::{Completed, Extent, RefusalReason};
use domain::{Amount, ResponseCode};

use crate::advice::Original;
use crate::engine::Engine;
use crate::input::Handle;
use crate::output::{Output, WantedIssuer};
use crate::state::{Signal, State};

impl Engine {
    /// Whether it is a completion request that waits for its original.
    #[must_use]
    pub fn is_locating(&self, handle: Handle) -> bool {
        let transaction = self.table.transaction(handle);
        transaction.is_some_and(|transaction| transaction.state == State::Locating)
    }

    //= docs/rules.md#T-12
    pub(crate) fn complete(&mut self, handle: Handle, original: Original) {
        let signal = match original {
            Original::Stands {
                issuer,
                completed,
                is_told: true,
                approved,
                ..
            } if !self.is_over(handle, approved) => Signal::Located {
                issuer,
                completed: self.extended(handle, completed, approved),
            },
            Original::Stands { is_told: true, .. } => Signal::Declined {
                code: ResponseCode::INVALID_AMOUNT,
                reason: RefusalReason::OverOriginal,
            },
            Original::Stands { is_told: false, .. } => Signal::Declined {
                code: ResponseCode::ISSUER_INOPERATIVE,
                reason: RefusalReason::NoneAdmits,
            },
            Original::Unknown => Signal::Declined {
                code: ResponseCode::ORIGINAL_NOT_FOUND,
                reason: RefusalReason::UnknownOriginal,
            },
            Original::Reversed => Signal::Declined {
                code: self.code_of_reversed(handle),
                reason: RefusalReason::ReversedOriginal,
            },
            Original::Undecided => Signal::Deadline,
        };
        self.advance(handle, signal);
    }

    /// Whether a completion is above what its session lets it complete.
    pub(crate) fn is_over(&self, handle: Handle, approved: Option<Amount>) -> bool {
        let completion = self.table.transaction(handle);
        completion.zip(approved).is_some_and(|(found, approved)| {
            let limit = found.profile.completion;
            limit.is_passed(found.facts.amount, approved)
        })
    }

    /// What a completion completes, with how its amount stands to what is approved.
    pub(crate) fn extended(
        &self,
        handle: Handle,
        completed: Completed,
        approved: Option<Amount>,
    ) -> Completed {
        let completion = self.table.transaction(handle);
        let extent = match completion.zip(approved) {
            None => Extent::Unknown,
            Some((found, approved)) if found.facts.amount == approved => Extent::Whole,
            Some(_) => Extent::Other,
        };
        Completed {
            extent,
            ..completed
        }
    }

    pub(crate) fn select_issuer(&mut self, handle: Handle, issuer: IssuerId, completed: Completed) {
        let frame = self.table.transaction(handle).and_then(|found| found.frame);
        let Some(frame) = frame else {
            debug_assert!(false, "whoever asks for an issuer has a frame to send");
            return;
        };
        self.emit(Output::SelectIssuer(WantedIssuer {
            handle,
            frame,
            issuer,
            completed,
        }));
    }
}

#[cfg(test)]
mod tests;
