//! DE39 and what it means for the switch (semantics.md §9).

use core::fmt;
use core::hash::{Hash, Hasher};

use crate::bytes::Text;
use crate::error::InvalidValue;
use crate::result_code::{CodeClass, CodeEdition, ResultCode};
use crate::time::{decimal, digits_of};

/// A response code. Inside the switch it is the internal one: that of 1987 where 1987 has one of
/// the same meaning, else that of the edition that it came in. What an issuer really sent goes with
/// it, and is no part of what is compared: rules and counters know the internal code alone.
#[derive(Clone, Copy)]
pub struct ResponseCode {
    /// Two letters or digits; three digits as a number from 0x0100 on, four from 0x0800 on. Neither
    /// begins like a letter or a digit.
    code: [u8; 2],
    /// As it came, in the same form; zeros where that is the code itself.
    sent: [u8; 2],
}

impl ResponseCode {
    /// 00, approved.
    pub const APPROVED: Self = Self::of_an2(*b"00");
    /// 05, do not honour.
    pub const DO_NOT_HONOUR: Self = Self::of_an2(*b"05");
    /// 09, request in progress: 923 in 1993.
    pub const IN_PROGRESS: Self = Self::of_an2(*b"09");
    /// 10, approved for a part of the amount.
    pub const PARTIAL_APPROVAL: Self = Self::of_an2(*b"10");
    /// 12, invalid transaction: a message that is not served here.
    pub const INVALID_TRANSACTION: Self = Self::of_an2(*b"12");
    /// 13, invalid amount.
    pub const INVALID_AMOUNT: Self = Self::of_an2(*b"13");
    /// 25, original not found.
    pub const ORIGINAL_NOT_FOUND: Self = Self::of_an2(*b"25");
    /// 30, format error.
    pub const FORMAT_ERROR: Self = Self::of_an2(*b"30");
    /// 51, insufficient funds.
    pub const INSUFFICIENT_FUNDS: Self = Self::of_an2(*b"51");
    /// 59, suspected fraud.
    pub const SUSPECTED_FRAUD: Self = Self::of_an2(*b"59");
    /// 61, exceeds the amount limit.
    pub const EXCEEDS_AMOUNT_LIMIT: Self = Self::of_an2(*b"61");
    /// 62, restricted card.
    pub const RESTRICTED_CARD: Self = Self::of_an2(*b"62");
    /// 63, security violation.
    pub const SECURITY_VIOLATION: Self = Self::of_an2(*b"63");
    /// 65, exceeds the frequency limit.
    pub const EXCEEDS_FREQUENCY_LIMIT: Self = Self::of_an2(*b"65");
    /// 68, response received too late.
    pub const RECEIVED_TOO_LATE: Self = Self::of_an2(*b"68");
    /// 90, cut-off in progress.
    pub const CUT_OFF: Self = Self::of_an2(*b"90");
    /// 91, issuer or switch inoperative.
    pub const ISSUER_INOPERATIVE: Self = Self::of_an2(*b"91");
    /// 911 of 1993, the issuer timed out: 91 in 1987.
    pub const ISSUER_TIMED_OUT: Self = Self::of_n3(911);
    /// 92, cannot route.
    pub const CANNOT_ROUTE: Self = Self::of_an2(*b"92");
    /// 94, duplicate transmission.
    pub const DUPLICATE: Self = Self::of_an2(*b"94");
    /// 96, system malfunction.
    pub const MALFUNCTION: Self = Self::of_an2(*b"96");

