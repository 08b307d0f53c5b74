//! The rules of values once more, byte by byte and without tables: the slow twin of what the codec
//! checks.

use iso8583::calendar::Calendar;
use iso8583::class::Class;
use iso8583::field::{Encoding, FieldSpec};
use iso8583::packed::Justify;

/// Whether a value, as text or bytes, is one of the row.
#[must_use]
pub fn admits(row: &FieldSpec, value: &[u8]) -> bool {
    if !row.has_length(value.len()) {
        return false;
    }
    if row.is_binary() {
        return true;
    }
    let mut places = value.iter().enumerate();
    places.all(|(place, byte)| is_in_class(row.class, place, *byte)) && is_date(row.calendar, value)
}

fn is_in_class(class: Class, place: usize, byte: u8) -> bool {
    match class {
        Class::N => byte.is_ascii_digit(),
        Class::A => byte.is_ascii_alphabetic() || byte == b' ',
        Class::An => byte.is_ascii_alphanumeric() || byte == b' ',
        Class::Ns => is_printable(byte) && !byte.is_ascii_alphabetic(),
        Class::Ans => is_printable(byte),
        Class::Z => byte.is_ascii_digit() || matches!(byte, b'=' | b'D'),
        Class::Xn if place == 0 => matches!(byte, b'C' | b'D' | b'0'),
        Class::Xn => byte.is_ascii_digit(),
        Class::B => true,
    }
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Reads the calendar by its name, pair by pair.
fn is_date(calendar: Calendar, digits: &[u8]) -> bool {
    if calendar.is_empty() {
        return true;
    }
    let mut month = 0;
    let pairs = calendar.name().as_bytes().chunks(2).zip(digits.chunks(2));
    digits.len() == calendar.len()
        && pairs.into_iter().all(|(what, pair)| {
            let number = pair.iter().fold(0, |sum, digit| sum * 10 + (digit - b'0'));
            match what {
                b"MM" => {
                    month = number;
                    (1..=12).contains(&number)
                }
                b"DD" => (1..=days_of(month)).contains(&number),
                b"hh" => number < 24,
                b"mm" => number < 60,
                b"ss" => number <= 60,
                _ => true,
            }
        })
}

/// At most: nobody knows the year.
const fn days_of(month: u8) -> u8 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A value as a row can give it back: packed, both separators of a track are one nibble; and where
/// nothing tells an odd number of digits, the pad is one of them.
#[must_use]
pub fn comparable(row: &FieldSpec, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if row.class == Class::Z && !row.is_binary() {
        for byte in &mut value {
            if *byte == b'D' {
                *byte = b'=';
            }
        }
    }
    if let (Encoding::Packed(packed, _), false) = (row.encoding, tells_odd_digits(row))
        && value.len() % 2 == 1
    {
        let place = match packed.justify {
            Justify::Right => 0,
            Justify::Left => value.len(),
        };
        value.insert(place, packed.pad + b'0');
    }
    value
}

/// Whether the length of such a value tells an odd number of digits: not where it counts bytes and
/// the pad is a digit.
#[must_use]
pub fn tells_odd_digits(row: &FieldSpec) -> bool {
    use iso8583::field::{Count, Length};
    match (row.encoding, row.length, row.prefix.count) {
        (Encoding::Packed(packed, _), Length::Var { .. }, Count::Bytes) => packed.pad > 9,
        _ => true,
    }
}
