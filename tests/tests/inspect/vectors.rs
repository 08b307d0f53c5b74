//! Messages whose values are known: what is shown is what they hold, masked where it must be.
//!
//! Those of our own are in every dialect. The public ones of `../shared/vectors` are for whoever
//! has them; where they are not, the test says so.

use std::collections::BTreeMap;

use domain::Pan;
use iso8583::class::Class;
use iso8583::composite::Composite;
use iso8583::field::{Encoding, FieldSpec, Length, Sensitivity};
use iso8583::{Dialect, FieldIndex};
use njia_tests::vectors::{BUILT_IN, public};
use serde_json::Value;

use super::{folder, message, object, of_bytes, written};

/// The vectors of some files by their names; `None` where the folder is absent.
fn vectors(files: &[&str]) -> Option<BTreeMap<String, Value>> {
    let named = |vector: Value| (text_of(&vector["name"]).to_owned(), vector);
    Some(public(files)?.into_iter().map(named).collect())
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The row of `4`, or of `127.25`; `None` for a part that the dialect does not take apart.
fn row_of(dialect: &'static Dialect, path: &str) -> Option<&'static FieldSpec> {
    let (number, inner) = match path.split_once('.') {
        Some((number, inner)) => (number, Some(inner)),
        None => (path, None),
    };
    let row = dialect.field(number.parse().unwrap())?;
    match (inner, row.composite) {
        (None, _) => Some(row),
        (Some(inner), Composite::Bitmapped(dialect) | Composite::Positional(dialect)) => {
            row_of(dialect, inner)
        }
        (
            Some(_),
            Composite::Opaque | Composite::Tlv | Composite::Datasets | Composite::Tagged(_),
        ) => None,
    }
}

/// What is shown of a field is its value: masked, or as text, or as hexadecimal digits.
#[track_caller]
fn check_field(name: &str, row: &FieldSpec, value: &str, shown: &str) {
    let is_right = match row.sensitivity {
        Sensitivity::Sad => shown.starts_with("[SAD, ") && shown.ends_with(" bytes]"),
        Sensitivity::Pan => match Pan::new(value.as_bytes()) {
            Ok(pan) => shown == pan.masked().to_string(),
            Err(_) => shown.starts_with("[masked, "),
        },
        // Nobody knows what private bytes are.
        Sensitivity::Public if is_private(row) => shown.starts_with("[masked, "),
        Sensitivity::Public => {
            shown == value || shown == super::hex_of(value.as_bytes()).to_uppercase()
        }
    };
    assert!(is_right, "{name}: field {} is shown as {shown}", row.number);
}

fn is_private(row: &FieldSpec) -> bool {
    let is_text = matches!(row.encoding, Encoding::Text(_));
    is_text && row.class == Class::B && row.composite == Composite::Opaque
}

/// A good message is shown with these values. Returns how many were shown in clear.
#[track_caller]
fn check(
    name: &str,
    dialect: &'static Dialect,
    object: &Value,
    mti: &str,
    fields: &[(String, String)],
) -> usize {
    assert_eq!(object["mti"], mti, "{name}");
    assert_eq!(object["error"], Value::Null, "{name}");
    let mut clear = 0;
    for (path, value) in fields {
        let (path, row) = match row_of(dialect, path) {
            Some(row) => (&path[..], row),
            None => {
                let (holder, _) = path.split_once('.').unwrap();
                (holder, row_of(dialect, holder).unwrap())
            }
        };
        let shown = object["fields"][path].as_str();
        let shown = shown.unwrap_or_else(|| panic!("{name}: field {path} is not shown"));
        check_field(name, row, value, shown);
        clear += usize::from(row.sensitivity == Sensitivity::Public);
    }
    clear
}

/// A value of a row: a card, a date, or digits to its length.
fn value_of(row: &FieldSpec) -> String {
    let digits = match (row.number, row.length) {
        (2, _) => return "5061069876543216".to_owned(),
        (7, _) => "0601120000",
        (_, Length::Var { .. }) => return "200200".to_owned(),
        (_, Length::Fixed(_)) => "150",
    };
    format!("{digits:0>width$}", width = usize::from(row.units_max()))
}

#[test]
fn in_every_dialect_values_are_shown_as_they_were_put() {
    for dialect in Dialect::ALL {
        let numbers = [2, 3, 4, 7, 11, 32, 37, 41, 42, 49];
        let rows = numbers.iter().filter_map(|number| dialect.field(*number));
        let fields: Vec<(u8, String)> = rows.map(|row| (row.number, value_of(row))).collect();
        let puts: Vec<(u8, &[u8])> = fields
            .iter()
            .map(|(n, value)| (*n, value.as_bytes()))
            .collect();
        let bytes = written(dialect, b"0200", &puts);
        let out = of_bytes(dialect, &["--json"], &bytes).good();
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(n, value)| (n.to_string(), value))
            .collect();
        let clear = check(dialect.name(), dialect, &object(&out), "0200", &fields);
        assert!(clear >= 8, "{}", dialect.name());
    }
}

const FILES: [&str; 6] = [
    "ascii.json",
    "bcd.json",
    "iso87b.json",
    "post.json",
    "subfields.json",
    "visa.json",
];

#[test]
fn public_messages_are_shown_with_their_values() {
    let Some(vectors) = vectors(&FILES) else {
        return;
    };
    for (name, dialect) in BUILT_IN {
        let vector = &vectors[name];
        let header = vector["dialect"]["header"].as_str().unwrap_or("none");
        let arguments = [
            ["--dialect", dialect],
            ["--framing", text_of(&vector["framing"])],
            ["--header", header],
            ["--json", text_of(&vector["hex"])],
        ];
        let object = object(&message(&arguments.concat(), b"").good());
        let fields = vector["fields"].as_object().unwrap().iter();
        let fields: Vec<_> = fields
            .map(|(path, value)| (path.clone(), text_of(value).to_owned()))
            .collect();
        let dialect = Dialect::by_name(dialect).unwrap();
        let clear = check(name, dialect, &object, text_of(&vector["mti"]), &fields);
        assert!(clear > 0 || name.starts_with("tagged"), "{name}");
        if header != "none" {
            check_header(&vector["header"], &object["header"]);
        }
    }
}

/// A header is told as the vector tells it, which has numbers where the command has text.
#[track_caller]
fn check_header(expected: &Value, told: &Value) {
    for (key, value) in expected.as_object().unwrap() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(told[key], value, "{key} of the header");
    }
}

