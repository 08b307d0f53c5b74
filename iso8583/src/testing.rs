//! What the tests share: messages of our own, put together without the writer where the reader is
//! tested, and a source of values for every row.

use std::vec::Vec;

use proptest::prelude::*;

use crate::calendar::Calendar;
use crate::class::Class;
use crate::composite::Composite;
use crate::dialect::{Dialect, Layout};
use crate::field::{Encoding, FieldSpec, Length};
use crate::message::{FieldIndex, MessageRef};
use crate::mti::Mti;
use crate::writer::Writer;

/// A purchase with a card: DE number and value.
pub(crate) const PURCHASE: [(u8, &[u8]); 20] = [
    (2, b"5061001234567890"),
    (3, b"000000"),
    (4, b"000000001500"),
    (7, b"0601120000"),
    (11, b"000042"),
    (12, b"150000"),
    (13, b"0601"),
    (14, b"2812"),
    (18, b"5411"),
    (22, b"051"),
    (25, b"00"),
    (32, b"00000123456"),
    (35, b"5061001234567890=28122011234567890123"),
    (37, b"615212000042"),
    (41, b"TERM0001"),
    (42, b"MERCHANT 000001"),
    (43, b"SHOP AT THE CORNER       NAIROBI      KE"),
    (49, b"404"),
    (55, CHIP_DATA),
    (63, b"\x00private \xFF bytes\x1B[31m"),
];

const CHIP_DATA: &[u8] = &[
    0x9F, 0x26, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x9F, 0x36, 2, 0, 42, 0x57, 4, 0x50, 0x61, 0x00, 0x12,
];

/// The purchase in the dialect `iso87-ascii`, by hand.
pub(crate) fn purchase_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"0200");
    // 2 3 4 7 | 11 12 13 14 | 18 22 | 25 32 | 35 37 | 41 42 43 | 49 55 | 63
    bytes.extend_from_slice(&[0x72, 0x3C, 0x44, 0x81, 0x28, 0xE0, 0x82, 0x02]);
    for (number, value) in PURCHASE {
        match number {
            2 => bytes.extend_from_slice(b"16"),
            32 => bytes.extend_from_slice(b"11"),
            35 => bytes.extend_from_slice(b"37"),
            55 => bytes.extend_from_slice(b"022"),
            63 => bytes.extend_from_slice(b"021"),
            _ => {}
        }
        bytes.extend_from_slice(value);
    }
    bytes
}

/// A message with bytes of any kind behind its bitmap.
pub(crate) fn raw(mti: &[u8], fields: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bitmap = [0_u8; 16];
    for field in fields {
        bitmap[usize::from(field - 1) / 8] |= 0x80 >> ((field - 1) % 8);
    }
    let bitmap_len = if fields.contains(&1) { 16 } else { 8 };
    [mti, &bitmap[..bitmap_len], body].concat()
}

/// A message through the writer.
#[track_caller]
pub(crate) fn written(dialect: &'static Dialect, mti: &str, fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = [0; 4096];
    let mut writer = Writer::new(dialect, mti_of(mti), &mut out);
    for (number, value) in fields {
        writer.put(*number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    out[..len].to_vec()
}

/// The purchase with some fields replaced, added, or (when empty) left out.
#[track_caller]
pub(crate) fn purchase_with(mti: &str, changes: &[(u8, &[u8])]) -> Message {
    let unchanged = |(number, _): &(u8, &[u8])| changes.iter().all(|change| change.0 != *number);
    let mut fields: Vec<_> = PURCHASE.into_iter().filter(unchanged).collect();
    fields.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    fields.sort_by_key(|(number, _)| *number);
    Message::new(
        Dialect::ISO87_ASCII,
        written(Dialect::ISO87_ASCII, mti, &fields),
    )
}

#[track_caller]
pub(crate) fn mti_of(digits: &str) -> Mti {
    Mti::new(digits.as_bytes().try_into().unwrap()).unwrap()
}

/// Bytes with the index that belongs to them.
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) index: FieldIndex,
}

impl Message {
    #[track_caller]
    pub(crate) fn new(dialect: &'static Dialect, bytes: Vec<u8>) -> Self {
        let mut index = FieldIndex::new();
        dialect.parse(&bytes, &mut index).unwrap();
        Self { bytes, index }
    }

