//! A field is a row of data: length, prefix, class, encoding, sensitivity, part in the answer.

use crate::calendar::{Calendar, Parts};
use crate::charset::Charset;
use crate::class::{self, Class};
use crate::composite::Composite;
use crate::error::DialectError;
use crate::packed::Packed;

/// One row of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// 2 to 192, and not 65; in a nested bitmap also 1 and 65.
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
    /// What its digits must be besides digits.
    pub calendar: Calendar,
    /// What the value holds.
    pub composite: Composite,
    /// Who may see it.
    pub sensitivity: Sensitivity,
    /// What becomes of it in an answer.
    pub relay: Relay,
}

impl FieldSpec {
    /// A public text field in ASCII that is no part of an answer.
    #[must_use]
    pub const fn new(number: u8, name: &'static str, class: Class, length: Length) -> Self {
        Self {
            number,
            name,
            length,
            prefix: Prefix::ASCII,
            class,
            encoding: Encoding::ASCII,
            calendar: Calendar::None,
            composite: Composite::Opaque,
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

    /// The same field with another way to write its length.
    #[must_use]
    pub const fn prefixed(mut self, prefix: Prefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// The same field with a date or time in it.
    #[must_use]
    pub const fn dated(mut self, calendar: Calendar) -> Self {
        self.calendar = calendar;
        self
    }

    /// The same field with something in its value.
    #[must_use]
    pub const fn holding(mut self, composite: Composite) -> Self {
        self.composite = composite;
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

    /// Whether its values are bytes, and not text.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        matches!(self.class, Class::B)
            || matches!(self.encoding, Encoding::Binary | Encoding::Hex(_))
    }

    /// Whether a value may have this many units.
    #[must_use]
    pub fn has_length(&self, units: usize) -> bool {
        match self.length {
            Length::Fixed(len) => units == usize::from(len),
            Length::Var { .. } => units <= usize::from(self.units_max()),
        }
    }

    /// Units of the longest value. Packed digits whose pad nothing tells from a digit come in whole
    /// bytes, so the pad of an odd maximum counts as well.
    #[must_use]
    pub const fn units_max(&self) -> u16 {
        match self.length {
            Length::Fixed(len) => len,
            Length::Var { max, .. } if self.is_ambiguous() => {
                let sign = if self.is_signed() { 1 } else { 0 };
                let digits = at_most_u16(max as usize).saturating_sub(sign);
                // Of 65,535 digits the pad would be one unit more than a row can have.
                let whole = digits.saturating_add(digits % 2);
                (whole & !1).saturating_add(sign)
            }
            Length::Var { max, .. } => at_most_u16(max as usize),
        }
    }

    /// Bytes of the length prefix.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        match self.length {
            Length::Fixed(_) => 0,
            Length::Var { digits, .. } => self.prefix.coding.wire_len(digits),
        }
    }

    /// Bytes on the wire of a value of `units`.
    #[must_use]
    pub const fn wire_len(&self, units: usize) -> usize {
        match self.encoding {
            Encoding::Text(_) | Encoding::Binary => units,
            Encoding::Hex(_) => units.saturating_mul(2),
            Encoding::Packed(..) if self.is_signed() && units > 0 => {
                Packed::wire_len(units.saturating_sub(1)).saturating_add(1)
            }
            Encoding::Packed(..) => Packed::wire_len(units),
        }
    }

    /// The row as the passes over bytes read it.
    pub(crate) const fn rule(&self) -> Result<Rule, DialectError> {
        if let Err(error) = self.check() {
            return Err(error);
        }
        Ok(Rule {
            check: class::Check::of(self.class),
            content: self.content(),
            shape: self.shape(),
            wire_len_max: at_most_u16(self.wire_len(self.units_max() as usize)),
            units_max: self.units_max(),
            prefix_len: self.prefix_len(),
            dates: self.calendar.parts(),
            run: self.run(),
            is_plain: matches!(self.encoding, Encoding::ASCII | Encoding::Binary),
            is_put_plainly: matches!(self.encoding, Encoding::ASCII | Encoding::Binary)
                && !matches!(self.shape(), Shape::Special),
        })
    }

    /// Whether the parts of the row suit one another.
    const fn check(&self) -> Result<(), DialectError> {
        let number = self.number;
        if !self.has_possible_length() {
            return Err(DialectError::Length(number));
        }
        if let Err(error) = self.check_encoding() {
            return Err(error);
        }
        let is_dated =
            matches!(self.length, Length::Fixed(len) if len as usize == self.calendar.len());
        let is_digits = matches!(self.class, Class::N);
        let has_calendar = !self.calendar.is_empty();
        if has_calendar && !(is_dated && is_digits) {
            return Err(DialectError::Calendar(number));
        }
        if matches!(self.sensitivity, Sensitivity::Pan) && self.is_ambiguous() {
            return Err(DialectError::Ambiguous(number));
        }
        Ok(())
    }

    /// Whether its prefix can say the longest value, as it counts it.
    const fn has_possible_length(&self) -> bool {
        match self.length {
            Length::Fixed(len) => len > 0,
            Length::Var { digits, max } => {
                let says_at_most = self.prefix.coding.says_at_most(digits);
                let says_bytes = match self.prefix.count {
                    Count::Units => true,
                    Count::Bytes => self.wire_len(max as usize) as u64 <= says_at_most,
                };
                max > 0 && max as u64 <= says_at_most && says_bytes
            }
        }
    }

    /// Whether values of the class can be written so, and those that hold parts be decoded.
    const fn check_encoding(&self) -> Result<(), DialectError> {
        let field = self.number;
        let packs = matches!(self.class, Class::N | Class::Z | Class::Xn);
        if matches!(self.encoding, Encoding::Packed(..)) && !packs {
            return Err(DialectError::Encoding(field));
        }
        if matches!(self.encoding, Encoding::Packed(packed, _) if packed.pad > 0xF) {
            return Err(DialectError::Pad(field));
        }
        if self.is_binary() && !matches!(self.class, Class::B) {
            return Err(DialectError::Bytes(field));
        }
        match self.parts_max() {
            Some(units_max) if self.units_max() > units_max => {
                Err(DialectError::Parts { field, units_max })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Units of the longest value that is taken apart; `None` where that has no bound, or nobody
    /// takes it apart.
    const fn parts_max(&self) -> Option<u16> {
        match (self.composite, self.encoding) {
            (Composite::Opaque, _) | (_, Encoding::Binary | Encoding::ASCII) => None,
            (_, Encoding::Hex(_)) => Some(DECODED_BYTES_MAX),
            (_, Encoding::Text(_) | Encoding::Packed(..)) => Some(DECODED_TEXT_MAX),
        }
    }

    /// Whether a sign stands in front of its digits.
    const fn is_signed(&self) -> bool {
        matches!(self.class, Class::Xn)
    }

    /// Whether nothing tells an odd number of digits from an even one with the pad among them.
    const fn is_ambiguous(&self) -> bool {
        let is_padded = matches!(self.encoding, Encoding::Packed(Packed { pad: ..=9, .. }, _));
        let is_counted = matches!(self.prefix.count, Count::Units);
        is_padded && !is_counted && matches!(self.length, Length::Var { .. })
    }

    const fn shape(&self) -> Shape {
        let one_unit_a_byte = matches!(self.encoding, Encoding::Text(_) | Encoding::Binary);
        match (self.length, self.prefix.coding) {
            (Length::Fixed(_), _) => Shape::Fixed,
            (Length::Var { digits: 1..=3, .. }, Coding::Ascii) if one_unit_a_byte => Shape::Decimal,
            (Length::Var { .. }, _) => Shape::Special,
        }
    }

    const fn run(&self) -> Run {
        match (self.content(), self.class) {
            // Checked where its length is found.
            _ if matches!(self.shape(), Shape::Special) => Run::Unchecked,
            (Content::Any, _) => Run::Unchecked,
            (Content::Quick | Content::Dated, Class::N) => Run::Digits,
            (Content::Quick, Class::Ans) => Run::Printable,
            (Content::Quick, Class::An) => Run::Alphanumeric,
            (Content::Track, _) => Run::Track,
            (Content::Quick | Content::Dated | Content::Special, _) => Run::Alone,
        }
    }

    const fn content(&self) -> Content {
        match (self.encoding, self.class) {
            (Encoding::Binary, _) | (Encoding::Text(_), Class::B) => Content::Any,
            (Encoding::ASCII, Class::Xn) => Content::Special,
            (Encoding::ASCII, Class::Z) => Content::Track,
            // Without a day it is rare, and asked of the row.
            (Encoding::ASCII, _) if matches!(self.calendar, Calendar::YearMonth) => {
                Content::Special
            }
            (Encoding::ASCII, _) if !self.calendar.is_empty() => Content::Dated,
            (Encoding::ASCII, class) if class::Check::is_quick(class) => Content::Quick,
            (Encoding::Text(_) | Encoding::Packed(..) | Encoding::Hex(_), _) => Content::Special,
        }
    }
}

/// How long a value is, in units: characters of text, digits of packed text, bytes of what is
/// binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Always this long.
    Fixed(u16),
    /// As long as a prefix says.
    Var {
        /// Digits of the prefix, 1 to 6; bytes where it is binary, 1 to 4.
        digits: u8,
        /// At most this long.
        max: u32,
    },
}

impl Length {
    /// LLVAR.
    #[must_use]
    pub const fn ll(max: u32) -> Self {
        Self::Var { digits: 2, max }
    }

    /// LLLVAR.
    #[must_use]
    pub const fn lll(max: u32) -> Self {
        Self::Var { digits: 3, max }
    }
}

/// How a variable length is written, and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// How it is written.
    pub coding: Coding,
    /// What it counts.
    pub count: Count,
}

impl Prefix {
    /// Decimal digits in ASCII that count units.
    pub const ASCII: Self = Self::new(Coding::Ascii, Count::Units);

    /// A prefix.
    #[must_use]
    pub const fn new(coding: Coding, count: Count) -> Self {
        Self { coding, count }
    }
}

/// How a number is written in front of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Decimal digits in ASCII.
    Ascii,
    /// Decimal digits in EBCDIC; they are the same in all code pages.
    Ebcdic,
    /// Packed decimal digits, right-justified.
    Packed,
    /// Big-endian bytes.
    Binary,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ascii, Self::Ebcdic, Self::Packed, Self::Binary];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Ebcdic => "ebcdic",
            Self::Packed => "bcd",
            Self::Binary => "binary",
        }
    }

    /// Bytes of so many digits, or, of binary, of so many bytes.
    #[must_use]
    pub const fn wire_len(self, digits: u8) -> u8 {
        match self {
            Self::Ascii | Self::Ebcdic | Self::Binary => digits,
            Self::Packed => digits.div_ceil(2),
        }
    }

    /// The largest number of so many digits; 0 when there cannot be so many.
    #[must_use]
    pub const fn says_at_most(self, digits: u8) -> u64 {
        match (self, digits) {
            (Self::Binary, 1..=4) => (1_u64 << (digits as u32).wrapping_mul(8)).wrapping_sub(1),
            (Self::Ascii | Self::Ebcdic | Self::Packed, 1..=6) => {
                10_u64.saturating_pow(digits as u32).saturating_sub(1)
            }
            _ => 0,
        }
    }

    /// The number at the start of `bytes`, all of which belong to it.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<u32> {
        bytes.iter().try_fold(0_u32, |number, byte| {
            let (base, digit) = match self {
                Self::Ascii => (10, digit(byte ^ 0x30)?),
                Self::Ebcdic => (10, digit(byte ^ 0xF0)?),
                Self::Packed => (
                    100,
                    digit(byte >> 4)?
                        .checked_mul(10)?
                        .checked_add(digit(byte & 0x0F)?)?,
                ),
                Self::Binary => (256, *byte),
            };
            number.checked_mul(base)?.checked_add(u32::from(digit))
        })
    }

    /// Writes a number over all of `out`; `None` when it does not fit.
    pub(crate) fn write(self, number: usize, out: &mut [u8]) -> Option<()> {
        let mut rest = number;
        for slot in out.iter_mut().rev() {
            let (higher, low) = match self {
                Self::Ascii | Self::Ebcdic => (rest / 10, rest % 10),
                Self::Packed => (rest / 100, rest % 100),
                Self::Binary => (rest / 256, rest % 256),
            };
            let low = u8::try_from(low).ok()?;
            *slot = match self {
                Self::Ascii => low | 0x30,
                Self::Ebcdic => low | 0xF0,
                Self::Packed => ((low / 10) << 4) | (low % 10),
                Self::Binary => low,
            };
            rest = higher;
        }
        (rest == 0).then_some(())
    }
}

