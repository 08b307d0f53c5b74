//! Digits of a card that are planted wherever a dialect has a place for them are in nothing that
//! the command prints, be the message whole or cut anywhere.

use iso8583::class::Class;
use iso8583::composite::Composite;
use iso8583::dialect::Layout;
use iso8583::field::{Encoding, FieldSpec, Length, Sensitivity};
use iso8583::{Dialect, Writer};

use super::{Told, framed, objects, of_bytes, written};

/// With a good check digit, and no shorter beginning that has one.
const NUMBER: &[u8] = b"5061069876543216";
const TRACK_1: &[u8] = b"B5061069876543216^NAME^89678967896789";
const TRACK_2: &[u8] = b"5061069876543216=89678967896789678967";
const PIN_BLOCK: &[u8] = &[0x9A, 0x87, 0x6F, 0x5E, 0xD4, 0xC3, 0xB2, 0xA1];
/// A sub-element with the number in it.
const PRIVATE: &[u8] = b"T02165061069876543216";

/// The number, 9F36, the track, an element that nobody knows, a script.
const CHIP_DATA: &[u8] = &[
    0x5A, 8, 0x50, 0x61, 0x06, 0x98, 0x76, 0x54, 0x32, 0x16, 0x9F, 0x36, 2, 0, 1, 0x57, 0x13, 0x50,
    0x61, 0x06, 0x98, 0x76, 0x54, 0x32, 0x16, 0xD8, 0x96, 0x78, 0x96, 0x78, 0x96, 0x78, 0x96, 0x78,
    0x96, 0x7F, 0xC1, 3, 0x9A, 0x87, 0x6F, 0x71, 6, 0x86, 4, 0x9A, 0x87, 0x6F, 0x5E,
];

/// Characters that follow one another in what is planted. Of the account number eight digits: six
/// and four are shown.
const SECRETS: [&str; 17] = [
    "50610698", "06106987", "61069876", "10698765", "06987654", "69876543", "98765432", "87654321",
    "76543216", "89678", "96789", "67896", "78967", "NAME", "9A876F", "6F5ED4", "D4C3B2",
];

/// A value of a row: card data where the row says so, and digits below six elsewhere.
fn value_of(row: &FieldSpec) -> Vec<u8> {
    if let Some(held) = held(row) {
        return held;
    }
    let source: &[u8] = match (row.sensitivity, row.class) {
        (Sensitivity::Pan, _) => NUMBER,
        (Sensitivity::Sad, Class::Z) => TRACK_2,
        (Sensitivity::Sad, Class::Ans | Class::Ns | Class::A | Class::An) => TRACK_1,
        (Sensitivity::Sad, Class::B) if matches!(row.encoding, Encoding::Text(_)) => PRIVATE,
        (Sensitivity::Sad, Class::B) => PIN_BLOCK,
        (Sensitivity::Sad, Class::N | Class::Xn) => NUMBER,
        (Sensitivity::Public, Class::A) => b"SHOP AT THE CORNER",
        (Sensitivity::Public, Class::Xn) => b"C004200420042004200420042",
        (Sensitivity::Public, _) if !row.calendar.is_empty() => b"010101010101",
        (Sensitivity::Public, _) => b"00450042045",
    };
    let alphanumeric = row.class == Class::An && row.sensitivity == Sensitivity::Sad;
    let source = if alphanumeric { NUMBER } else { source };
    let len = match row.length {
        Length::Fixed(len) => usize::from(len),
        Length::Var { .. } => usize::from(row.units_max()).min(source.len()),
    };
    source.iter().copied().cycle().take(len).collect()
}

/// Well-formed content of a field that holds something.
fn held(row: &FieldSpec) -> Option<Vec<u8>> {
    let value = match row.composite {
        Composite::Opaque | Composite::Tagged(_) => return None,
        Composite::Tlv => CHIP_DATA.to_vec(),
        Composite::Datasets => {
            let len = u8::try_from(CHIP_DATA.len()).unwrap();
            [&[0x01, 0, len], CHIP_DATA].concat()
        }
        Composite::Bitmapped(dialect) | Composite::Positional(dialect) => {
            let mut out = vec![0; 4096];
            let mut writer = Writer::nested(dialect, &mut out);
            for row in dialect.rows() {
                // Without a bitmap there are no gaps; with one there are some.
                if dialect.form().layout == Layout::Positional || !row.number.is_multiple_of(3) {
                    writer.put(row.number, &value_of(row)).unwrap();
                }
            }
            let len = writer.finish().unwrap();
            out.truncate(len);
            out
        }
    };
    row.has_length(value.len()).then_some(value)
}

/// A message with every secret of its dialect and some of the rest.
fn planted(dialect: &'static Dialect) -> Vec<u8> {
    let is_there = |row: &&FieldSpec| {
        let is_common = matches!(row.number, 3 | 4 | 7 | 11 | 32 | 37 | 41);
        is_common || row.sensitivity != Sensitivity::Public || row.number.is_multiple_of(5)
    };
    let rows = dialect.rows().filter(is_there);
    let fields: Vec<(u8, Vec<u8>)> = rows.map(|row| (row.number, value_of(row))).collect();
    let fields: Vec<(u8, &[u8])> = fields.iter().map(|(n, value)| (*n, &value[..])).collect();
    written(dialect, b"0200", &fields)
}