/// A third bitmap in `iso87-ascii-hex`.
const TERTIARY: &str =
    "[dialects.three]\nextends = \"iso87-ascii-hex\"\ntertiary = \"after-secondary\"\n";

/// Faults that a built-in dialect finds at the same place as the dialect of the vector.
const SAME_PLACE: [&str; 8] = [
    "mti-not-ascii",
    "mti-two-bytes",
    "empty-message",
    "bitmap-not-hex",
    "bitmap-truncated",
    "extra-bytes-after-bitmap",
    "length-prefix-not-numeric",
    "length-prefix-bcd-nibble-above-9",
];

#[test]
fn public_faults_are_told_where_they_are() {
    let Some(vectors) = vectors(&["negatives.json"]) else {
        return;
    };
    let folder = folder("negatives");
    let path = folder.join("three.toml");
    std::fs::write(&path, TERTIARY).unwrap();
    let with_three = path.display().to_string();
    let same = SAME_PLACE.iter().map(|name| (*name, "iso87-ascii-hex"));
    let three = [("tertiary-announced-no-data", with_three.as_str())];
    for (name, dialect) in same.chain(three) {
        let vector = &vectors[name];
        let arguments = ["--dialect", dialect, "--json", "-"];
        let told = message(&arguments, text_of(&vector["hex"]).as_bytes());
        let object = object(&told.unreadable("the message cannot be read"));
        let expected = &vector["expect_error"];
        assert_eq!(object["error"]["field"], expected["field"], "{name}");
        assert_eq!(object["error"]["offset"], expected["offset"], "{name}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The same faults in messages of our own, for whoever has no vectors.
#[test]
fn faults_are_told_where_parse_finds_them() {
    let dialect = Dialect::ISO87_ASCII_HEX;
    for (bytes, field, offset) in [
        (&b"\xFF\xFF\xFF\xFF0000000000000000"[..], 0, 0),
        (b"02", 0, 0),
        (b"0210incorrecthexdata", 1, 4),
        (b"02100000", 1, 4),
        (b"02100000000000000000extra", 1, 20),
        (b"020040000000000000000g123456", 2, 20),
        (b"0200400000000000000006123", 2, 22),
    ] {
        let error = dialect.parse(bytes, &mut FieldIndex::new()).unwrap_err();
        assert_eq!((error.field, error.offset), (field, offset), "{error}");
        let told = of_bytes(dialect, &["--json"], bytes);
        let object = object(&told.unreadable("the message cannot be read"));
        assert_eq!(object["error"]["field"], field, "{error}");
        assert_eq!(object["error"]["offset"], offset, "{error}");
        assert_eq!(object["error"]["rule"], error.kind.to_string());
    }
}
