//! Public messages that the codec must agree with. They lie beside the repository in
//! `../shared/vectors`; where they do not, the crate's own tests stand alone and this one says so.
//!
//! A vector brings its own dialect as rows of data. What the codec has no row form for (packed
//! digits, EBCDIC, a third bitmap, six-digit prefixes) is passed over, and the number of those that
//! are not is asserted.

use std::collections::BTreeMap;
use std::path::Path;

use iso8583::class::Class;
use iso8583::dialect::{BitmapForm, Dialect};
use iso8583::field::{Encoding, FieldSpec, Length};
use iso8583::{FieldIndex, MessageRef, Mti, Writer, tlv};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");

/// The vectors of some files; `None` where the folder is absent.
fn vectors(files: &[&str]) -> Option<Vec<Value>> {
    if !Path::new(FOLDER).is_dir() {
        println!("no vectors in {FOLDER}: nothing to compare with");
        return None;
    }
    let read = |file: &&str| {
        let text = std::fs::read_to_string(Path::new(FOLDER).join(file)).unwrap();
        match serde_json::from_str(&text).unwrap() {
            Value::Array(vectors) => vectors,
            other => panic!("{file}: {other}"),
        }
    };
    Some(files.iter().flat_map(read).collect())
}

/// The vector's dialect, when every part of it has a form here.
fn dialect_of(vector: &Value) -> Option<&'static Dialect> {
    let dialect = &vector["dialect"];
    if dialect["mti"] != "ascii" || !dialect["header"].is_null() {
        return None;
    }
    let bitmap = match dialect["bitmap"].as_str()? {
        "hex-ascii" => BitmapForm::Hex,
        "binary" => BitmapForm::Binary,
        _ => return None,
    };
    let mut rows = BTreeMap::new();
    for (number, field) in dialect["fields"].as_object()? {
        let number = number.parse().ok()?;
        rows.insert(number, row_of(number, field)?);
    }
    let rows: Vec<FieldSpec> = rows.into_values().collect();
    // A few dialects, for the life of the test.
    Dialect::new("vector", bitmap, &rows)
        .ok()
        .map(|dialect| &*Box::leak(Box::new(dialect)))
}

