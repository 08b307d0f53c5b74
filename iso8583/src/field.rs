//! A field is a row of data: length, prefix, class, encoding, sensitivity, part in the answer.

use crate::class::{self, Class};
use crate::error::DialectError;

/// One row of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// 2 to 128, and not 65.
    pub number: u8,
    /// Its name in the standard.
    pub name: &'static str,
    /// How long the value is.
    pub length: Length,
    /// How a variable length is written.
    pub prefix: Prefix,
    /// What its characters may be.
    pub class: Class,
    /// How the value is written.
    pub encoding: Encoding,
    /// Who may see it.
    pub sensitivity: Sensitivity,
    /// What becomes of it in an answer.
    pub relay: Relay,
}

impl FieldSpec {
    /// A public text field that is no part of an answer.
    #[must_use]
    pub const fn new(number: u8, name: &'static str, class: Class, length: Length) -> Self {
        Self {
            number,
            name,
            length,
            prefix: Prefix::Ascii,
            class,
            encoding: Encoding::Ascii,
            sensitivity: Sensitivity::Public,
            relay: Relay::Never,
        }
    }

    /// The same field with another encoding.
    #[must_use]
    pub const fn encoded(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// The same field with another sensitivity.
    #[must_use]
    pub const fn seen_as(mut self, sensitivity: Sensitivity) -> Self {
        self.sensitivity = sensitivity;
        self
    }

    /// The same field with another part in the answer.
    #[must_use]
    pub const fn relayed(mut self, relay: Relay) -> Self {
        self.relay = relay;
        self
    }

    /// The row as the passes over bytes read it.
    pub(crate) const fn rule(&self) -> Result<Rule, DialectError> {
        let (prefix_len, units_max, prefix_max) = match self.length {
            Length::Fixed(len) => (0, len, MAX_UNITS),
            Length::L(max) => (1, max, 9),
            Length::Ll(max) => (2, max, 99),
            Length::Lll(max) => (3, max, 999),
        };
        if units_max == 0 || units_max > prefix_max {
            return Err(DialectError::Length(self.number));
        }
        let (head, tail) = match self.encoding {
            Encoding::Ascii => self.class.masks(),
            Encoding::Binary | Encoding::Hex => (0, 0),
        };
        Ok(Rule {
            units_max,
            prefix_len,
            encoding: self.encoding,
            head,
            tail,
            defined: true,
        })
    }
}

/// How long a value is, in units of its encoding: characters, or bytes where it is binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Always this long.
    Fixed(u16),
    /// One digit of length, at most this long.
    L(u16),
    /// Two digits of length, at most this long.
    Ll(u16),
    /// Three digits of length, at most this long.
    Lll(u16),
}

/// How a variable length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Decimal digits in ASCII.
    Ascii,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One character per byte.
    Ascii,
    /// Bytes as they are.
    Binary,
    /// Each byte as two hexadecimal digits: read in either case, written in upper case.
    Hex,
}

/// Who may see a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// May be shown and stored.
    Public,
    /// An account number: first six and last four digits may be shown.
    Pan,
    /// Sensitive authentication data, or a private field that may hold some: never shown, never
    /// stored, zeroed when the issuer has it.
    Sad,
}

/// What becomes of a field in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    /// The request's own bytes stand in every answer to it.
    Echo,
    /// The issuer's bytes are kept and stand in every answer to the request.
    Replay,
    /// Neither.
    Never,
}

/// A row as the passes over bytes read it: eight bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// The length, or the maximum where there is a prefix.
    pub(crate) units_max: u16,
    /// Digits of the length prefix; 0 for a fixed length.
    pub(crate) prefix_len: u8,
    /// How the value is written.
    pub(crate) encoding: Encoding,
    /// What the first byte must have in the table of its character set.
    head: u8,
    /// What the other bytes must have.
    tail: u8,
    /// Whether there is a row at all.
    pub(crate) defined: bool,
}

impl Rule {
    /// Stands where the dialect has no row.
    pub(crate) const UNDEFINED: Self = Self {
        units_max: 0,
        prefix_len: 0,
        encoding: Encoding::Binary,
        head: 0,
        tail: 0,
        defined: false,
    };

    /// Bytes on the wire of a value of `units`.
    #[inline]
    pub(crate) const fn wire_len(self, units: usize) -> usize {
        match self.encoding {
            Encoding::Ascii | Encoding::Binary => units,
            Encoding::Hex => units.saturating_mul(2),
        }
    }

    /// Whether a value may have this many units.
    #[inline]
    pub(crate) fn has_length(self, units: usize) -> bool {
        let max = usize::from(self.units_max);
        if self.prefix_len == 0 {
            units == max
        } else {
            units <= max
        }
    }

    /// Whether a value, not yet encoded, is in its class.
    #[inline]
    pub(crate) fn admits_value(self, value: &[u8]) -> bool {
        matches!(self.encoding, Encoding::Hex) || self.admits(value)
    }

    /// Whether the wire bytes of a value are in its class.
    #[inline]
    pub(crate) fn admits(self, wire: &[u8]) -> bool {
        if self.head == self.tail {
            return match self.encoding {
                Encoding::Ascii => self.tail == 0 || class::all(&class::ASCII, wire, self.tail),
                Encoding::Binary => true,
                Encoding::Hex => wire.iter().all(u8::is_ascii_hexdigit),
            };
        }
        wire.split_at_checked(1).is_none_or(|(head, tail)| {
            class::all(&class::ASCII, head, self.head) && class::all(&class::ASCII, tail, self.tail)
        })
    }
}

const MAX_UNITS: u16 = 9999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_a_prefix_cannot_say_are_refused() {
        let check = |length, fits: bool| {
            let row = FieldSpec::new(48, "row", Class::Ans, length);
            assert_eq!(row.rule().is_ok(), fits, "{length:?}");
        };
        check(Length::L(9), true);
        check(Length::L(10), false);
        check(Length::Ll(99), true);
        check(Length::Ll(100), false);
        check(Length::Lll(999), true);
        check(Length::Lll(1000), false);
        check(Length::Fixed(0), false);
        check(Length::Ll(0), false);
    }

    #[test]
    fn a_sign_comes_first_and_only_first() {
        let rule = FieldSpec::new(28, "fee", Class::Xn, Length::Fixed(9))
            .rule()
            .unwrap();
        let check = |value: &[u8], admitted: bool| assert_eq!(rule.admits(value), admitted);
        check(b"C00000100", true);
        check(b"D00000100", true);
        check(b"000000100", false);
        check(b"CC0000100", false);
        check(b"-00000100", false);
    }
}
