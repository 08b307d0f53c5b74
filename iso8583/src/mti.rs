//! The message type indicator: version, class, function, origin (semantics.md §1).

use core::fmt;

use domain::result_code::CodeEdition;

/// Four digits, `V C F O`. Any four digits are an MTI; which of them is served is a question for
/// the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mti([u8; 4]);

impl Mti {
    /// 0100.
    pub const AUTHORISATION_REQUEST: Self = Self(*b"0100");
    /// 0110.
    pub const AUTHORISATION_RESPONSE: Self = Self(*b"0110");
    /// 0200.
    pub const FINANCIAL_REQUEST: Self = Self(*b"0200");
    /// 0210.
    pub const FINANCIAL_RESPONSE: Self = Self(*b"0210");
    /// 0120.
    pub const AUTHORISATION_ADVICE: Self = Self(*b"0120");
    /// 0220.
    pub const FINANCIAL_ADVICE: Self = Self(*b"0220");
    /// 0102.
    pub const AUTHORISATION_COMPLETION: Self = Self(*b"0102");
    /// 0202.
    pub const FINANCIAL_COMPLETION: Self = Self(*b"0202");
    /// 0400.
    pub const REVERSAL_REQUEST: Self = Self(*b"0400");
    /// 0420.
    pub const REVERSAL_ADVICE: Self = Self(*b"0420");
    /// 0520.
    pub const RECONCILIATION_ADVICE: Self = Self(*b"0520");
    /// 0522.
    pub const ISSUER_RECONCILIATION_ADVICE: Self = Self(*b"0522");
    /// 0800.
    pub const NETWORK_REQUEST: Self = Self(*b"0800");
    /// 1804.
    pub const NETWORK_REQUEST_1993: Self = Self(*b"1804");

    /// Stands where none could be read.
    pub(crate) const UNREAD: Self = Self(*b"0000");

    /// Takes four ASCII digits; `None` for anything else.
    #[must_use]
    pub fn new(digits: [u8; 4]) -> Option<Self> {
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(Self(digits))
    }

    /// The four digits.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    /// The same type in another edition. What has no digit of its own changes nothing.
    #[must_use]
    pub const fn in_version(self, version: Version) -> Self {
        let [own, class, function, origin] = self.0;
        let digit = match version {
            Version::Iso1987 => b'0',
            Version::Iso1993 => b'1',
            Version::Iso2003 => b'2',
            Version::National | Version::Private | Version::Reserved => own,
        };
        Self([digit, class, function, origin])
    }

    /// Whether each digit has a meaning (semantics.md §1): what is well formed and not served is
    /// refused with 12, what is not with 30.
    #[must_use]
    pub fn is_well_formed(self) -> bool {
        self.version() != Version::Reserved
            && self.class() != Class::Reserved
            && self.function() != Function::Reserved
            && self.origin() != Origin::Reserved
    }

    /// The first digit.
    #[must_use]
    pub const fn version(self) -> Version {
        let [digit, ..] = self.0;
        match digit {
            b'0' => Version::Iso1987,
            b'1' => Version::Iso1993,
            b'2' => Version::Iso2003,
            b'8' => Version::National,
            b'9' => Version::Private,
            _ => Version::Reserved,
        }
    }

    /// The second digit.
    #[must_use]
    pub const fn class(self) -> Class {
        let [_, digit, ..] = self.0;
        match digit {
            b'1' => Class::Authorisation,
            b'2' => Class::Financial,
            b'3' => Class::FileAction,
            b'4' => Class::Reversal,
            b'5' => Class::Reconciliation,
            b'6' => Class::Administrative,
            b'7' => Class::FeeCollection,
            b'8' => Class::Network,
            _ => Class::Reserved,
        }
    }

    /// The third digit.
    #[must_use]
    pub const fn function(self) -> Function {
        let [_, _, digit, _] = self.0;
        match digit {
            b'0' => Function::Request,
            b'1' => Function::RequestResponse,
            b'2' => Function::Advice,
            b'3' => Function::AdviceResponse,
            b'4' => Function::Notification,
            _ => Function::Reserved,
        }
    }

    /// The fourth digit, without its repeat bit.
    #[must_use]
    pub const fn origin(self) -> Origin {
        let [.., digit] = self.0;
        match digit {
            b'0' | b'1' => Origin::Acquirer,
            b'2' | b'3' => Origin::Issuer,
            b'4' | b'5' => Origin::Other,
            _ => Origin::Reserved,
        }
    }

    /// Whether the origin digit is odd: the sender has sent it before.
    #[must_use]
    pub const fn is_repeat(self) -> bool {
        let [.., digit] = self.0;
        digit & 1 == 1
    }

    /// The same message as a repeat: the origin digit made odd.
    #[must_use]
    pub const fn repeat(self) -> Self {
        let [version, class, function, origin] = self.0;
        Self([version, class, function, origin | 1])
    }

    /// The same message as first sent: the origin digit made even.
    #[must_use]
    pub const fn first(self) -> Self {
        let [version, class, function, origin] = self.0;
        Self([version, class, function, origin & !1])
    }

    /// The MTI that answers this one; `None` for responses, notifications and reserved functions or
    /// origins. A repeat and its original have the same answer.
    #[must_use]
    pub const fn response(self) -> Option<Self> {
        let [version, class, ..] = self.0;
        let function = match self.function() {
            Function::Request => b'1',
            Function::Advice => b'3',
            Function::RequestResponse
            | Function::AdviceResponse
            | Function::Notification
            | Function::Reserved => return None,
        };
        let origin = match self.origin() {
            Origin::Acquirer => b'0',
            Origin::Issuer => b'2',
            Origin::Other => b'4',
            Origin::Reserved => return None,
        };
        Some(Self([version, class, function, origin]))
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or("????"))
    }
}