fn row_of(number: u8, field: &Value) -> Option<FieldSpec> {
    let size = u16::try_from(field["size"].as_u64()?).ok()?;
    let length = match (field["form"].as_str()?, field["prefix"].as_str()) {
        ("fixed", _) => Length::Fixed(size),
        // One vector allows fifteen; one digit cannot say more than nine.
        ("LVAR", Some("ascii")) => Length::L(size.min(9)),
        ("LLVAR", Some("ascii")) => Length::Ll(size),
        ("LLLVAR", Some("ascii")) => Length::Lll(size),
        _ => return None,
    };
    let class = match field["class"].as_str()? {
        "n" => Class::N,
        "an" => Class::An,
        "ans" => Class::Ans,
        "ns" => Class::Ns,
        "z" => Class::Z,
        "b" => Class::B,
        "x+n" => Class::Xn,
        _ => return None,
    };
    let encoding = match field["enc"].as_str()? {
        "ascii" => Encoding::Ascii,
        "binary" => Encoding::Binary,
        "hex-ascii" => Encoding::Hex,
        _ => return None,
    };
    Some(FieldSpec::new(number, "field of a vector", class, length).encoded(encoding))
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The plain fields that a vector expects: nested ones are checked as a whole by the re-encoding.
fn expected_fields(vector: &Value) -> Vec<(u8, &str)> {
    let fields = vector["fields"].as_object().unwrap();
    fields
        .iter()
        .filter_map(|(number, value)| Some((number.parse().ok()?, value.as_str()?)))
        .collect()
}

#[test]
fn messages_are_read_and_written_again() {
    let files = [
        "ascii.json",
        "bitmaps.json",
        "iso87b.json",
        "post.json",
        "subfields.json",
    ];
    let Some(vectors) = vectors(&files) else {
        return;
    };
    let mut compared = 0;
    for vector in vectors.iter().filter(|vector| vector["kind"] == "message") {
        let Some(dialect) = dialect_of(vector) else {
            continue;
        };
        check_message(vector, dialect);
        compared += 1;
    }
    assert!(compared >= 5, "only {compared} vectors were compared");
}

fn check_message(vector: &Value, dialect: &'static Dialect) {
    let name = &vector["name"];
    let bytes = bytes_of(vector["hex"].as_str().unwrap());
    let mut index = FieldIndex::new();
    assert_eq!(dialect.parse(&bytes, &mut index), Ok(()), "{name}");
    let message = MessageRef::new(&bytes, &index);
    assert_eq!(
        message.mti().to_string(),
        vector["mti"].as_str().unwrap(),
        "{name}"
    );
    let mut scratch = [0; 999];
    for (number, expected) in expected_fields(vector) {
        let value = message.decode(number, &mut scratch).unwrap();
        let is_binary = dialect
            .field(number)
            .is_some_and(|row| row.class == Class::B);
        let shown = if is_binary {
            hex_of(value)
        } else {
            value.escape_ascii().to_string()
        };
        assert_eq!(shown, expected, "{name}: field {number}");
    }
    if vector["roundtrip"] == true {
        assert_eq!(written_again(message), bytes, "{name}");
    }
    for cut in 0..bytes.len() {
        assert!(
            dialect.parse(&bytes[..cut], &mut index).is_err(),
            "{name} cut at {cut}"
        );
    }
}

fn written_again(message: MessageRef<'_>) -> Vec<u8> {
    let (mut out, mut scratch) = ([0; 8192], [0; 999]);
    let mti = Mti::new(*message.mti().as_bytes()).unwrap();
    let mut writer = Writer::new(message.dialect(), mti, &mut out);
    for number in message.present() {
        writer
            .put(number, message.decode(number, &mut scratch).unwrap())
            .unwrap();
    }
    let len = writer.finish().unwrap();
    out[..len].to_vec()
}

#[test]
fn malformed_messages_name_field_and_offset() {
    let Some(vectors) = vectors(&["negatives.json"]) else {
        return;
    };
    let mut compared = 0;
    for vector in &vectors {
        let Some(dialect) = dialect_of(vector) else {
            continue;
        };
        let bytes = bytes_of(vector["hex"].as_str().unwrap());
        let error = dialect.parse(&bytes, &mut FieldIndex::new()).unwrap_err();
        let expected = &vector["expect_error"];
        let name = &vector["name"];
        assert_eq!(
            Some(u64::from(error.field)),
            expected["field"].as_u64(),
            "{name}: {error}"
        );
        assert_eq!(
            Some(u64::from(error.offset)),
            expected["offset"].as_u64(),
            "{name}: {error}"
        );
        compared += 1;
    }
    assert!(compared >= 11, "only {compared} vectors were compared");
}

#[test]
fn chip_data_is_read_in_order() {
    let Some(vectors) = vectors(&["subfields.json"]) else {
        return;
    };
    let named = |name: &str| {
        vectors
            .iter()
            .find(|vector| vector["name"] == name)
            .unwrap()
    };
    // Each has three bytes before its elements: a length in digits, or dataset id and length.
    for (vector, prefix) in [
        (named("ber-tlv-unknown-tags-kept"), ""),
        (named("dataset-tlv-1-2-3-byte-tags"), "01."),
    ] {
        let bytes = bytes_of(vector["hex"].as_str().unwrap());
        let read: BTreeMap<String, String> = tlv::elements(&bytes[3..])
            .map(|element| element.unwrap())
            .map(|element| (format!("{prefix}{:X}", element.tag), hex_of(element.value)))
            .collect();
        let fields = vector["fields"].as_object().unwrap();
        let expected: BTreeMap<String, String> = fields
            .iter()
            .map(|(tag, value)| (tag.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(read, expected);
    }
}