    pub(crate) fn view(&self) -> MessageRef<'_> {
        MessageRef::new(&self.bytes, &self.index)
    }

    /// Everything that is in it, as the writer takes it.
    pub(crate) fn values(&self) -> Vec<(u8, Vec<u8>)> {
        let mut scratch = [0; 9999];
        let decode = |number| self.view().decode(number, &mut scratch).unwrap().to_vec();
        let numbers = self.view().present().iter();
        numbers.clone().zip(numbers.map(decode)).collect()
    }
}

/// Any value that a row admits.
pub(crate) fn value_of(row: FieldSpec) -> impl Strategy<Value = Vec<u8>> {
    let lengths = match row.length {
        Length::Fixed(len) => len..=len,
        Length::Var { .. } => 0..=row.units_max().min(60),
    };
    let packed = matches!(row.encoding, Encoding::Packed(..));
    let byte = match row.class {
        _ if row.is_binary() => any::<u8>().boxed(),
        Class::B => any::<u8>().boxed(),
        Class::N | Class::Xn => (b'0'..=b'9').boxed(),
        // Packed, both separators are one nibble, which is read as the first of them.
        Class::Z if packed => prop_oneof![9 => b'0'..=b'9', 1 => Just(b'=')].boxed(),
        Class::Z => prop_oneof![9 => b'0'..=b'9', 1 => Just(b'='), 1 => Just(b'D')].boxed(),
        Class::A => prop_oneof![b'a'..=b'z', b'A'..=b'Z', Just(b' ')].boxed(),
        Class::An => prop_oneof![b'0'..=b'9', b'A'..=b'Z', Just(b' ')].boxed(),
        Class::Ns => (b' '..=b'@').boxed(),
        Class::Ans => (b' '..=b'~').boxed(),
    };
    let signed = row.class == Class::Xn;
    proptest::collection::vec(
        byte,
        usize::from(*lengths.start())..=usize::from(*lengths.end()),
    )
    .prop_map(move |mut value| {
        if let (true, Some(first)) = (signed, value.first_mut()) {
            *first = if *first % 2 == 0 { b'C' } else { b'D' };
        }
        if !row.calendar.is_empty() {
            make_possible(row.calendar, &mut value);
        }
        value
    })
}

/// Makes any digits a date or a time: each pair of them is brought below ten, and zero
/// becomes one.
fn make_possible(calendar: Calendar, digits: &mut [u8]) {
    for pair in digits.as_chunks_mut::<2>().0 {
        *pair = [b'0', pair[1].max(b'1')];
    }
    assert!(calendar.admits(digits), "{calendar:?}");
}

/// Any built-in dialect with any set of its fields.
pub(crate) fn any_dialect_and_fields()
-> impl Strategy<Value = (&'static Dialect, Vec<(u8, Vec<u8>)>)> {
    proptest::sample::select(Dialect::ALL)
        .prop_flat_map(|dialect| (Just(dialect), any_fields(dialect)))
}

/// What the fields of the built-in dialects hold, with any set of its sub-fields.
pub(crate) fn any_nested_and_fields()
-> impl Strategy<Value = (&'static Dialect, Vec<(u8, Vec<u8>)>)> {
    let held = |row: &FieldSpec| {
        if let Composite::Bitmapped(dialect) | Composite::Positional(dialect) = row.composite {
            return Some(dialect);
        }
        None
    };
    let rows = Dialect::ALL.iter().flat_map(|dialect| dialect.rows());
    let nested: Vec<_> = rows.filter_map(held).collect();
    proptest::sample::select(nested).prop_flat_map(|dialect| (Just(dialect), any_fields(dialect)))
}

/// Any set of fields of a dialect with any values; without a bitmap the first ones.
pub(crate) fn any_fields(dialect: &'static Dialect) -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let rows: Vec<_> = dialect.rows().copied().collect();
    let chosen = if dialect.form().layout == Layout::Positional {
        let first = move |count: usize| rows[..count].to_vec();
        (0..=dialect.rows().count()).prop_map(first).boxed()
    } else {
        let count_max = rows.len().min(40);
        proptest::sample::subsequence(rows, 0..=count_max).boxed()
    };
    chosen.prop_flat_map(|rows| {
        let value = |row: FieldSpec| value_of(row).prop_map(move |value| (row.number, value));
        rows.into_iter().map(value).collect::<Vec<_>>()
    })
}
