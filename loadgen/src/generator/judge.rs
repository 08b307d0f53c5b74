//! What an answer says about the message that it came for.

use domain::bytes::Text;
use domain::response_code::ResponseCode;
use domain::result_code::{CodeClass, CodeEdition};
use iso8583::MessageRef;
use iso8583::mti::Function;

use crate::inflight::Entry;
use crate::recorder::Outcome;

/// How a message ended, and what its answer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    /// DE39, of two characters or, in 1993, three digits.
    pub(super) code: Option<Text<4>>,
    /// DE38.
    pub(super) authorisation: Option<[u8; 6]>,
}

impl Finding {
    /// Checks an answer: its type, DE39, and every field that it must repeat.
    pub(super) fn of(entry: &Entry, answer: MessageRef<'_>, readable: bool) -> Self {
        let mut scratch = [0; 4];
        let told = answer.decode(39, &mut scratch);
        let code = told.and_then(|code| Text::new("DE39", code).ok());
        Self {
            outcome: outcome(entry, answer, readable, code),
            code,
            authorisation: answer.array(38),
        }
    }

    /// Whether it says what became of the request. What was refused for want of room, or could not
    /// be read on its way, was not taken in.
    pub(super) fn is_final(&self) -> bool {
        match self.outcome {
            Outcome::Approved | Outcome::Declined => true,
            Outcome::Unexpected => !self.says(ResponseCode::FORMAT_ERROR),
            Outcome::Refused
            | Outcome::Reversed
            | Outcome::Timeout
            | Outcome::Disconnected
            | Outcome::Protocol
            | Outcome::Mismatched
            | Outcome::Duplicate => false,
        }
    }

    /// Whether a part of the amount was approved.
    pub(super) fn is_partial(&self) -> bool {
        self.says(ResponseCode::PARTIAL_APPROVAL)
    }

    fn says(&self, code: ResponseCode) -> bool {
        let told = self.code.and_then(|told| meaning(told.as_bytes()));
        told == Some(code)
    }

    /// It ended without an answer.
    pub(super) const fn without_answer(outcome: Outcome) -> Self {
        Self {
            outcome,
            code: None,
            authorisation: None,
        }
    }
}

fn outcome(
    entry: &Entry,
    answer: MessageRef<'_>,
    readable: bool,
    code: Option<Text<4>>,
) -> Outcome {
    let Some(told) = code.filter(|_| readable) else {
        return Outcome::Protocol;
    };
    let Some(code) = meaning(told.as_bytes()) else {
        return Outcome::Unexpected;
    };
    if entry.mti.response() != Some(answer.mti()) {
        return Outcome::Mismatched;
    }
    let differing = match code.as_bytes() {
        b"10" => entry.echo.differs_beside_amount(answer),
        // Refused before it was read as a whole: what could not be read is not repeated.
        b"30" | b"96" => entry.echo.differs(answer, true),
        _ => entry.echo.differs(answer, false),
    };
    if differing.is_some() {
        return Outcome::Mismatched;
    }
    // In 1993 it acknowledges what was reported; a request is not answered so.
    let asks = entry.mti.function() == Function::Request;
    let sent = ResponseCode::read(told.as_bytes());
    if asks && sent.is_ok_and(|sent| sent.class() == CodeClass::Administrative) {
        return Outcome::Unexpected;
    }
    classify(code.as_bytes())
}

/// Whether a copy was refused for want of room: that says nothing of what another one came to.
pub(super) fn is_refusal(answer: MessageRef<'_>) -> bool {
    let mut scratch = [0; 4];
    let told = answer.decode(39, &mut scratch).and_then(meaning);
    told == Some(ResponseCode::MALFUNCTION)
}

/// What 1987 would have said.
fn meaning(told: &[u8]) -> Option<ResponseCode> {
    let told = ResponseCode::read(told).ok()?;
    Some(told.written_in(CodeEdition::An2))
}

/// Semantics of DE39 for an acquirer whose messages are right.
pub(crate) fn classify(code: &[u8; 2]) -> Outcome {
    match code {
        b"00" | b"08" | b"10" | b"11" | b"16" => Outcome::Approved,
        b"96" => Outcome::Refused,
        b"12" | b"13" | b"25" | b"30" | b"63" | b"90" | b"92" | b"93" | b"94" | b"95" | b"09" => {
            Outcome::Unexpected
        }
        code if code.iter().all(u8::is_ascii_digit) => Outcome::Declined,
        _ => Outcome::Unexpected,
    }
}
