//! Digits of a card that are planted in every dialect are in nothing that is told, whatever
//! happened to the message on its way.

use super::*;
use crate::class::Class;
use crate::field::Encoding;
use crate::message::{FieldIndex, MessageRef};
use crate::testing::mti_of;
use crate::writer::Writer;

/// With a good check digit, and no shorter beginning that has one.
const NUMBER: &[u8] = b"5061069876543216";
const TRACK: &[u8] = b"5061069876543216=89678967896789678967";
/// A sub-element with the number in it.
const PRIVATE: &[u8] = b"T02165061069876543216";
/// Which of the other fields are there.
const SEED: u64 = 8583;
const PIN_BLOCK: &[u8] = &[0x9A, 0x87, 0x6F, 0x5E, 0xD4, 0xC3, 0xB2, 0xA1];
const TRACK_1: &[u8] = b"B5061069876543216^NAME^89678967896789";

/// Characters that follow one another in what is planted. Of the account number eight digits: it
/// may be cut in two where it is not masked, and less is not the number (PCI DSS 3.4.1).
const SECRETS: [&str; 19] = [
    "50610698", "06106987", "61069876", "10698765", "06987654", "69876543", "98765432", "87654321",
    "76543216", "89678", "96789", "67896", "78967", "NAME", "9A876F", "876F5E", "6F5ED4", "5ED4C3",
    "C3B2A1",
];

