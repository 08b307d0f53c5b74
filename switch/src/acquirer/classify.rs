//! What a received message is, before anything is remembered of it.

use domain::ResponseCode;
use iso8583::error::ParseError;
use iso8583::{MessageRef, Mti, translate};

use crate::frame::Claim;

/// What to do with a message from an acquirer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 0100, 0120, 0200, 0220, 0400, 0420 and their repeats: for the loop.
    Transaction(Claim),
    /// 0800, 0801, 0820: answered in the session.
    Network,
    /// Answered at once, and nothing is remembered.
    Refuse {
        /// DE39.
        code: ResponseCode,
        /// The field at fault, for DE44.
        field: Option<u8>,
    },
    /// Cannot be answered: the session is closed.
    Close,
}

/// Decides by the table of semantics.md §1 and faults.md rows 76–78 and 81.
pub(crate) fn classify(message: MessageRef<'_>, parsed: Result<(), ParseError>) -> Class {
    if let Err(error) = parsed {
        return refuse(message, ResponseCode::FORMAT_ERROR, Some(error.field));
    }
    match message.mti().as_bytes() {
        b"0100" | b"0101" | b"0120" | b"0121" | b"0200" | b"0201" | b"0220" | b"0221" | b"0400"
        | b"0401" | b"0420" | b"0421" => transaction(message),
        b"0800" | b"0801" | b"0820" => Class::Network,
        _ => refuse(message, unserved(message.mti()), None),
    }
}

/// What no request or reversal may lack, and what its fields hold, is looked at before it takes
/// room anywhere.
fn transaction(message: MessageRef<'_>) -> Class {
    let checked = message
        .check_requirements()
        .and_then(|()| message.check_chip_data());
    match checked {
        Err(error) => refuse(message, ResponseCode::FORMAT_ERROR, Some(error.field)),
        Ok(()) => Class::Transaction(Claim::of(message)),
    }
}

/// An MTI that is well formed but not served is 12; one of another version is 30.
fn unserved(mti: Mti) -> ResponseCode {
    if mti.as_bytes().first() == Some(&b'0') {
        ResponseCode::INVALID_TRANSACTION
    } else {
        ResponseCode::FORMAT_ERROR
    }
}

/// An answer needs an MTI that has one, DE11 and DE41; without them the stream is not trusted.
pub(crate) fn refuse(message: MessageRef<'_>, code: ResponseCode, field: Option<u8>) -> Class {
    if translate::can_be_refused(message) {
        Class::Refuse { code, field }
    } else {
        Class::Close
    }
}
