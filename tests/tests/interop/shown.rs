//! How an outside library shows a value that we have as characters or bytes.

use iso8583::charset::Charset;
use iso8583::packed::{Justify, Packed};

use crate::draw::Shape;

/// The form of a value in the library's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The characters themselves; of a byte its character of Latin-1.
    Text,
    /// Bytes as hexadecimal digits in upper case.
    Hex,
    /// Bytes as hexadecimal digits in lower case.
    LowerHex,
    /// Packed digits; the separator of a track is the nibble that it is, `D`.
    Nibbles,
    /// Packed digits of which an odd number has its pad in the value.
    PaddedNibbles(Packed),
    /// The sign as the two hexadecimal digits of its byte, then digits.
    Signed(Charset),
}

impl Shown {
    /// The library's form of our value.
    pub fn show(self, value: &[u8]) -> String {
        let text: String = value.iter().copied().map(char::from).collect();
        match self {
            Self::Text => text,
            Self::Hex => hex_of(value),
            Self::LowerHex => hex_of(value).to_lowercase(),
            Self::Nibbles => text.replace('=', "D"),
            Self::PaddedNibbles(packed) => padded(packed, &text.replace('=', "D")),
            Self::Signed(charset) => {
                let (sign, digits) = text.split_at(1);
                format!("{}{digits}", sign_of(charset, sign))
            }
        }
    }

    /// What the library may draw where we draw `ours`.
    pub fn shape(self, ours: &Shape) -> Shape {
        let mut shape = ours.clone();
        match self {
            Self::Text => {}
            Self::Hex => in_hex("0123456789ABCDEF", &mut shape),
            Self::LowerHex => in_hex("0123456789abcdef", &mut shape),
            Self::Nibbles => with_separator(&mut shape),
            Self::PaddedNibbles(packed) => {
                with_separator(&mut shape);
                // To the library it would be one digit more.
                shape.most -= shape.most % 2;
                shape.step = 2;
                shape.end = char::from_digit(packed.pad.into(), 16)
                    .filter(char::is_ascii_alphabetic)
                    .map(|pad| pad.to_ascii_uppercase());
            }
            Self::Signed(charset) => {
                let signs = shape.starts.iter();
                shape.starts = signs.map(|sign| sign_of(charset, sign)).collect();
            }
        }
        shape
    }
}

fn in_hex(digits: &str, shape: &mut Shape) {
    shape.letters = digits.chars().collect();
    shape.least *= 2;
    shape.most *= 2;
    shape.step = 2;
}

fn with_separator(shape: &mut Shape) {
    for letter in &mut shape.letters {
        if *letter == '=' {
            *letter = 'D';
        }
    }
}

fn padded(packed: Packed, digits: &str) -> String {
    if digits.len().is_multiple_of(2) {
        return digits.to_owned();
    }
    match packed.justify {
        Justify::Right => format!("{:X}{digits}", packed.pad),
        Justify::Left => format!("{digits}{:X}", packed.pad),
    }
}

/// The byte of a sign. Letters and digits are the same in all EBCDIC pages.
fn sign_of(charset: Charset, sign: &str) -> String {
    let is_ascii = charset == Charset::Ascii;
    let byte = match sign {
        "C" if is_ascii => "43",
        "D" if is_ascii => "44",
        "0" if is_ascii => "30",
        "C" => "C3",
        "D" => "C4",
        "0" => "F0",
        other => panic!("no sign: {other}"),
    };
    byte.to_owned()
}

/// Hexadecimal digits in upper case.
pub fn hex_of(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0x0F] {
            hex.push(char::from(DIGITS[usize::from(nibble)]));
        }
    }
    hex
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// The bytes of hexadecimal digits.
pub fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}