    /// Reads the DE39 of 1987: two ASCII letters or digits.
    ///
    /// # Errors
    /// Another length or another character.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidValue> {
        let code: [u8; 2] = bytes.try_into().map_err(|_| InvalidValue::Length("DE39"))?;
        if !code.iter().all(u8::is_ascii_alphanumeric) {
            return Err(InvalidValue::Character("DE39"));
        }
        Ok(Self::of_an2(code))
    }

    /// Reads a DE39 of any edition, which its length tells.
    ///
    /// # Errors
    /// Another length, or another character than the edition's.
    pub fn read(bytes: &[u8]) -> Result<Self, InvalidValue> {
        let number = || decimal("DE39", bytes).map(|number| u16::try_from(number).unwrap_or(0));
        match bytes.len() {
            2 => Self::new(bytes),
            3 => Ok(Self::of_n3(number()?)),
            4 => Ok(Self::of_n4(number()?)),
            _ => Err(InvalidValue::Length("DE39")),
        }
    }

    /// The internal code for one that was read, by the standard's meanings. What was read goes with
    /// it.
    #[must_use]
    pub fn internal(self) -> Self {
        if matches!(self.edition(), CodeEdition::An2) {
            return self;
        }
        let meaning = ResultCode::of(self);
        let an2 = meaning.written_in(CodeEdition::An2);
        // One that would come back as another one stays what it is.
        let is_pair = an2.written_in(self.edition()) == self;
        if is_pair && !matches!(meaning, ResultCode::Other(_)) {
            an2.sent_as(self)
        } else {
            self
        }
    }

    /// How an edition writes it.
    #[must_use]
    pub fn written_in(self, edition: CodeEdition) -> Self {
        if self.edition() == edition {
            return self;
        }
        ResultCode::of(self).written_in(edition)
    }

    /// Its meaning.
    #[must_use]
    pub fn meaning(self) -> ResultCode {
        ResultCode::of(self)
    }

    /// What is done with it.
    #[must_use]
    pub fn class(self) -> CodeClass {
        CodeClass::of(self)
    }

    /// The same code, of an answer that really said `sent`.
    #[must_use]
    pub const fn sent_as(mut self, sent: Self) -> Self {
        let [first, second] = sent.code;
        let [own_first, own_second] = self.code;
        self.sent = if first == own_first && second == own_second {
            [0, 0]
        } else {
            sent.code
        };
        self
    }

    /// As it came, when that is another code.
    #[must_use]
    pub const fn sent(self) -> Option<Self> {
        match self.sent {
            [0, 0] => None,
            sent => Some(Self::of_an2(sent)),
        }
    }

    /// Two bytes for storage, one to one: [`ResponseCode::from_stored`] reads them. Of a code of
    /// 1987 its two characters.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 2] {
        &self.code
    }

    /// Reads what [`ResponseCode::as_bytes`] gave.
    ///
    /// # Errors
    /// Bytes that stand for no code.
    pub fn from_stored(bytes: [u8; 2]) -> Result<Self, InvalidValue> {
        match u16::from_be_bytes(bytes) {
            N3_FROM..=N3_TO | N4_FROM..=N4_TO => Ok(Self::of_an2(bytes)),
            _ => Self::new(&bytes),
        }
    }

    /// Its characters, as they stand in DE39.
    #[must_use]
    pub fn digits(self) -> Text<4> {
        let number = u64::from(self.number());
        let text = match self.edition() {
            CodeEdition::An2 => Text::new("DE39", &self.code),
            CodeEdition::N3 => Text::new("DE39", &digits_of::<3>(number)),
            CodeEdition::N4 => Text::new("DE39", &digits_of::<4>(number)),
        };
        text.unwrap_or(Text::EMPTY)
    }

    /// Which edition writes it so.
    #[must_use]
    pub const fn edition(self) -> CodeEdition {
        match u16::from_be_bytes(self.code) {
            N3_FROM..=N3_TO => CodeEdition::N3,
            N4_FROM..=N4_TO => CodeEdition::N4,
            _ => CodeEdition::An2,
        }
    }

    /// In the approval set: 00, 08, 10, 11, 16; in 1993 000 to 099 (semantics.md §9.3 rule 2).
    #[must_use]
    pub fn is_approval(self) -> bool {
        self.class() == CodeClass::Approved
    }

    /// Counts against the issuer at its breaker: 91, 96, 68; 907, 909, 911, 912 (semantics.md §9.3
    /// rule 5). A business decline is a success.
    #[must_use]
    pub fn is_issuer_failure(self) -> bool {
        match self.edition() {
            CodeEdition::An2 => matches!(&self.code, b"91" | b"96" | b"68"),
            CodeEdition::N3 => matches!(self.number(), 907 | 909 | 911 | 912),
            CodeEdition::N4 => matches!(self.number(), 9007 | 9009 | 9011 | 9012),
        }
    }

    /// What this code means as the answer to an advice: unlike a reversal, one whose original is
    /// unknown or that is taken for a duplicate is not done with.
    #[must_use]
    pub fn advice_ending(self) -> ReversalEnding {
        let unlike = [ResultCode::OriginalNotFound, ResultCode::Duplicate];
        if unlike.contains(&self.meaning()) {
            ReversalEnding::Refused
        } else {
            self.reversal_ending()
        }
    }

    /// What a reversal's acknowledgement with this code does to the entry (semantics.md §13 rule
    /// 6).
    #[must_use]
    pub fn reversal_ending(self) -> ReversalEnding {
        match (self.class(), self.meaning()) {
            (CodeClass::Approved, _) => ReversalEnding::Settled,
            (_, ResultCode::OriginalNotFound | ResultCode::Duplicate) => ReversalEnding::Settled,
            (CodeClass::Retryable, _) => ReversalEnding::Retry,
            (CodeClass::Administrative, _) if self.acknowledges() => ReversalEnding::Settled,
            (CodeClass::Administrative | CodeClass::Declined | CodeClass::PickUp, _) => {
                ReversalEnding::Refused
            }
        }
    }

    /// Whether an administrative code says that a reversal or an advice was taken, or that its
    /// original is not known there.
    const fn acknowledges(self) -> bool {
        match self.edition() {
            CodeEdition::An2 => false,
            CodeEdition::N3 => matches!(self.number(), 400 | 480 | 481 | 900 | 901),
            CodeEdition::N4 => matches!(self.number(), 4000 | 4080 | 4081 | 9000 | 9001),
        }
    }

    /// From two characters, or from what is stored.
    pub(crate) const fn of_an2(code: [u8; 2]) -> Self {
        Self { code, sent: [0, 0] }
    }

    /// From three digits; what is above them is one decline like another.
    pub(crate) const fn of_n3(number: u16) -> Self {
        let number = if number > 999 { 100 } else { number };
        Self::of_an2(N3_FROM.saturating_add(number).to_be_bytes())
    }

    /// From four digits.
    pub(crate) const fn of_n4(number: u16) -> Self {
        let number = if number > 9999 { 1000 } else { number };
        Self::of_an2(N4_FROM.saturating_add(number).to_be_bytes())
    }

    /// The number of three or four digits; 0 for a code of 1987.
    pub(crate) const fn number(self) -> u16 {
        let stored = u16::from_be_bytes(self.code);
        match self.edition() {
            CodeEdition::An2 => 0,
            CodeEdition::N3 => stored.saturating_sub(N3_FROM),
            CodeEdition::N4 => stored.saturating_sub(N4_FROM),
        }
    }
}

