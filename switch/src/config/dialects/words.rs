//! The words that keys of a dialect take, and what they stand for.

use iso8583::calendar::Calendar;
use iso8583::charset::Charset;
use iso8583::class::Class;
use iso8583::dialect::{BitmapForm, MtiForm, Tertiary};
use iso8583::field::{Coding, Count, Relay, Sensitivity};
use iso8583::packed::Justify;
use iso8583::requirement::MtiPattern;

use crate::config::section::nearest;

/// How a value is written, as far as one word says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncodingWord {
    Text(Charset),
    Packed,
    Binary,
    Hex(Charset),
}

pub(super) fn encoding(text: &str) -> Result<EncodingWord, String> {
    use EncodingWord::{Binary, Hex, Packed, Text};
    let known = [
        ("ascii", Text(Charset::Ascii)),
        ("cp037", Text(Charset::Cp037)),
        ("cp500", Text(Charset::Cp500)),
        ("cp1047", Text(Charset::Cp1047)),
        ("bcd", Packed),
        ("binary", Binary),
        ("hex", Hex(Charset::Ascii)),
        ("hex-cp037", Hex(Charset::Cp037)),
        ("hex-cp500", Hex(Charset::Cp500)),
        ("hex-cp1047", Hex(Charset::Cp1047)),
    ];
    word(text, &known)
}

/// How a bitmap is written, and whether it is the one of 16 bytes.
pub(super) fn bitmap(text: &str) -> Result<(BitmapForm, Bitmaps), String> {
    use Bitmaps::{Chained, Fixed16};
    let known = [
        ("binary", (BitmapForm::Binary, Chained)),
        ("hex", (BitmapForm::Hex(Charset::Ascii), Chained)),
        ("hex-cp037", (BitmapForm::Hex(Charset::Cp037), Chained)),
        ("hex-cp500", (BitmapForm::Hex(Charset::Cp500), Chained)),
        ("hex-cp1047", (BitmapForm::Hex(Charset::Cp1047), Chained)),
        ("fixed16", (BitmapForm::Binary, Fixed16)),
        ("fixed16-hex", (BitmapForm::Hex(Charset::Ascii), Fixed16)),
    ];
    word(text, &known)
}

/// How many bitmaps a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bitmaps {
    /// The first one announces the second.
    Chained,
    /// One of 16 bytes.
    Fixed16,
}

pub(super) fn mti(text: &str) -> Result<MtiForm, String> {
    let sets = Charset::ALL.map(|set| (set.name(), MtiForm::Text(set)));
    let mut known = sets.to_vec();
    known.push(("bcd", MtiForm::Packed));
    word(text, &known)
}

pub(super) fn tertiary(text: &str) -> Result<Tertiary, String> {
    let known = [
        ("none", Tertiary::None),
        ("after-secondary", Tertiary::AfterSecondary),
        ("field65", Tertiary::Field65),
    ];
    word(text, &known)
}

pub(super) fn charset(text: &str) -> Result<Charset, String> {
    word(text, &Charset::ALL.map(|set| (set.name(), set)))
}

pub(super) fn class(text: &str) -> Result<Class, String> {
    word(text, &Class::ALL.map(|class| (class.name(), class)))
}

pub(super) fn coding(text: &str) -> Result<Coding, String> {
    word(text, &Coding::ALL.map(|coding| (coding.name(), coding)))
}

pub(super) fn count(text: &str) -> Result<Count, String> {
    word(text, &Count::ALL.map(|count| (count.name(), count)))
}

pub(super) fn calendar(text: &str) -> Result<Calendar, String> {
    let known = Calendar::ALL.map(|calendar| (calendar.name(), calendar));
    word(text, &known)
}

pub(super) fn sensitivity(text: &str) -> Result<Sensitivity, String> {
    let known = Sensitivity::ALL.map(|sensitivity| (sensitivity.name(), sensitivity));
    word(text, &known)
}

pub(super) fn relay(text: &str) -> Result<Relay, String> {
    word(text, &Relay::ALL.map(|relay| (relay.name(), relay)))
}

pub(super) fn justify(text: &str) -> Result<Justify, String> {
    word(text, &[("left", Justify::Left), ("right", Justify::Right)])
}

/// A nibble: 0 to 15, or one hexadecimal digit of which those above 9 are letters.
pub(super) fn pad(text: &str) -> Result<u8, String> {
    let letter = || match text.as_bytes() {
        [b'a'..=b'f' | b'A'..=b'F'] => u8::from_str_radix(text, 16).ok(),
        _ => None,
    };
    let number = text.parse().ok().filter(|number| *number <= 15);
    number
        .or_else(letter)
        .ok_or_else(|| format!("takes a nibble, 0 to 15 or \"A\" to \"F\", not `{text}`"))
}

/// A fixed length, or the digits of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LengthWord {
    Fixed(u16),
    Var(u8),
}

pub(super) fn length(text: &str) -> Result<LengthWord, String> {
    if let Some(places) = text.strip_suffix("VAR")
        && places.bytes().all(|place| place == b'L')
        && let Ok(digits @ 1..=6) = u8::try_from(places.len())
    {
        return Ok(LengthWord::Var(digits));
    }
    let number = text.parse().ok().filter(|len| *len > 0);
    number.map(LengthWord::Fixed).ok_or_else(|| {
        format!("takes 1 to 65535, or \"LVAR\", \"LLVAR\" to \"LLLLLLVAR\", not `{text}`")
    })
}

pub(super) fn pattern(text: &str) -> Result<MtiPattern, String> {
    let places = <[u8; 4]>::try_from(text.as_bytes()).ok();
    places.and_then(MtiPattern::new).ok_or_else(|| {
        format!("takes four places, each a digit or `x` for any, as \"02xx\", not `{text}`")
    })
}

/// What people call a field.
pub(super) fn title(text: &str) -> Result<String, String> {
    let is_shown = !text.chars().any(char::is_control);
    if is_shown && (1..=TITLE_LEN_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "takes 1 to {TITLE_LEN_MAX} bytes of text on one line"
    ))
}

const TITLE_LEN_MAX: usize = 64;

pub(super) fn word<T: Copy>(text: &str, known: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    Err(match nearest(text, &names) {
        Some(near) => format!("does not take `{text}`; did you mean `{near}`?"),
        None => format!("does not take `{text}`; known: {}", names.join(", ")),
    })
}
