//! A message as the writer must write it, put together by hand: the second opinion on every copy.
//!
//! A message that was read and is copied field by field gives the bytes that came, exactly when
//! - each bitmap that is announced has a field (an empty second or third one is left out),
//! - hexadecimal bitmaps are in upper case,
//! - bit 1 of a lone bitmap of a fixed length, which means nothing in a message, is clear.
//!
//! Values and length prefixes are copied as they came, wrong padding and lower-case hexadecimal
//! digits included. Otherwise the copy is [`bytes_of`] the message.

use iso8583::charset::Charset;
use iso8583::dialect::{BitmapForm, Layout, MtiForm, Tertiary};
use iso8583::{MessageRef, Mti};

/// MTI, bitmaps and fields in their only form.
///
/// # Panics
/// When fields do not lie one behind the other.
#[must_use]
pub fn bytes_of(message: MessageRef<'_>) -> Vec<u8> {
    let form = message.dialect().form();
    let mut bytes = mti_bytes(form.mti, message.mti());
    let [first, second, third] = words(message);
    let has_third = third != 0;
    let has_second = second != 0 || has_third;
    match form.layout {
        Layout::Chained(tertiary) => {
            put_bits(form.bitmap, announcing(first, has_second), &mut bytes);
            if has_second {
                put_bits(form.bitmap, announcing(second, has_third), &mut bytes);
            }
            if has_third && tertiary == Tertiary::AfterSecondary {
                put_bits(form.bitmap, third.to_be_bytes(), &mut bytes);
            }
        }
        Layout::Fixed(len) => {
            let bits = [first.to_be_bytes(), second.to_be_bytes()].concat();
            put_bits(form.bitmap, &bits[..usize::from(len)], &mut bytes);
        }
        Layout::Positional => {}
    }
    let mut third_is_owed = has_third && form.layout == Layout::Chained(Tertiary::Field65);
    for number in message.present() {
        if number > 64 && std::mem::take(&mut third_is_owed) {
            put_bits(form.bitmap, third.to_be_bytes(), &mut bytes);
        }
        let place = message
            .extent(number)
            .expect("a field that is there has a place");
        bytes.extend_from_slice(&message.bytes()[place]);
    }
    bytes
}

/// Whether a message that was read without a fault is in this form.
#[must_use]
pub fn is_canonical(message: MessageRef<'_>) -> bool {
    let form = message.dialect().form();
    let bitmaps = bitmaps_as_they_came(message);
    let is_lower = |byte: &u8| match form.bitmap {
        BitmapForm::Binary => false,
        BitmapForm::Hex(Charset::Ascii) => byte.is_ascii_lowercase(),
        BitmapForm::Hex(_) => (0x81..=0x86).contains(byte),
    };
    if bitmaps.iter().any(is_lower) {
        return false;
    }
    let [_, second, third] = words(message);
    let count = bitmaps.len() / form.bitmap_len().max(1);
    match form.layout {
        Layout::Chained(_) => {
            let needed = match (second, third) {
                (0, 0) => 1,
                (_, 0) => 2,
                (_, _) => 3,
            };
            count == needed
        }
        Layout::Fixed(_) if form.mti == MtiForm::None => true,
        Layout::Fixed(_) => !first_bit(form.bitmap, &bitmaps),
        Layout::Positional => true,
    }
}

/// Everything behind the MTI that belongs to no field. Checks that fields fill the rest.
fn bitmaps_as_they_came(message: MessageRef<'_>) -> Vec<u8> {
    let mut bitmaps = Vec::new();
    let mut at = message.dialect().form().mti.wire_len();
    for number in message.present() {
        let place = message
            .extent(number)
            .expect("a field that is there has a place");
        assert!(
            at <= place.start && place.start <= place.end,
            "field {number}"
        );
        bitmaps.extend_from_slice(&message.bytes()[at..place.start]);
        at = place.end;
    }
    bitmaps.extend_from_slice(&message.bytes()[at..]);
    bitmaps
}

fn first_bit(form: BitmapForm, bitmap: &[u8]) -> bool {
    match form {
        BitmapForm::Binary => bitmap[0] & 0x80 != 0,
        BitmapForm::Hex(Charset::Ascii) => bitmap[0] >= b'8',
        // 8 and 9 are F8 and F9, A to F are C1 to C6.
        BitmapForm::Hex(_) => !(0xF0..=0xF7).contains(&bitmap[0]),
    }
}

/// The fields as three words, field 1 in the highest bit of the first.
fn words(message: MessageRef<'_>) -> [u64; 3] {
    let mut words = [0_u64; 3];
    for number in message.present() {
        let place = usize::from(number - 1);
        words[place / 64] |= (1 << 63) >> (place % 64);
    }
    words
}

fn announcing(word: u64, next: bool) -> [u8; 8] {
    (word | u64::from(next) << 63).to_be_bytes()
}

fn put_bits(form: BitmapForm, bits: impl AsRef<[u8]>, out: &mut Vec<u8>) {
    for byte in bits.as_ref() {
        match form {
            BitmapForm::Binary => out.push(*byte),
            BitmapForm::Hex(charset) => {
                out.extend(
                    format!("{byte:02X}")
                        .bytes()
                        .map(|digit| in_charset(charset, digit)),
                );
            }
        }
    }
}

fn mti_bytes(form: MtiForm, mti: Mti) -> Vec<u8> {
    let digits = mti.as_bytes();
    match form {
        MtiForm::Text(charset) => digits.map(|digit| in_charset(charset, digit)).to_vec(),
        MtiForm::Packed => {
            let pairs = digits.chunks(2);
            pairs
                .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'))
                .collect()
        }
        MtiForm::None => Vec::new(),
    }
}

/// Of digits and the letters A to F, which are the same in all EBCDIC pages.
const fn in_charset(charset: Charset, digit: u8) -> u8 {
    match (charset, digit) {
        (Charset::Ascii, _) => digit,
        (_, b'0'..=b'9') => digit - b'0' + 0xF0,
        _ => digit - b'A' + 0xC1,
    }
}