impl PartialEq for ResponseCode {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for ResponseCode {}

impl Hash for ResponseCode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.code.hash(state);
    }
}

/// What the answer to a reversal means for the entry that owes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalEnding {
    /// The issuer has taken it, or never had the original: done.
    Settled,
    /// Try again later.
    Retry,
    /// Try three times in all, then hand it to people.
    Refused,
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.digits().as_str(), f)
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 000 to 999 and 0000 to 9999 as they are stored: all below the first digit, 0x30.
const N3_FROM: u16 = 0x0100;
const N3_TO: u16 = N3_FROM + 999;
const N4_FROM: u16 = 0x0800;
const N4_TO: u16 = N4_FROM + 9999;
const _: () = assert!(N3_TO < N4_FROM && N4_TO < 0x3000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_reversal() {
        let check = |code: &[u8], ending| {
            let code = ResponseCode::read(code).unwrap().internal();
            assert_eq!(code.reversal_ending(), ending, "{code}");
        };
        for code in [
            "00", "25", "94", "000", "400", "480", "481", "900", "901", "914", "4000",
        ] {
            check(code.as_bytes(), ReversalEnding::Settled);
        }
        for code in [
            "91", "09", "68", "90", "96", "907", "909", "911", "912", "923",
        ] {
            check(code.as_bytes(), ReversalEnding::Retry);
        }
        for code in ["30", "63", "904", "122", "500", "999", "Z9"] {
            check(code.as_bytes(), ReversalEnding::Refused);
        }
    }

    #[test]
    fn an_unknown_code_is_a_decline_and_is_kept() {
        for unknown in ["Z9", "85", "199", "999", "1885"] {
            let code = ResponseCode::read(unknown.as_bytes()).unwrap().internal();
            assert_eq!(code.class(), CodeClass::Declined, "{unknown}");
            assert!(!code.is_approval() && !code.is_issuer_failure());
            assert_eq!(code.digits().as_str(), unknown);
            assert_eq!(code.meaning(), ResultCode::Other(code));
        }
        for bytes in ["", "0", "0 ", "00 ", "0a0", "00000"] {
            assert!(ResponseCode::read(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        assert!(ResponseCode::new(b"000").is_err());
    }

    #[test]
    fn two_bytes_hold_each_code_and_no_other() {
        let mut readable = 0;
        for stored in 0..=u16::MAX {
            let bytes = stored.to_be_bytes();
            let Ok(code) = ResponseCode::from_stored(bytes) else {
                continue;
            };
            readable += 1;
            assert_eq!(code.as_bytes(), &bytes);
            let again = ResponseCode::read(code.digits().as_bytes()).unwrap();
            assert_eq!(again, code, "{code}");
        }
        assert_eq!(readable, 62 * 62 + 1_000 + 10_000);
        assert!(ResponseCode::from_stored([0, 0]).is_err());
    }

    #[test]
    fn what_was_sent_goes_along_and_is_not_compared() {
        let sent = ResponseCode::read(b"116").unwrap();
        let code = sent.internal();
        assert_eq!(code, ResponseCode::INSUFFICIENT_FUNDS);
        assert_eq!(code.sent(), Some(sent));
        assert_eq!(ResponseCode::INSUFFICIENT_FUNDS.sent(), None);
        assert_eq!(code.sent_as(code).sent(), None);
    }
}
