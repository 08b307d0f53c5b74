//! What an answer says about the message that it came for.

use iso8583::MessageRef;

use crate::inflight::Entry;
use crate::recorder::Outcome;

/// How a message ended, and what its answer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    /// DE39.
    pub(super) code: Option<[u8; 2]>,
    /// DE38.
    pub(super) authorisation: Option<[u8; 6]>,
}

impl Finding {
    /// Checks an answer: its type, DE39, and every field that it must repeat.
    pub(super) fn of(entry: &Entry, answer: MessageRef<'_>, readable: bool) -> Self {
        let code = answer.array(39);
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
            Outcome::Unexpected => self.code != Some(*b"30"),
            Outcome::Refused
            | Outcome::Reversed
            | Outcome::Timeout
            | Outcome::Disconnected
            | Outcome::Protocol
            | Outcome::Mismatched
            | Outcome::Duplicate => false,
        }
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
    code: Option<[u8; 2]>,
) -> Outcome {
    let Some(code) = code.filter(|_| readable) else {
        return Outcome::Protocol;
    };
    if entry.mti.response() != Some(answer.mti()) {
        return Outcome::Mismatched;
    }
    let differing = match &code {
        b"10" => entry.echo.differs_beside_amount(answer),
        // Refused before it was read as a whole: what could not be read is not repeated.
        b"30" | b"96" => entry.echo.differs(answer, true),
        _ => entry.echo.differs(answer, false),
    };
    if differing.is_some() {
        return Outcome::Mismatched;
    }
    classify(&code)
}

/// Semantics of DE39 for an acquirer whose messages are right.
fn classify(code: &[u8; 2]) -> Outcome {
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
