//! What an operator has done by hand to something that is owed.

use core::fmt;

use crate::bytes::Text;
use crate::error::InvalidValue;
use crate::ids::TransactionId;
use crate::response_code::ResponseCode;
use crate::time::WallTime;

/// An operator has put something owed back, or taken it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operated {
    /// The transaction that owes it.
    pub transaction: TransactionId,
    /// When.
    pub decided: WallTime,
    /// Which of all that the transaction has owed, from 1.
    pub ordinal: u8,
    /// What it is.
    pub what: OwedKind,
    /// What was done.
    pub operation: Operation,
    /// By whom.
    pub operator: Operator,
    /// Why, in the operator's words.
    pub reason: Reason,
    /// The last DE39 of the issuer, if it ever answered.
    pub code: Option<ResponseCode>,
    /// Transmissions so far.
    pub attempts: u32,
}

/// What an issuer is owed. A closed set: it becomes a word in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OwedKind {
    /// A reversal.
    Reversal = 1,
    /// An advice.
    Advice = 2,
}

/// What an operator does to something that is owed. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// An exception is owed again; what waits is due at once.
    Retry = 1,
    /// It is owed no longer: an exception for people.
    Drop = 2,
}

/// Who has done something by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The user id on this machine, as the kernel says it.
    pub uid: u32,
    /// The user's name; empty when the machine has none for it.
    pub name: Text<32>,
}

/// A sentence of an operator: UTF-8 without control characters, at most [`Reason::LEN_MAX`] bytes.
/// It holds no account number: no twelve digits in a row, spaces and dashes between them aside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    len: u8,
    bytes: [u8; Self::LEN_MAX],
}

impl Reason {
    /// No reason.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::LEN_MAX],
    };
    /// Bytes of the longest one.
    pub const LEN_MAX: usize = 200;

    /// Takes a sentence.
    ///
    /// # Errors
    /// It is too long, has a control character, or might hold an account number.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        const WHAT: &str = "reason";
        if text.chars().any(char::is_control) || holds_number(text) {
            return Err(InvalidValue::Character(WHAT));
        }
        let mut reason = Self::EMPTY;
        let target = reason.bytes.get_mut(..text.len());
        let target = target.ok_or(InvalidValue::Length(WHAT))?;
        target.copy_from_slice(text.as_bytes());
        reason.len = u8::try_from(text.len()).map_err(|_| InvalidValue::Length(WHAT))?;
        Ok(reason)
    }

    /// The sentence.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len));
        core::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }

    /// Its bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The shortest account number has twelve digits.
fn holds_number(text: &str) -> bool {
    let mut run = 0_u32;
    text.chars().any(|letter| {
        if letter.is_ascii_digit() {
            run = run.saturating_add(1);
        } else if !matches!(letter, ' ' | '-') {
            run = 0;
        }
        run >= ACCOUNT_LEN_MIN
    })
}

const ACCOUNT_LEN_MIN: u32 = 12;
const _: () = assert!(Reason::LEN_MAX <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[track_caller]
    fn check(text: &str, taken: bool) {
        let reason = Reason::new(text);
        assert_eq!(reason.is_ok(), taken, "{text:?}");
        if let Ok(reason) = reason {
            assert_eq!(reason.as_str(), text);
        }
    }

    #[test]
    fn a_reason_is_a_sentence_without_an_account_number() {
        check("", true);
        check("the bank has booked it by hand, ticket 4711", true);
        check("clôturé à la main", true);
        check("two\nlines", false);
        check("card 4111 1111 1111 1111", false);
        check("card 4111-1111-1111", false);
        check("of 411111111111", false);
        check("12345678901 is short of one", true);
        check(&String::from_iter(["x"; 200]), true);
        check(&String::from_iter(["x"; 201]), false);
    }
}
