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
        let (prefix, units_max, prefix_max) = match self.length {
            Length::Fixed(len) => (PrefixLen::None, len, UNITS_MAX),
            Length::L(max) => (PrefixLen::One, max, 9),
            Length::Ll(max) => (PrefixLen::Two, max, 99),
            Length::Lll(max) => (PrefixLen::Three, max, UNITS_MAX),
        };
        if units_max == 0 || units_max > prefix_max {
            return Err(DialectError::Length(self.number));
        }
        let content = match (self.encoding, self.class) {
            (Encoding::Hex, _) => Content::Hex,
            (Encoding::Binary, _) | (Encoding::Ascii, Class::B) => Content::Any,
            (Encoding::Ascii, Class::Xn) => Content::Signed,
            (Encoding::Ascii, class) if class::Check::is_quick(class) => Content::Quick,
            (Encoding::Ascii, _) => Content::Looked,
        };
        Ok(Rule {
            check: class::Check::of(self.class),
            content,
            wire_len_max: self.encoding.wire_len(units_max),
            units_min: match prefix {
                PrefixLen::None => units_max,
                PrefixLen::One | PrefixLen::Two | PrefixLen::Three | PrefixLen::Undefined => 0,
            },
            units_max,
            prefix,
            encoding: self.encoding,
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

impl Encoding {
    /// Bytes on the wire of a value of `units`.
    const fn wire_len(self, units: u16) -> u16 {
        match self {
            Self::Ascii | Self::Binary => units,
            Self::Hex => units.saturating_mul(2),
        }
    }
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

/// A row as the passes over bytes read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    check: class::Check,
    content: Content,
    /// Bytes of the longest value.
    wire_len_max: u16,
    /// The length, or 0 where there is a prefix.
    units_min: u16,
    /// The length, or the maximum where there is a prefix.
    units_max: u16,
    /// How many digits of length come before the value.
    pub(crate) prefix: PrefixLen,
    /// How the value is written.
    pub(crate) encoding: Encoding,
}

impl Rule {
    /// Stands where the dialect has no row.
    pub(crate) const UNDEFINED: Self = Self {
        check: class::Check::of(Class::B),
        content: Content::Any,
        wire_len_max: 0,
        units_min: 0,
        units_max: 0,
        prefix: PrefixLen::Undefined,
        encoding: Encoding::Binary,
    };

    /// Whether the dialect has a row.
    #[inline]
    pub(crate) const fn is_defined(&self) -> bool {
        !matches!(self.prefix, PrefixLen::Undefined)
    }

    /// The length, or the maximum where there is a prefix.
    #[inline]
    pub(crate) fn units_max(&self) -> usize {
        usize::from(self.units_max)
    }

    /// Bytes on the wire of the longest value, or of each where the length is fixed.
    #[inline]
    pub(crate) fn wire_len_max(&self) -> usize {
        usize::from(self.wire_len_max)
    }

    /// Bytes on the wire of a value of `units`.
    #[inline]
    pub(crate) const fn wire_len(&self, units: usize) -> usize {
        if matches!(self.encoding, Encoding::Hex) {
            return units.saturating_mul(2);
        }
        units
    }

    /// Whether a value that is not yet encoded is in its class.
    #[inline(always)]
    pub(crate) fn admits_value(&self, value: &[u8]) -> bool {
        self.content == Content::Hex || self.admits(value)
    }

    /// Whether every byte is in its class.
    pub(crate) fn admits_any(&self) -> bool {
        matches!(self.content, Content::Any | Content::Hex)
    }

    /// Whether a value may have this many units.
    #[inline]
    pub(crate) fn has_length(&self, units: usize) -> bool {
        units >= usize::from(self.units_min) && units <= self.units_max()
    }

    /// Whether the wire bytes of a value are in its class.
    #[inline(always)]
    pub(crate) fn admits(&self, wire: &[u8]) -> bool {
        if self.content == Content::Quick {
            return self.check.admits(wire);
        }
        self.content == Content::Any || self.admits_special(wire)
    }

    /// Apart, so that the commonest case is not one leg of a jump table.
    #[inline(never)]
    fn admits_special(&self, wire: &[u8]) -> bool {
        match self.content {
            Content::Any => true,
            Content::Quick => self.check.admits(wire),
            Content::Looked => self.check.admits_slowly(wire),
            Content::Signed => match wire.split_first() {
                Some((sign, digits)) => class::is_sign(*sign) && self.check.admits(digits),
                None => true,
            },
            Content::Hex => class::are_hex(wire),
        }
    }
}

/// What the bytes of a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// All in a class that has a shortcut.
    Quick,
    /// All in a class of the table.
    Looked,
    /// Anything.
    Any,
    /// A sign, then all in one class.
    Signed,
    /// Hexadecimal digits.
    Hex,
}

/// How many digits of length come before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefixLen {
    /// The length is fixed.
    None = 0,
    /// L.
    One = 1,
    /// LL.
    Two = 2,
    /// LLL.
    Three = 3,
    /// There is no such field.
    Undefined,
}

impl PrefixLen {
    /// Bytes of the prefix.
    #[inline]
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Undefined => 0,
            Self::None | Self::One | Self::Two | Self::Three => self as usize,
        }
    }
}

/// What the longest prefix can say, and the longest value of any field.
pub(crate) const UNITS_MAX: u16 = 999;

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
