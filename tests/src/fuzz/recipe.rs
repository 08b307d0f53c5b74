//! Messages of our own, made by the rows: the input says which fields there are and fills their
//! values, so that what comes out must be written and read.

use iso8583::class::Class;
use iso8583::error::WriteError;
use iso8583::field::{Encoding, FieldSpec, Length};
use iso8583::{Dialect, Mti, Writer};

use super::input::Input;
use super::obvious;

/// A message and what was put into it.
#[derive(Debug)]
pub struct Made {
    pub bytes: Vec<u8>,
    pub mti: Mti,
    pub fields: Vec<(u8, Vec<u8>)>,
}

/// Makes a message out of all that is left of the input: two bytes of MTI, then for each field the
/// distance from the one before, a length where that is not fixed, and the value.
///
/// # Panics
/// When a value that is one of its row cannot be put.
#[must_use]
pub fn made(dialect: &'static Dialect, input: &mut Input<'_>) -> Made {
    let mti = mti_of(input.word());
    let mut out = vec![0; LEN_MAX];
    let mut writer = Writer::new(dialect, mti, &mut out);
    let (mut fields, mut number) = (Vec::new(), 1_u8);
    while !input.rest().is_empty() {
        let Some(next) = number.checked_add(input.byte() % 16 + 1) else {
            break;
        };
        number = next;
        let Some(row) = dialect.field(number) else {
            continue;
        };
        let value = value_of(row, input);
        match writer.put(number, &value) {
            Ok(()) => fields.push((number, value)),
            Err(WriteError::Full) => break,
            Err(error) => panic!("{dialect:?}: {error}"),
        }
    }
    let len = writer.finish().expect("there is room for the bitmaps");
    out.truncate(len);
    Made {
        bytes: out,
        mti,
        fields,
    }
}

fn mti_of(word: u16) -> Mti {
    let nibbles = [12, 8, 4, 0].map(|shift| (word >> shift & 0xF) as u8);
    Mti::new(nibbles.map(|nibble| nibble % 10 + b'0')).expect("they are digits")
}

/// A value of the row.
pub(super) fn value_of(row: &FieldSpec, input: &mut Input<'_>) -> Vec<u8> {
    let max = usize::from(row.units_max());
    let len = match (row.length, input.byte_unless_fixed(row.length)) {
        (Length::Fixed(len), _) => usize::from(len),
        (Length::Var { .. }, 0xFF) => max,
        (Length::Var { .. }, len) => usize::from(len) % (max.min(USUAL_LEN_MAX) + 1),
    };
    let len = if obvious::tells_odd_digits(row) {
        len
    } else {
        len & !1
    };
    let mut value = input.take(len).to_vec();
    value.resize(len, 0);
    if row.is_binary() {
        return value;
    }
    let is_packed = matches!(row.encoding, Encoding::Packed(..));
    for (place, byte) in value.iter_mut().enumerate() {
        *byte = character(row.class, place, *byte, is_packed);
    }
    if !row.calendar.is_empty() {
        for pair in value.chunks_mut(2) {
            pair.copy_from_slice(&[b'0', pair[1].max(b'1')]);
        }
    }
    debug_assert!(obvious::admits(row, &value), "{row:?}");
    value
}

fn character(class: Class, place: usize, byte: u8, is_packed: bool) -> u8 {
    let digit = b'0' + byte % 10;
    match class {
        Class::N => digit,
        Class::A if byte.is_ascii_alphabetic() => byte,
        Class::A => b' ',
        Class::An if byte.is_ascii_alphanumeric() => byte,
        Class::An => b' ',
        Class::Ns => b' ' + byte % 33,
        Class::Ans => b' ' + byte % 95,
        Class::Z if byte == b'D' && !is_packed => byte,
        Class::Z if matches!(byte, b'=' | b'D') => b'=',
        Class::Z => digit,
        Class::Xn if place == 0 => [b'C', b'D', b'0'][usize::from(byte % 3)],
        Class::Xn => digit,
        Class::B => byte,
    }
}

impl Input<'_> {
    fn byte_unless_fixed(&mut self, length: Length) -> u8 {
        match length {
            Length::Fixed(_) => 0,
            Length::Var { .. } => self.byte(),
        }
    }
}

/// More than the fields of an input of some thousand bytes.
const LEN_MAX: usize = 16 * 1024;
/// Longer values are made only where the length byte says the maximum.
const USUAL_LEN_MAX: usize = 60;
