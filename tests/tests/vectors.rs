//! Messages that the codec must agree with: our own in `tests/vectors`, which always take part, and
//! public ones, which lie beside the repository in `../shared/vectors`, for some may not be copied
//! into it. Where they are absent, each test of theirs says that it has compared nothing.
//!
//! A vector brings its own dialect as rows of data, and is read and written again by them.

#[path = "vectors/crypto.rs"]
mod crypto;
#[path = "vectors/subfields.rs"]
mod subfields;

use std::collections::BTreeMap;

use iso8583::charset::Charset;
use iso8583::class::Class;
use iso8583::composite::Composite;
use iso8583::dialect::{BitmapForm, Dialect, Form, Layout, MtiForm, Tertiary};
use iso8583::field::{Coding, Count, Encoding, FieldSpec, Length, Prefix};
use iso8583::frame::FrameStep;
use iso8583::header::Stripped;
use iso8583::packed::Packed;
use iso8583::{FieldIndex, Framing, Header, MessageRef, Writer};
use njia_tests::vectors::{BUILT_IN, public, read};
use serde_json::Value;

const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");

#[test]
fn our_own_messages_are_read_and_written_again() {
    let vectors = read(OWN, "messages.json");
    assert_eq!(vectors.iter().map(check_message).count(), 3);
}

//= docs/rules.md#C-03
#[test]
fn our_own_malformed_messages_name_field_and_offset() {
    let vectors = read(OWN, "negatives.json");
    assert_eq!(vectors.iter().map(check_malformed).count(), 7);
}

/// The vector's dialect, for the life of the test.
fn dialect_of(vector: &Value) -> &'static Dialect {
    let dialect = &vector["dialect"];
    let mti = match dialect["mti"].as_str().unwrap() {
        "ascii" => MtiForm::Text(Charset::Ascii),
        "bcd" => MtiForm::Packed,
        other => panic!("{other}"),
    };
    let tertiary = match dialect["tertiary"].as_str() {
        Some("after-secondary") => Tertiary::AfterSecondary,
        None => Tertiary::None,
        other => panic!("{other:?}"),
    };
    let form = Form::ASCII
        .mti(mti)
        .bitmap(bitmap_form(&dialect["bitmap"]))
        .layout(Layout::Chained(tertiary));
    leaked(form, &dialect["fields"])
}

fn bitmap_form(name: &Value) -> BitmapForm {
    match name.as_str().unwrap() {
        "hex-ascii" => BitmapForm::HEX,
        "hex-ebcdic" => BitmapForm::Hex(Charset::Cp037),
        "binary" => BitmapForm::Binary,
        other => panic!("{other}"),
    }
}

fn leaked(form: Form, fields: &Value) -> &'static Dialect {
    let fields = fields.as_object().unwrap();
    let rows: BTreeMap<u8, FieldSpec> = fields
        .iter()
        .map(|(number, field)| (number.parse().unwrap(), field))
        .map(|(number, field)| (number, row_of(number, field)))
        .collect();
    let rows: Vec<FieldSpec> = rows.into_values().collect();
    Box::leak(Box::new(Dialect::new("vector", form, &rows, &[]).unwrap()))
}

fn row_of(number: u8, field: &Value) -> FieldSpec {
    let encoding = match (field["enc"].as_str().unwrap(), field["odd"].as_str()) {
        ("ascii", _) => Encoding::ASCII,
        ("ebcdic", _) => Encoding::Text(Charset::Cp037),
        ("binary", _) => Encoding::Binary,
        ("bcd", Some("pad-left-0")) => Encoding::Packed(Packed::RIGHT, Charset::Ascii),
        ("bcd", Some("pad-right-0")) => Encoding::Packed(Packed::LEFT, Charset::Ascii),
        ("bcd", Some("pad-right-f")) => Encoding::Packed(Packed::LEFT_F, Charset::Ascii),
        ("sign ascii, digits bcd", _) => Encoding::Packed(Packed::RIGHT, Charset::Ascii),
        other => panic!("{other:?}"),
    };
    let class = match field["class"].as_str().unwrap() {
        _ if field.get("nested").is_some() => Class::B,
        "n" => Class::N,
        // The decoder of the vectors looks at no class: an, ns and z of one hold any text.
        "an" | "ans" => Class::Ans,
        "ns" | "z" if encoding == Encoding::ASCII => Class::Ans,
        "z" => Class::Z,
        "b" => Class::B,
        "x+n" => Class::Xn,
        other => panic!("{other}"),
    };
    let row = FieldSpec::new(number, "field of a vector", class, length_of(field));
    let row = row.encoded(encoding).prefixed(prefix_of(field));
    match &field["nested"] {
        Value::Null => row,
        nested => {
            let form = Form::nested(bitmap_form(&nested["bitmap"]), 8);
            row.holding(Composite::Bitmapped(leaked(form, &nested["fields"])))
        }
    }
}