fn digit(value: u8) -> Option<u8> {
    (value < 10).then_some(value)
}

/// What a length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Characters, digits, or bytes of a binary value.
    Units,
    /// Bytes on the wire behind the prefix: half of it for packed digits, twice of it for
    /// hexadecimal digits.
    Bytes,
}

impl Count {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Units, Self::Bytes];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Bytes => "bytes",
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One character per byte.
    Text(Charset),
    /// Two digits per byte. Of x+n the sign stands before them as one character of the set.
    Packed(Packed, Charset),
    /// Bytes as they are.
    Binary,
    /// Each byte as two hexadecimal digits: read in either case, written in upper case.
    Hex(Charset),
}

impl Encoding {
    /// One ASCII character per byte.
    pub const ASCII: Self = Self::Text(Charset::Ascii);
    /// Hexadecimal digits in ASCII.
    pub const HEX: Self = Self::Hex(Charset::Ascii);
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

impl Sensitivity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Public, Self::Pan, Self::Sad];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Pan => "pan",
            Self::Sad => "sad",
        }
    }
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

impl Relay {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Echo, Self::Replay, Self::Never];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Replay => "replay",
            Self::Never => "never",
        }
    }
}

/// A row as the passes over bytes read it. What only the rarer forms need is read from the row
/// itself.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
pub(crate) struct Rule {
    pub(crate) check: class::Check,
    /// Bytes of the longest value, or of each where the length is fixed.
    wire_len_max: u16,
    /// The length, or the maximum where there is a prefix.
    units_max: u16,
    /// Bytes of the prefix.
    prefix_len: u8,
    pub(crate) shape: Shape,
    content: Content,
    dates: Parts,
    /// What its bytes have in common with those of its neighbours.
    pub(crate) run: Run,
    /// Whether the value is on the wire as it is.
    pub(crate) is_plain: bool,
    /// Whether its length is as well, in ASCII digits.
    pub(crate) is_put_plainly: bool,
}

