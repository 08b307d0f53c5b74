//! What the acquirer was told, by request.

use std::path::Path;

use anyhow::Result;
use domain::amount::Amount;
use domain::ids::AuthorisationId;
use domain::response_code::ResponseCode;
use domain::time::WallTime;
use hashbrown::HashMap;
use iso8583::mti::{Class, Function};

use crate::acks::Ack;
use crate::trace_id::TraceId;

/// All requests of one `acks.log`.
#[derive(Debug, Default)]
pub struct AcquirerBook {
    pub(super) told: HashMap<TraceId, Told>,
    /// Requests that were told two different things.
    pub(super) contradicted: Vec<TraceId>,
    /// Requests whose reversal was declined: it is acknowledged, or there is no room for it.
    pub(super) kept: Vec<TraceId>,
    /// Answers that their message could not be read.
    pub(super) unread: u64,
}

/// What became of one request, as far as the acquirer knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) amount: Amount,
    /// The last answer that is not a mere refusal; `None` when there was no answer at all.
    pub(super) code: Option<ResponseCode>,
    pub(super) authorisation: AuthorisationId,
    /// When the first approval of it was read.
    pub(super) approved: Option<WallTime>,
    /// A copy of it was never answered.
    pub(super) unanswered: bool,
    pub(super) reversal: Reversal,
    /// Minor units that the reversal leaves.
    pub(super) stays: u64,
    /// It reports what has happened.
    pub(super) is_advice: bool,
    /// What it completes.
    pub(super) completes: Option<TraceId>,
}

/// What is known of its reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reversal {
    None,
    Unanswered,
    Declined,
    Acknowledged,
}

impl AcquirerBook {
    /// Reads a log.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let mut book = Self::default();
        Ack::read_all(path, |ack| book.fold(&ack))?;
        Ok(book)
    }

    /// Takes one line.
    pub fn fold(&mut self, ack: &Ack) {
        self.unread += u64::from(ack.code == Some(ResponseCode::FORMAT_ERROR));
        match (ack.mti.class(), ack.original) {
            (Class::Reversal, Some(original)) => self.fold_reversal(original, ack),
            (Class::Reversal, None) => {}
            _ => self.fold_request(ack),
        }
    }

    fn fold_request(&mut self, ack: &Ack) {
        let told = self
            .told
            .entry(ack.id)
            .or_insert_with(|| Told::unknown(ack.amount));
        told.is_advice = ack.mti.function() == Function::Advice;
        told.completes = ack.original;
        let Some(code) = ack.code else {
            told.unanswered = true;
            return;
        };
        if code.is_approval() {
            told.approved.get_or_insert(ack.at);
        }
        match told.code {
            Some(before) if before != code => {
                if is_not_taken_in(before) {
                    // It was not taken in at first.
                    told.code = Some(code);
                    told.authorisation = ack.authorisation;
                } else if !is_not_taken_in(code) {
                    self.contradicted.push(ack.id);
                }
            }
            Some(_) => {}
            None => {
                told.code = Some(code);
                told.authorisation = ack.authorisation;
            }
        }
    }

    fn fold_reversal(&mut self, original: TraceId, ack: &Ack) {
        let told = self
            .told
            .entry(original)
            .or_insert_with(|| Told::unknown(ack.amount));
        told.stays = ack.stays.min(ack.amount.minor());
        let now = match ack.code {
            Some(code) if code == ResponseCode::APPROVED => Reversal::Acknowledged,
            Some(code) if !is_not_taken_in(code) => Reversal::Declined,
            Some(_) | None => Reversal::Unanswered,
        };
        if now == Reversal::Acknowledged || told.reversal == Reversal::None {
            told.reversal = now;
        }
        if now == Reversal::Declined {
            self.kept.push(original);
        }
    }
}

impl Told {
    const fn unknown(amount: Amount) -> Self {
        Self {
            amount,
            code: None,
            authorisation: AuthorisationId::EMPTY,
            approved: None,
            unanswered: false,
            reversal: Reversal::None,
            stays: 0,
            is_advice: false,
            completes: None,
        }
    }

    /// What it was told that must not be lost: an approval, an acknowledged reversal.
    pub(super) fn acked_writes(&self) -> u64 {
        let approved = self.code.is_some_and(ResponseCode::is_approval);
        u64::from(approved) + u64::from(self.reversal == Reversal::Acknowledged)
    }

    /// Money as the acquirer knows it, in minor units.
    pub(super) fn money(&self) -> u64 {
        let approved = self.code.is_some_and(ResponseCode::is_approval);
        match self.reversal {
            _ if !approved => 0,
            Reversal::Acknowledged => self.stays,
            Reversal::None | Reversal::Unanswered | Reversal::Declined => self.amount.minor(),
        }
    }

    /// Whether it was told that what it names cannot be completed: unknown (25), reversed (94), or
    /// not so (12, 13). Who has reversed it is told 94 whatever it names.
    pub(super) fn was_denied(&self) -> bool {
        match self.code.map(|code| *code.as_bytes()).as_ref() {
            Some(b"12" | b"13" | b"25") => true,
            Some(b"94") => self.reversal == Reversal::None,
            Some(_) | None => false,
        }
    }

    /// The reversal of an advice came first: it is acknowledged, and that is all.
    pub(super) fn may_be_buried(&self) -> bool {
        self.is_advice && self.reversal == Reversal::Acknowledged
    }

    /// Whether it may know less than the journal: an answer to it or to its reversal was lost.
    pub(super) fn is_uncertain(&self) -> bool {
        let lost = self.unanswered && self.code.is_none_or(is_not_taken_in);
        (lost && self.reversal != Reversal::Acknowledged) || self.reversal == Reversal::Unanswered
    }
}

/// The switch has no room for it, or could not read it: of what came before, or after, it says
/// nothing.
fn is_not_taken_in(code: ResponseCode) -> bool {
    code == ResponseCode::MALFUNCTION || code == ResponseCode::FORMAT_ERROR
}