#[test]
fn the_planted_number_is_one() {
    let sum: u32 = (0..16)
        .rev()
        .map(|place| {
            let digit = u32::from(NUMBER[place] - b'0') * if place % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    assert_eq!(sum % 10, 0);
}

/// A value of a row: card data where the row says so, and digits below three elsewhere.
fn value_of(row: &FieldSpec, seed: u64) -> Vec<u8> {
    if let Some(held) = held(row, seed) {
        return held;
    }
    let source: &[u8] = match (row.sensitivity, row.class) {
        (Sensitivity::Pan, _) => NUMBER,
        (Sensitivity::Sad, Class::Z) => TRACK,
        (Sensitivity::Sad, Ans | Class::Ns | Class::A) => TRACK_1,
        (Sensitivity::Sad, B) if matches!(row.encoding, Encoding::Text(_)) => PRIVATE,
        (Sensitivity::Sad, B) => PIN_BLOCK,
        // Codes that stand alone look like nothing: three digits of them prove no leak.
        (Sensitivity::Sad, _) => b"987",
        (Sensitivity::Public, Class::A) => b"SHOP AT THE CORNER",
        (Sensitivity::Public, Class::Xn) => b"C004200420042004200420042",
        (Sensitivity::Public, _) if !row.calendar.is_empty() => b"010101010101",
        (Sensitivity::Public, _) => b"00740042074",
    };
    let len = match row.length {
        Length::Fixed(len) => usize::from(len),
        Length::Var { .. } if row.sensitivity == Sensitivity::Public => {
            usize::from(row.units_max()).min(usize::try_from(seed % 9).unwrap())
        }
        Length::Var { .. } => usize::from(row.units_max()).min(source.len()),
    };
    let skipped = match row.sensitivity {
        Sensitivity::Public if row.calendar.is_empty() && row.class != Class::Xn => seed % 7,
        Sensitivity::Public | Sensitivity::Pan | Sensitivity::Sad => 0,
    };
    let values = source.iter().copied().cycle();
    values
        .skip(usize::try_from(skipped).unwrap())
        .take(len)
        .collect()
}

/// Well-formed content of a field that holds something.
fn held(row: &FieldSpec, seed: u64) -> Option<Vec<u8>> {
    let value = match row.composite {
        Composite::Opaque | Composite::Tagged(_) => return None,
        Composite::Tlv => CHIP.to_vec(),
        Composite::Datasets => {
            let len = u8::try_from(CHIP.len()).unwrap();
            [&[0x01, 0, len], CHIP].concat()
        }
        Composite::Bitmapped(dialect) | Composite::Positional(dialect) => {
            let mut out = vec![0; 4096];
            let mut writer = Writer::nested(dialect, &mut out);
            for row in dialect.rows() {
                // Without a bitmap there are no gaps.
                if dialect.form().layout == crate::dialect::Layout::Positional || seed & 1 == 1 {
                    writer.put(row.number, &value_of(row, seed / 3)).unwrap();
                }
            }
            let len = writer.finish().unwrap();
            out.truncate(len);
            out
        }
    };
    row.has_length(value.len()).then_some(value)
}

const CHIP: &[u8] = &[
    0x5A, 8, 0x50, 0x61, 0x06, 0x98, 0x76, 0x54, 0x32, 0x16, 0x9F, 0x36, 2, 0, 1, 0x57, 0x13, 0x50,
    0x61, 0x06, 0x98, 0x76, 0x54, 0x32, 0x16, 0xD8, 0x96, 0x78, 0x96, 0x78, 0x96, 0x78, 0x96, 0x78,
    0x96, 0x7F, 0xC1, 3, 0x9A, 0x87, 0x6F, 0x71, 6, 0x86, 4, 0x9A, 0x87, 0x6F, 0x5E,
];

/// A message with the secrets of its dialect but for one field, and some of the rest.
fn message_without(missing: u8, dialect: &'static Dialect, seed: u64) -> Vec<u8> {
    let mut out = vec![0; 65_535];
    let mut writer = Writer::new(dialect, mti_of("0200"), &mut out);
    for (place, row) in dialect.rows().enumerate() {
        let mixed = (seed ^ place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let usual = matches!(row.number, 2 | 3 | 4 | 7 | 11 | 35 | 37 | 41 | 49 | 52 | 55);
        if row.number != missing && (usual || mixed.is_multiple_of(8)) {
            writer.put(row.number, &value_of(row, mixed)).unwrap();
        }
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

fn message(dialect: &'static Dialect, seed: u64) -> Vec<u8> {
    message_without(0, dialect, seed)
}

/// What a small fault on the way can make of a message: each end missing, each byte missing, each
/// bit of the bitmaps flipped and two of each byte behind them, and at each place a byte too many.
/// Up to so many bytes from the start.
fn damaged(good: &[u8], places: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    let cut = |place: usize| (format!("cut at {place}"), good[..place].to_vec());
    let changed = |what: String, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        (what, bytes)
    };
    let each = move |place: usize| {
        let lost = |bytes: &mut Vec<u8>| drop(bytes.drain(place..=place));
        let mut all = vec![cut(place), changed(format!("{place} lost"), &lost)];
        let bits = if place < HEAD_LEN { 0..8 } else { 0..2 };
        all.extend(bits.map(|bit| {
            let flipped = |bytes: &mut Vec<u8>| bytes[place] ^= 1 << bit;
            changed(format!("bit {bit} of {place}"), &flipped)
        }));
        all.extend([b'1', 0xF1].map(|byte| {
            let inserted = |bytes: &mut Vec<u8>| bytes.insert(place, byte);
            changed(format!("{byte:02X} before {place}"), &inserted)
        }));
        all
    };
    (0..good.len().min(places)).flat_map(each)
}

/// Type indicator and bitmaps, in hexadecimal digits too.
const HEAD_LEN: usize = 36;

/// Whether bytes are a good message in which secrets are not where they were, or in which a field
/// holds something else. That is another message: nobody can tell.
fn is_another(dialect: &'static Dialect, before: &[u8], after: &[u8]) -> bool {
    let secrets = |bytes: &[u8]| {
        let mut index = FieldIndex::new();
        let is_good = dialect.parse(bytes, &mut index).is_ok();
        let message = MessageRef::new(bytes, &index);
        let row = |number: &u8| dialect.field(*number).unwrap();
        let numbers = message.present().iter();
        let secret = numbers.filter(|number| row(number).sensitivity != Sensitivity::Public);
        let places: Vec<_> = secret
            .map(|number| {
                let held = row(&number).composite != Composite::Opaque;
                let value = message.field(number).filter(|_| held);
                (number, message.extent(number), value.map(<[u8]>::to_vec))
            })
            .collect();
        (is_good.then(|| message.check_composites()), places)
    };
    let ((held, before), (held_after, after)) = (secrets(before), secrets(after));
    held == held_after && before != after
}

#[track_caller]
fn check_nothing_shows(told: &str, context: &str) {
    for secret in SECRETS {
        let ascii: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
        let ebcdic: String = secret
            .bytes()
            .map(|byte| format!("F{}", byte & 0x0F))
            .collect();
        for form in [secret.to_string(), ascii, ebcdic] {
            assert!(!told.contains(&form), "{form} in {told}\n{context}");
        }
    }
}

/// The values alone, one behind the other: a number that lies under two fields shows too.
#[derive(Default)]
struct Shown(String, String);

impl Visitor for Shown {
    fn mti(&mut self, _mti: Mti) {}

    fn bitmaps(&mut self, _place: core::ops::Range<usize>, _fields: Bitmap) {}

    fn part(&mut self, part: &Part<'_>) {
        match part.value {
            Value::Text(text) => {
                self.0.extend(text.iter().map(|byte| char::from(*byte)));
                // Packed digits under a text show as its bytes.
                self.1.extend(text.iter().map(|byte| format!("{byte:02X}")));
            }
            Value::Bytes(_) | Value::Account(_) | Value::Hidden(_) | Value::Parts => {
                self.0.push_str(&part.value.to_string());
            }
        }
    }

    fn malformed(&mut self, _path: &Path, _offset: usize, rule: &dyn fmt::Display) {
        self.0.push_str(&rule.to_string());
    }
}

/// All that is told of a message, the bytes around its fault included.
fn shown(dialect: &'static Dialect, bytes: &[u8], scratch: &mut [u8]) -> String {
    let mut shown = Shown::default();
    let visited = visit(dialect, bytes, scratch, &mut shown);
    assert_eq!(visited, dialect.parse(bytes, &mut FieldIndex::new()));
    if let Err(error) = visited {
        let window = window(dialect, bytes, error).to_string();
        shown.0.push_str(&window.replace([' ', '|'], ""));
    }
    shown.0 + " " + &shown.1
}

#[track_caller]
fn check(dialect: &'static Dialect, good: &[u8], places: usize, scratch: &mut [u8]) {
    check_nothing_shows(&shown(dialect, good, scratch), dialect.name());
    for (what, bytes) in damaged(good, places) {
        if !is_another(dialect, good, &bytes) {
            let context = format!("{dialect:?} {what}");
            check_nothing_shows(&shown(dialect, &bytes, scratch), &context);
        }
    }
}

/// What is shown in spite of a fault is shown on evidence, not on proof: see
/// [`super::super::gate`]. More seeds are for whoever changes that.
#[test]
fn nothing_planted_shows_whatever_happened_on_the_way() {
    let mut scratch = vec![0; 9999];
    for dialect in Dialect::ALL {
        check(dialect, &message(dialect, SEED), usize::MAX, &mut scratch);
    }
}

/// Each secret stops what is shown, so one of them may hide that another shows.
#[test]
fn no_planted_secret_hides_that_another_shows() {
    let mut scratch = vec![0; 9999];
    for dialect in Dialect::ALL {
        for missing in [2, 7, 35, 45, 48, 52, 55, 63] {
            let good = message_without(missing, dialect, SEED);
            check(dialect, &good, HEAD_LEN, &mut scratch);
        }
    }
}

#[test]
fn a_good_message_shows_what_is_public() {
    for dialect in Dialect::ALL {
        let bytes = message(dialect, 1);
        let mut index = FieldIndex::new();
        assert_eq!(dialect.parse(&bytes, &mut index), Ok(()), "{dialect:?}");
        let lines = told(dialect, &bytes);
        assert!(
            lines.iter().any(|line| line.ends_with("506106******3216")),
            "{lines:#?}"
        );
        let amount = lines.iter().find(|line| line.starts_with("4 ")).unwrap();
        assert!(amount.contains('"'), "{amount}");
    }
    assert!(
        Dialect::ALL
            .iter()
            .any(|dialect| { dialect.rows().any(|row| row.encoding == Binary) })
    );
}