/// A secret as characters, as their bytes in ASCII and EBCDIC, and as EBCDIC read as Latin-1.
fn forms(secret: &str) -> Vec<String> {
    let ascii: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    let mut forms = vec![secret.to_owned(), ascii];
    if secret.bytes().all(|byte| byte.is_ascii_digit()) {
        let ebcdic = secret.bytes().map(|digit| 0xF0 | digit & 0x0F);
        forms.push(ebcdic.clone().map(|byte| format!("{byte:02X}")).collect());
        forms.push(
            ebcdic
                .clone()
                .map(|byte| format!("\\x{byte:02x}"))
                .collect(),
        );
        forms.push(ebcdic.map(char::from).collect());
    }
    forms
}

/// No secret is in anything that was told; in the bytes around a fault neither.
#[track_caller]
fn check_nothing_shows(dialect: &Dialect, told: &Told) {
    let everything = format!("{}\n{}", without_gaps(&told.out), told.err);
    for form in SECRETS.iter().flat_map(|secret| forms(secret)) {
        assert!(
            !everything.contains(&form),
            "{form} in {}, line {:?}",
            dialect.name(),
            everything.lines().find(|line| line.contains(&form))
        );
    }
}

/// The bytes around each fault, in the line below it, as one number; other lines as they are.
fn without_gaps(out: &str) -> String {
    let mut is_below_fault = false;
    let joined = out.lines().map(|line| {
        let is_window = std::mem::replace(&mut is_below_fault, line.starts_with("fault: "));
        if is_window {
            line.replace([' ', '|'], "")
        } else {
            line.to_owned()
        }
    });
    joined.collect::<Vec<_>>().join("\n")
}

/// Each cut as long as a frame can be, and at the end the whole message.
fn cuts(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let places = (CUT_MIN..message.len()).step_by(STEP);
    places.chain([message.len()]).map(|place| &message[..place])
}

/// A shorter frame is refused.
const CUT_MIN: usize = 10;
/// Bytes between one cut and the next: no divisor of the usual lengths.
const STEP: usize = 7;

#[test]
fn nothing_planted_shows_of_a_message_whole_or_cut() {
    for dialect in Dialect::ALL {
        let message = planted(dialect);
        let stream: Vec<u8> = cuts(&message).flat_map(|cut| framed("be16", cut)).collect();
        let count = cuts(&message).count();
        let unreadable = format!(
            "njia: {} of {count} messages cannot be read (exit 1)\n",
            count - 1
        );

        let told = of_bytes(dialect, &["--framing", "be16", "--json"], &stream);
        check_nothing_shows(dialect, &told);
        assert_eq!(told.err, unreadable, "{}", dialect.name());
        let objects = objects(&told.out);
        assert_eq!(objects.len(), count, "{}", dialect.name());
        let whole = objects.last().unwrap();
        assert_eq!(
            whole["fields"]["2"],
            "506106******3216",
            "{}",
            dialect.name()
        );
        assert!(
            objects[..count - 1]
                .iter()
                .all(|object| object["error"].is_object())
        );

        let told = of_bytes(dialect, &["--framing", "be16"], &stream);
        check_nothing_shows(dialect, &told);
        assert_eq!(told.err, unreadable, "{}", dialect.name());
        assert_eq!(
            told.out.matches("fault: ").count(),
            count - 1,
            "{}",
            dialect.name()
        );

        let told = of_bytes(dialect, &[], &message[..STEP]);
        check_nothing_shows(dialect, &told);
    }
}

/// The frame says more than there is: what is there is shown as a message, and as little of it.
#[test]
fn nothing_planted_shows_of_a_stream_that_is_cut() {
    let dialect = Dialect::ISO87_ASCII;
    let frame = framed("be16", &planted(dialect));
    for place in (CUT_MIN..frame.len()).step_by(11 * STEP) {
        for arguments in [&["--framing", "be16", "--json"][..], &["--framing", "be16"]] {
            let told = of_bytes(dialect, arguments, &frame[..place]);
            check_nothing_shows(dialect, &told);
            assert_eq!(told.code, Some(1), "cut at {place}");
        }
    }
}

/// What is searched for would be found.
#[test]
fn the_search_finds_what_is_planted() {
    for shown in [
        "\"5061069876543216\"",
        "2  9A876F5ED4C3B2A1",
        "F5F0F6F1F0F6F9F8F7",
        "fault: somewhere\n  0028  ** 35 30 36 |31 30 36 39 38 **",
        "\\xf8\\xf9\\xf6\\xf7\\xf8",
    ] {
        let told = Told {
            code: Some(0),
            out: format!("one line\n{shown}\n"),
            err: String::new(),
        };
        let search = || check_nothing_shows(Dialect::ISO87_ASCII, &told);
        assert!(std::panic::catch_unwind(search).is_err(), "{shown}");
    }
}