impl fmt::Debug for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which edition of the standard (first digit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 0.
    Iso1987,
    /// 1.
    Iso1993,
    /// 2.
    Iso2003,
    /// 8.
    National,
    /// 9.
    Private,
    /// 3 to 7.
    Reserved,
}

impl Version {
    /// How it writes response codes. Private versions follow 1987.
    #[must_use]
    pub const fn code_edition(self) -> CodeEdition {
        match self {
            Self::Iso1993 => CodeEdition::N3,
            Self::Iso2003 => CodeEdition::N4,
            Self::Iso1987 | Self::National | Self::Private | Self::Reserved => CodeEdition::An2,
        }
    }

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iso1987 => "ISO 8583:1987",
            Self::Iso1993 => "ISO 8583:1993",
            Self::Iso2003 => "ISO 8583:2003",
            Self::National => "national version",
            Self::Private => "private version",
            Self::Reserved => "reserved version",
        }
    }
}

/// What it is about (second digit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 1: holds funds, posts nothing.
    Authorisation,
    /// 2: posts.
    Financial,
    /// 3.
    FileAction,
    /// 4: reversal or chargeback.
    Reversal,
    /// 5.
    Reconciliation,
    /// 6.
    Administrative,
    /// 7.
    FeeCollection,
    /// 8: sign-on, sign-off, echo, keys, cut-over.
    Network,
    /// 0 and 9.
    Reserved,
}

impl Class {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorisation => "authorisation",
            Self::Financial => "financial",
            Self::FileAction => "file action",
            Self::Reversal => "reversal",
            Self::Reconciliation => "reconciliation",
            Self::Administrative => "administrative",
            Self::FeeCollection => "fee collection",
            Self::Network => "network management",
            Self::Reserved => "reserved class",
        }
    }
}

/// What it does (third digit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// 0.
    Request,
    /// 1.
    RequestResponse,
    /// 2: reports what has happened; cannot be refused.
    Advice,
    /// 3.
    AdviceResponse,
    /// 4: never answered.
    Notification,
    /// 5 to 9.
    Reserved,
}

impl Function {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::RequestResponse => "response",
            Self::Advice => "advice",
            Self::AdviceResponse => "advice response",
            Self::Notification => "notification",
            Self::Reserved => "reserved function",
        }
    }
}

/// Who began it (fourth digit, repeat bit apart). Not checked against the side it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// 0, 1.
    Acquirer,
    /// 2, 3.
    Issuer,
    /// 4, 5.
    Other,
    /// 6 to 9.
    Reserved,
}

impl Origin {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquirer => "acquirer",
            Self::Issuer => "issuer",
            Self::Other => "other",
            Self::Reserved => "reserved origin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn mti(digits: &str) -> Mti {
        Mti::new(digits.as_bytes().try_into().unwrap()).unwrap()
    }

    #[test]
    fn the_answers_of_the_table() {
        let check = |request: &str, response: Option<&str>| {
            assert_eq!(mti(request).response(), response.map(mti), "{request}");
        };
        for (request, repeat, response) in [
            ("0100", "0101", "0110"),
            ("0120", "0121", "0130"),
            ("0200", "0201", "0210"),
            ("0220", "0221", "0230"),
            ("0400", "0401", "0410"),
            ("0420", "0421", "0430"),
            ("0520", "0521", "0530"),
            ("0522", "0523", "0532"),
            ("0800", "0801", "0810"),
            ("0202", "0203", "0212"),
        ] {
            check(request, Some(response));
            check(repeat, Some(response));
        }
        check("0820", Some("0830"));
        check("1804", Some("1814"));
        for unanswered in ["0140", "0110", "0130", "0210", "0231", "0151", "0106"] {
            check(unanswered, None);
        }
    }

    /// The derivation once more, by arithmetic on the number instead of by name.
    fn oracle(number: u32) -> Option<u32> {
        let (function, origin) = (number / 10 % 10, number % 10);
        let answered = (function == 0 || function == 2) && origin < 6;
        answered.then(|| number / 100 * 100 + (function + 1) * 10 + origin / 2 * 2)
    }

    #[test]
    fn all_ten_thousand_agree_with_the_oracle() {
        for number in 0..10_000_u32 {
            let one = mti(&format!("{number:04}"));
            let expected = oracle(number).map(|response| mti(&format!("{response:04}")));
            assert_eq!(one.response(), expected, "{one}");
            assert_eq!(one.is_repeat(), number % 2 == 1);
            assert_eq!(one.repeat().response(), one.first().response());
            assert!(one.repeat().is_repeat() && !one.first().is_repeat());
            assert_eq!(one.version() == Version::Iso1987, number < 1000);
            assert_eq!(one.class() == Class::Network, number / 100 % 10 == 8);
            let [version, class, function, origin] = *one.as_bytes();
            let formed = b"01289".contains(&version)
                && (b'1'..=b'8').contains(&class)
                && function <= b'4'
                && origin <= b'5';
            assert_eq!(one.is_well_formed(), formed, "{one}");
            if let Some(response) = one.response() {
                assert_eq!(response.response(), None, "an answer is never answered");
                assert_eq!(response.version(), one.version());
                assert_eq!(response.class(), one.class());
                assert_eq!(response.origin(), one.origin());
            }
        }
    }

    #[test]
    fn only_digits_are_an_mti() {
        for bytes in [
            *b"02 0",
            *b"+200",
            *b"020a",
            [0x30, 0x32, 0x30, 0xB0],
            [0xF0, 0xF2, 0xF0, 0xF0],
        ] {
            assert_eq!(Mti::new(bytes), None);
        }
        assert_eq!(format!("{} {:?}", mti("0200"), mti("0421")), "0200 0421");
    }
}
