//! What a received message is, before anything is remembered of it.

use domain::ResponseCode;
use iso8583::error::ParseError;
use iso8583::mti::{Class as MessageClass, Function, Origin};
use iso8583::{MessageRef, Mti, translate};

use crate::frame::Claim;

/// What to do with a message from an acquirer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A request, an advice, a reversal or an administrative message of the dialect's edition, of
    /// any origin: for the loop.
    Transaction(Claim),
    /// A network message that asks something: answered in the session.
    Network,
    /// The answer to one of ours.
    NetworkAnswer,
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
    let mti = message.mti();
    if mti.version() != message.dialect().version() || mti.origin() == Origin::Reserved {
        return refuse(message, unserved(mti), None);
    }
    match (mti.class(), mti.function()) {
        (
            MessageClass::Authorisation | MessageClass::Financial | MessageClass::Reversal,
            Function::Request | Function::Advice,
        ) => transaction(message),
        (MessageClass::Reconciliation, Function::Request | Function::Advice) => {
            reconciliation(message)
        }
        (MessageClass::Administrative, Function::Request | Function::Advice) => {
            administrative(message)
        }
        (MessageClass::Network, Function::Request | Function::Advice) => Class::Network,
        (MessageClass::Network, Function::RequestResponse | Function::AdviceResponse) => {
            Class::NetworkAnswer
        }
        _ => refuse(message, unserved(mti), None),
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

/// Its leader is found by DE11; what else it lacks is told in its answer.
fn reconciliation(message: MessageRef<'_>) -> Class {
    match translate::stan(message) {
        Ok(_) => Class::Transaction(Claim::Reconciliation),
        Err(error) => refuse(message, ResponseCode::FORMAT_ERROR, Some(error.field)),
    }
}

/// What names it must be there; whether there is a way for it is decided later.
fn administrative(message: MessageRef<'_>) -> Class {
    match (transaction(message), translate::administrative(message)) {
        (Class::Transaction(claim), Ok(_)) => Class::Transaction(claim),
        (Class::Transaction(_), Err(error)) => {
            refuse(message, ResponseCode::FORMAT_ERROR, Some(error.field))
        }
        (refused, _) => refused,
    }
}

/// An MTI that is well formed but not served is 12, as is one of another edition; one with a digit
/// that means nothing is 30.
fn unserved(mti: Mti) -> ResponseCode {
    if mti.is_well_formed() {
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

#[cfg(test)]
mod tests {
    use iso8583::{Dialect, FieldIndex, Writer};

    use super::*;

    /// What becomes of a good message of this type in a dialect.
    fn classified(dialect: &'static Dialect, mti: &str) -> Class {
        let mut out = [0; 512];
        let mti = Mti::new(mti.as_bytes().try_into().unwrap()).unwrap();
        let mut writer = Writer::new(dialect, mti, &mut out);
        let later = dialect != Dialect::ISO87_ASCII;
        let fields: [(u8, &[u8]); 10] = [
            (2, b"5061001234567890"),
            (3, b"000000"),
            (4, b"000000001500"),
            (7, b"0601120000"),
            (11, b"000042"),
            (12, if later { b"260601120000" } else { b"120000" }),
            (24, b"200"),
            (41, b"TERM0001"),
            (49, b"404"),
            (70, b"301"),
        ];
        for (number, value) in fields {
            writer.put(number, value).unwrap();
        }
        let len = writer.finish().unwrap();
        let mut index = FieldIndex::new();
        let parsed = dialect.parse(&out[..len], &mut index);
        classify(MessageRef::new(&out[..len], &index), parsed)
    }

    /// All ten thousand types, by a second reading of semantics.md §1.
    fn expected(version: u8, mti: &[u8; 4]) -> Class {
        let [v, class, function, origin] = mti.map(|digit| digit - b'0');
        let code = |code| Class::Refuse { code, field: None };
        if v == version && class == 8 && matches!(function, 1 | 3) && origin <= 5 {
            return Class::NetworkAnswer;
        }
        if function % 2 == 1 || function > 2 || origin > 5 {
            return Class::Close;
        }
        if !matches!(v, 0 | 1 | 2 | 8 | 9) || class == 0 || class == 9 {
            return code(ResponseCode::FORMAT_ERROR);
        }
        let served = matches!((class, function), (1 | 2 | 4, 0 | 2));
        match (v == version, class) {
            (true, 8) => Class::Network,
            (true, 4) if served => Class::Transaction(Claim::Reversal),
            (true, 5) => Class::Transaction(Claim::Reconciliation),
            (true, 6) => Class::Transaction(Claim::Administrative),
            (true, _) if served && function == 2 => Class::Transaction(Claim::Advice),
            (true, _) if served && origin % 2 == 1 => Class::Transaction(Claim::Repeat),
            (true, _) if served => Class::Transaction(Claim::New),
            (true | false, _) => code(ResponseCode::INVALID_TRANSACTION),
        }
    }

    #[test]
    fn fault_081_each_type_is_served_refused_or_closes() {
        for (version, dialect) in [(0, Dialect::ISO87_ASCII), (1, Dialect::ISO93_ASCII)] {
            for number in 0..10_000_u32 {
                let mti = format!("{number:04}");
                let expected = expected(version, mti.as_bytes().try_into().unwrap());
                assert_eq!(classified(dialect, &mti), expected, "{mti} in {dialect:?}");
            }
        }
    }
}