impl Rule {
    /// Stands where the dialect has no row.
    pub(crate) const UNDEFINED: Self = Self {
        check: class::Check::of(Class::B),
        wire_len_max: 0,
        units_max: 0,
        prefix_len: 0,
        shape: Shape::Undefined,
        content: Content::Any,
        dates: Calendar::None.parts(),
        run: Run::Alone,
        is_plain: true,
        is_put_plainly: false,
    };

    /// Whether the dialect has a row.
    #[inline]
    pub(crate) const fn is_defined(&self) -> bool {
        !matches!(self.shape, Shape::Undefined)
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

    /// Bytes of the prefix.
    #[inline]
    pub(crate) fn prefix_len(&self) -> usize {
        usize::from(self.prefix_len)
    }

    /// Whether a value may have this many units.
    #[inline]
    pub(crate) fn has_length(&self, units: usize) -> bool {
        let max = self.units_max();
        units == max && max > 0 || units < max && self.shape != Shape::Fixed
    }

    /// Whether plain text or bytes are in the class of the row; `None` when the row itself must be
    /// asked.
    #[inline(always)]
    pub(crate) fn admits(&self, wire: &[u8]) -> Option<bool> {
        if self.content == Content::Quick {
            return Some(self.check.admits(wire));
        }
        if self.content == Content::Any {
            return Some(true);
        }
        self.admits_unusual(wire)
    }

    /// Whether digits can be the date or time of the row. What is not written in ASCII has been
    /// asked already.
    pub(crate) fn admits_date(&self, digits: &[u8]) -> bool {
        self.content != Content::Dated || self.dates.admit(digits)
    }

    /// [`Rule::admits`], apart, so that the commonest case is not one leg of a jump table.
    #[inline(never)]
    fn admits_unusual(&self, wire: &[u8]) -> Option<bool> {
        match self.content {
            Content::Quick => Some(self.check.admits(wire)),
            Content::Any => Some(true),
            Content::Dated => Some(self.check.admits(wire) && self.dates.admit(wire)),
            Content::Track => Some(class::are_track(wire)),
            Content::Special => None,
        }
    }
}

/// How the length of a field is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It is always the same.
    Fixed,
    /// One to three ASCII digits say how many bytes follow.
    Decimal,
    /// Any other prefix.
    Special,
    /// There is no such field.
    Undefined,
}