fn length_of(field: &Value) -> Length {
    let size = u32::try_from(field["size"].as_u64().unwrap()).unwrap();
    match field["form"].as_str().unwrap() {
        "fixed" => Length::Fixed(u16::try_from(size).unwrap()),
        form => {
            let digits = form.strip_suffix("VAR").unwrap().len();
            let digits = u8::try_from(digits).unwrap();
            // One vector allows fifteen; one digit cannot say more than nine.
            let max = size.min(10_u32.pow(u32::from(digits)) - 1);
            Length::Var { digits, max }
        }
    }
}

fn prefix_of(field: &Value) -> Prefix {
    let coding = match field["prefix"].as_str() {
        None | Some("ascii") => Coding::Ascii,
        Some("bcd") => Coding::Packed,
        other => panic!("{other:?}"),
    };
    match field["unit"].as_str() {
        None | Some("digits") => Prefix::new(coding, Count::Units),
        Some("bytes") => Prefix::new(coding, Count::Bytes),
        other => panic!("{other:?}"),
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

const FILES: [&str; 7] = [
    "ascii.json",
    "bcd.json",
    "bitmaps.json",
    "iso87b.json",
    "post.json",
    "subfields.json",
    "visa.json",
];

#[test]
fn messages_are_read_and_written_again() {
    let Some(vectors) = public(&FILES) else {
        return;
    };
    let messages = vectors.iter().filter(|vector| vector["kind"] == "message");
    assert_eq!(messages.map(check_message).count(), 14);
}

/// The message of a vector, behind its frame and its header.
fn message_of(vector: &Value) -> Vec<u8> {
    let bytes = bytes_of(vector["hex"].as_str().unwrap());
    let before = match vector["dialect"]["header"].as_str() {
        Some("base1") => 4 + 22,
        None => 0,
        other => panic!("{other:?}"),
    };
    bytes[before..].to_vec()
}

fn check_message(vector: &Value) {
    let name = &vector["name"];
    let (dialect, bytes) = (dialect_of(vector), message_of(vector));
    let mut index = FieldIndex::new();
    assert_eq!(dialect.parse(&bytes, &mut index), Ok(()), "{name}");
    let message = MessageRef::new(&bytes, &index);
    assert_eq!(message.mti().to_string(), vector["mti"].as_str().unwrap());
    let expected = vector["fields"].as_object().unwrap();
    for (path, value) in expected {
        if let Some(found) = value_at(message, path) {
            assert_eq!(found, value.as_str().unwrap(), "{name}: field {path}");
        }
    }
    if vector["roundtrip"] == true {
        assert_eq!(written_again(message), bytes, "{name}");
    }
    for cut in 0..bytes.len() {
        let cut_short = dialect.parse(&bytes[..cut], &mut index);
        assert!(cut_short.is_err(), "{name} cut at {cut}");
    }
}

/// The value of `4`, or of `127.25`, as a vector writes it; `None` of a tagged sub-field, which a
/// test of its own looks at.
fn value_at(message: MessageRef<'_>, path: &str) -> Option<String> {
    let (number, inner) = match path.split_once('.') {
        Some((number, inner)) => (number, Some(inner)),
        None => (path, None),
    };
    let number = number.parse().unwrap();
    let row = message.dialect().field(number).unwrap();
    let mut scratch = [0; 9999];
    let value = message.decode(number, &mut scratch).unwrap();
    match (inner, row.composite) {
        (None, _) if row.is_binary() => Some(hex_of(value)),
        (None, _) => Some(value.escape_ascii().to_string()),
        (Some(inner), Composite::Bitmapped(dialect)) => {
            let mut index = FieldIndex::new();
            assert_eq!(dialect.parse(value, &mut index), Ok(()));
            value_at(MessageRef::new(value, &index), inner)
        }
        (Some(_), _) => None,
    }
}

/// The message put together from its values again, those behind sub-bitmaps likewise.
fn written_again(message: MessageRef<'_>) -> Vec<u8> {
    let mut out = [0; 9999];
    let len = write_again(message, &mut out);
    out[..len].to_vec()
}

fn write_again(message: MessageRef<'_>, out: &mut [u8]) -> usize {
    let mut writer = Writer::new(message.dialect(), message.mti(), out);
    for number in message.present() {
        let mut scratch = [0; 9999];
        let value = message.decode(number, &mut scratch).unwrap();
        let row = message.dialect().field(number).unwrap();
        let mut inner = [0; 9999];
        let value = match row.composite {
            Composite::Bitmapped(dialect) => {
                let mut index = FieldIndex::new();
                assert_eq!(dialect.parse(value, &mut index), Ok(()));
                let len = write_again(MessageRef::new(value, &index), &mut inner);
                &inner[..len]
            }
            _ => value,
        };
        writer.put(number, value).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn malformed_messages_name_field_and_offset() {
    let Some(vectors) = public(&["negatives.json"]) else {
        return;
    };
    assert_eq!(vectors.iter().map(check_malformed).count(), 12);
}

fn check_malformed(vector: &Value) {
    let bytes = bytes_of(vector["hex"].as_str().unwrap());
    let parsed = dialect_of(vector).parse(&bytes, &mut FieldIndex::new());
    let (error, expected) = (parsed.unwrap_err(), &vector["expect_error"]);
    let name = &vector["name"];
    assert_eq!(u64::from(error.field), expected["field"], "{name}: {error}");
    assert_eq!(
        u64::from(error.offset),
        expected["offset"],
        "{name}: {error}"
    );
}

/// Bitmaps alone: each is a message without a type indicator whose fields take no byte, so that it
/// ends where its bitmaps end.
#[test]
fn bitmaps_announce_their_fields() {
    let Some(vectors) = public(&["bitmaps.json"]) else {
        return;
    };
    let bitmaps = vectors.iter().filter(|vector| vector["kind"] == "bitmap");
    assert_eq!(bitmaps.map(check_bitmap).count(), 8);
}

fn check_bitmap(vector: &Value) {
    let wire = bytes_of(vector["hex"].as_str().unwrap());
    let numbers = |value: &Value| u8::try_from(value.as_u64().unwrap()).unwrap();
    let bits: Vec<u8> = vector["fields"]["bits"]
        .as_array()
        .unwrap()
        .iter()
        .map(numbers)
        .collect();
    let form = Form::ASCII
        .bitmap(bitmap_form(&vector["dialect"]["bitmap"]))
        .layout(Layout::Chained(Tertiary::AfterSecondary));
    let row = |number| FieldSpec::new(number, "row", Class::Ans, Length::Fixed(1));
    let rows: Vec<FieldSpec> = (2..=192).filter(|n| *n != 65).map(row).collect();
    let dialect = Box::leak(Box::new(Dialect::new("bits", form, &rows, &[]).unwrap()));
    let body = vec![b'x'; bits.len()];
    let message = [b"0100", &wire[..], &body].concat();
    let mut index = FieldIndex::new();
    let name = &vector["name"];
    assert_eq!(dialect.parse(&message, &mut index), Ok(()), "{name}");
    assert_eq!(index.present().iter().collect::<Vec<_>>(), bits, "{name}");
    assert_eq!(
        written_again(MessageRef::new(&message, &index)),
        message,
        "{name}"
    );
}

#[test]
fn frames_and_headers_are_cut_off() {
    let Some(vectors) = public(&["visa.json"]) else {
        return;
    };
    let mut compared = 0;
    for vector in vectors.iter().filter(|vector| vector["header"].is_object()) {
        let name = &vector["name"];
        let bytes = bytes_of(vector["hex"].as_str().unwrap());
        let framing = Framing::by_name(vector["framing"].as_str().unwrap()).unwrap();
        let form = Header::by_name(vector["dialect"]["header"].as_str().unwrap()).unwrap();
        let FrameStep::Frame {
            header,
            len,
            trailer,
        } = framing.split(&bytes, 8192)
        else {
            panic!("{name}: {:?}", framing.split(&bytes, 8192));
        };
        assert_eq!(header + len + trailer, bytes.len(), "{name}");
        let Ok(Stripped::Message {
            header: found,
            message,
        }) = form.strip(&bytes[header..header + len])
        else {
            panic!("{name}: no header");
        };
        let expected = &vector["header"];
        let text = |key: &str| expected[key].as_str().unwrap();
        assert_eq!(expected["total_length"], len, "{name}");
        let sent = form.addressed(text("destination"), text("source")).unwrap();
        let mut again = vec![0; bytes.len()];
        again[header + form.len()..header + len].copy_from_slice(message);
        sent.put(&mut again[header..], message.len()).unwrap();
        framing.enclose(&mut again, len).unwrap();
        assert_eq!(hex_of(&again), hex_of(&bytes), "{name}");
        assert_eq!(
            found,
            form.strip(&again[header..header + len])
                .map(header_of)
                .unwrap()
        );
        compared += 1;
    }
    assert_eq!(compared, 1, "the sign-on");
}

#[track_caller]
fn header_of(stripped: Stripped<'_>) -> iso8583::header::HeaderBytes {
    match stripped {
        Stripped::Message { header, .. } => header,
        Stripped::Rejected { .. } => panic!("it is a reject"),
    }
}

#[test]
fn a_header_is_turned_round() {
    let Some(vectors) = public(&["visa.json"]) else {
        return;
    };
    let mut compared = 0;
    for vector in vectors.iter().filter(|vector| vector["kind"] == "header") {
        let name = &vector["name"];
        let header = bytes_of(vector["hex"].as_str().unwrap());
        let fields = &vector["fields"];
        // The vector is the header alone: what it counts beside itself is made up.
        let total: usize = fields["total_length"].as_str().unwrap().parse().unwrap();
        let mut frame = header.clone();
        frame.resize(total, b'x');
        let received = header_of(Header::Base1.strip(&frame).unwrap());
        let mut replied = vec![0; header.len()];
        let written = received.reply().put(&mut replied, total - header.len());
        assert_eq!(written, Ok(header.len()), "{name}");
        let expected = fields["reply_hex"].as_str().unwrap();
        assert_eq!(hex_of(&replied), expected.to_uppercase(), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 1);
}

#[test]
fn lengths_are_read() {
    let Some(vectors) = public(&["units.json"]) else {
        return;
    };
    let mut compared = 0;
    for vector in &vectors {
        let Some(framing) = Framing::by_name(vector["framing"].as_str().unwrap()) else {
            continue;
        };
        let name = &vector["name"];
        let prefix = bytes_of(vector["hex"].as_str().unwrap());
        let len: usize = vector["fields"]["length"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let at_least = prefix.len() + len;
        let step = framing.split(&prefix, 8192);
        assert_eq!(step, FrameStep::NeedMore { at_least }, "{name}");
        let mut whole = prefix.clone();
        whole.resize(at_least, 0);
        let step = framing.split(&whole, 8192);
        let is_heartbeat = vector["fields"]["session_control"] == "true";
        let consumed = at_least;
        assert_eq!(
            step == FrameStep::KeepAlive { consumed },
            is_heartbeat,
            "{name}"
        );
        compared += 1;
    }
    assert_eq!(compared, 2);
}

/// The built-in dialects read public messages without rows of their own.
#[test]
fn built_in_dialects_read_them_too() {
    let Some(vectors) = public(&FILES) else {
        return;
    };
    for (name, dialect) in BUILT_IN {
        let vector = vectors.iter().find(|vector| vector["name"] == name);
        check_built_in(vector.unwrap(), Dialect::by_name(dialect).unwrap());
    }
}

/// Private fields and chip data are bytes in a built-in dialect, and text in some vectors.
fn check_built_in(vector: &Value, dialect: &'static Dialect) {
    let (name, bytes) = (&vector["name"], message_of(vector));
    let mut index = FieldIndex::new();
    assert_eq!(dialect.parse(&bytes, &mut index), Ok(()), "{name}");
    let message = MessageRef::new(&bytes, &index);
    assert_eq!(message.mti().to_string(), vector["mti"].as_str().unwrap());
    for (path, value) in vector["fields"].as_object().unwrap() {
        let Some(found) = value_at(message, path) else {
            continue;
        };
        let value = value.as_str().unwrap();
        assert!(
            found == value || found == hex_of(value.as_bytes()),
            "{name}: field {path} is {found}"
        );
    }
    assert_eq!(written_again(message), bytes, "{name}");
}