/// What a row of neighbouring fields may be checked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Nothing.
    Unchecked,
    /// ASCII digits; their dates and times are looked at later.
    Digits,
    /// Printable ASCII characters.
    Printable,
    /// Letters, digits and spaces in ASCII.
    Alphanumeric,
    /// Track data in ASCII.
    Track,
    /// Each value is looked at alone.
    Alone,
}

/// What the bytes of a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Characters of a class that has a shortcut, in ASCII.
    Quick,
    /// Anything.
    Any,
    /// Digits in ASCII that are a date or a time.
    Dated,
    /// Track data in ASCII.
    Track,
    /// What the row says, in whatever encoding.
    Special,
}

const fn at_most_u16(value: usize) -> u16 {
    if value > u16::MAX as usize {
        return u16::MAX;
    }
    #[expect(clippy::cast_possible_truncation, reason = "compared above")]
    {
        value as u16
    }
}

/// Bytes that stand on the wire as hexadecimal digits, where what they hold is wanted: whoever
/// decodes them has room for as many.
pub(crate) const DECODED_BYTES_MAX: u16 = 1024;
/// Characters that the wire has in another set, or packed.
pub(crate) const DECODED_TEXT_MAX: u16 = 999;

/// Four rules share a line of the cache.
const _: () = assert!(size_of::<Rule>() <= 16);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::Justify;

    #[test]
    fn lengths_that_a_prefix_cannot_say_are_refused() {
        let check = |length, coding, fits: bool| {
            let row = FieldSpec::new(48, "row", Class::Ans, length)
                .prefixed(Prefix::new(coding, Count::Units));
            assert_eq!(row.rule().is_ok(), fits, "{length:?} {coding:?}");
        };
        let var = |digits, max| Length::Var { digits, max };
        check(var(1, 9), Coding::Ascii, true);
        check(var(1, 10), Coding::Ascii, false);
        check(var(1, 255), Coding::Binary, true);
        check(var(1, 256), Coding::Binary, false);
        check(Length::ll(99), Coding::Packed, true);
        check(Length::ll(100), Coding::Packed, false);
        check(Length::lll(999), Coding::Ebcdic, true);
        check(Length::lll(1000), Coding::Ebcdic, false);
        check(var(6, 999_999), Coding::Ascii, true);
        check(var(7, 10), Coding::Ascii, false);
        check(var(0, 1), Coding::Ascii, false);
        check(var(5, 10), Coding::Binary, false);
        let in_bytes = |encoding, max| {
            let row = FieldSpec::new(48, "row", Class::B, Length::ll(max)).encoded(encoding);
            row.prefixed(Prefix::new(Coding::Ascii, Count::Bytes))
        };
        assert!(in_bytes(Encoding::Binary, 99).rule().is_ok());
        assert!(in_bytes(Encoding::HEX, 49).rule().is_ok());
        let error = in_bytes(Encoding::HEX, 50).rule().err();
        assert_eq!(error, Some(DialectError::Length(48)), "a hundred digits");
        check(Length::Fixed(0), Coding::Ascii, false);
        check(Length::ll(0), Coding::Ascii, false);
    }

    #[test]
    fn parts_that_do_not_suit_one_another_are_refused() {
        let row = |class, length| FieldSpec::new(12, "row", class, length);
        let packed = Encoding::Packed(Packed::RIGHT, Charset::Ascii);
        let check = |row: FieldSpec, fits: bool| assert_eq!(row.rule().is_ok(), fits, "{row:?}");
        check(row(Class::Ans, Length::Fixed(6)).encoded(packed), false);
        check(row(Class::N, Length::Fixed(6)).encoded(packed), true);
        check(row(Class::N, Length::Fixed(6)).dated(Calendar::Time), true);
        check(row(Class::N, Length::Fixed(4)).dated(Calendar::Time), false);
        check(
            row(Class::Ans, Length::Fixed(6)).dated(Calendar::Time),
            false,
        );
        check(row(Class::N, Length::ll(6)).dated(Calendar::Time), false);
    }

    #[test]
    fn bytes_and_hexadecimal_digits_are_of_class_b() {
        let row = |class| FieldSpec::new(48, "row", class, Length::lll(99));
        for class in [Class::N, Class::An, Class::Ans, Class::Z, Class::Xn] {
            for encoding in [Encoding::Binary, Encoding::HEX] {
                let error = row(class).encoded(encoding).rule().err();
                assert_eq!(
                    error,
                    Some(DialectError::Bytes(48)),
                    "{class:?} {encoding:?}"
                );
            }
        }
        assert!(row(Class::B).encoded(Encoding::HEX).rule().is_ok());
    }

    #[test]
    fn a_pad_is_a_nibble() {
        for pad in 0..=255 {
            let packed = Packed {
                justify: Justify::Left,
                pad,
            };
            let row = FieldSpec::new(32, "row", Class::N, Length::ll(11))
                .encoded(Encoding::Packed(packed, Charset::Ascii));
            let expected = (pad > 0xF).then_some(DialectError::Pad(32));
            assert_eq!(row.rule().err(), expected, "{pad}");
        }
    }

    #[test]
    fn what_is_taken_apart_fits_where_it_is_decoded() {
        let check = |class, encoding, composite, max, units_max: Option<u16>| {
            let length = Length::Var { digits: 4, max };
            let row = FieldSpec::new(55, "row", class, length).encoded(encoding);
            let error = row.holding(composite).rule().err();
            let expected = units_max.map(|units_max| DialectError::Parts {
                field: 55,
                units_max,
            });
            assert_eq!(error, expected, "{encoding:?} {max}");
        };
        let (tlv, hex) = (Composite::Tlv, Encoding::Hex(Charset::Cp037));
        let text = Encoding::Text(Charset::Cp500);
        let packed = Encoding::Packed(Packed::RIGHT, Charset::Ascii);
        check(Class::B, Encoding::HEX, tlv, 1024, None);
        check(Class::B, Encoding::HEX, tlv, 1025, Some(1024));
        check(Class::B, hex, Composite::Datasets, 9999, Some(1024));
        check(Class::Ans, text, tlv, 999, None);
        check(Class::Ans, text, tlv, 1000, Some(999));
        check(Class::N, packed, tlv, 999, None);
        check(Class::N, packed, tlv, 1000, Some(999));
        for encoding in [Encoding::Binary, Encoding::ASCII] {
            check(Class::B, encoding, tlv, 9999, None);
        }
        check(Class::B, Encoding::HEX, Composite::Opaque, 9999, None);
        check(Class::Ans, text, Composite::Opaque, 9999, None);
    }

    #[test]
    fn an_account_number_must_tell_odd_from_even() {
        let check = |count, pad, sensitivity, fits: bool| {
            let packed = Packed {
                justify: Justify::Right,
                pad,
            };
            let row = FieldSpec::new(2, "account", Class::N, Length::ll(19))
                .encoded(Encoding::Packed(packed, Charset::Ascii))
                .prefixed(Prefix::new(Coding::Binary, count))
                .seen_as(sensitivity);
            assert_eq!(row.rule().is_ok(), fits, "{row:?}");
        };
        check(Count::Bytes, 0, Sensitivity::Pan, false);
        check(Count::Bytes, 9, Sensitivity::Pan, false);
        check(Count::Bytes, 0xA, Sensitivity::Pan, true);
        check(Count::Units, 0, Sensitivity::Pan, true);
        check(Count::Bytes, 0, Sensitivity::Public, true);
    }

    #[test]
    fn numbers_in_every_coding() {
        let check = |coding: Coding, number: usize, wire: &[u8]| {
            let mut out = [0xEE; 4];
            assert_eq!(coding.write(number, &mut out[..wire.len()]), Some(()));
            assert_eq!(&out[..wire.len()], wire);
            assert_eq!(coding.read(wire), u32::try_from(number).ok());
        };
        check(Coding::Ascii, 37, b"37");
        check(Coding::Ebcdic, 37, &[0xF3, 0xF7]);
        check(Coding::Packed, 37, &[0x37]);
        check(Coding::Packed, 137, &[0x01, 0x37]);
        check(Coding::Binary, 37, &[37]);
        check(Coding::Binary, 0x0137, &[1, 0x37]);
        assert_eq!(Coding::Ascii.write(100, &mut [0; 2]), None);
        assert_eq!(Coding::Binary.write(256, &mut [0; 1]), None);
    }

    #[test]
    fn what_is_no_number() {
        for (coding, wire) in [
            (Coding::Ascii, &b"+9"[..]),
            (Coding::Ascii, b"1x"),
            (Coding::Ascii, b" 9"),
            (Coding::Ascii, &[0xF1]),
            (Coding::Ebcdic, b"19"),
            (Coding::Packed, &[0x1A]),
            (Coding::Packed, &[0xF1]),
        ] {
            assert_eq!(coding.read(wire), None, "{coding:?} {wire:02x?}");
        }
    }
}
