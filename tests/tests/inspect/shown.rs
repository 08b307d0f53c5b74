//! Messages that can be read: what is shown of them, wherever they come from.

use std::fs;

use iso8583::composite::Composite;
use iso8583::{Dialect, Writer};
use serde_json::{Value, json};

use super::{CHIP_DATA, folder, hex_of, lines, message, object, of_bytes, purchase, written};

/// All of what is shown of the purchase: place, field, name, bytes, value.
const SHOWN: [&str; 25] = [
    "message iso87-ascii, 213 bytes",
    "0000 0 MTI message type 4 0200: ISO 8583:1987, financial, request, acquirer",
    "0004 4 bitmap fields 8 7238040128809203: 2 3 4 7 11 12 13 22 32 35 37 41 49 52 55 63 64",
    "000C 12 2 primary account number 16 506106******3216",
    "001E 30 3 processing code 6 \"000000\"",
    "0024 36 4 amount, transaction 12 \"000000001500\"",
    "0030 48 7 transmission date and time 10 \"0601120000\"",
    "003A 58 11 system trace audit number 6 \"000042\"",
    "0040 64 12 time, local transaction 6 \"150000\"",
    "0046 70 13 date, local transaction 4 \"0601\"",
    "004A 74 22 point of service entry mode 3 \"051\"",
    "004D 77 32 acquiring institution identification code 6 \"200200\"",
    "0055 85 35 track 2 data 37 [SAD, 37 bytes]",
    "007C 124 37 retrieval reference number 12 \"815202000042\"",
    "0088 136 41 card acceptor terminal identification 8 \"TERM0001\"",
    "0090 144 49 currency code, transaction 3 \"404\"",
    "0093 147 52 personal identification number data 8 [SAD, 8 bytes]",
    "009B 155 55 integrated circuit card data 37",
    "009E 158 55.9F26 application cryptogram 8 0102030405060708",
    "00A9 169 55.9F36 application transaction counter 2 002A",
    "00AE 174 55.5A application primary account number 8 506106******3216",
    "00B8 184 55.57 track 2 equivalent data 4 [SAD, 4 bytes]",
    "00BE 190 55.9F36 application transaction counter 2 002B",
    "00C3 195 63 reserved, private 7 [SAD, 7 bytes]",
    "00CD 205 64 message authentication code 8 DEADBEEF01020304",
];

#[test]
fn a_message_is_shown_field_by_field_wherever_it_comes_from() {
    let folder = folder("shown");
    let (bytes, hex) = (purchase(), hex_of(&purchase()));
    let pairs: Vec<&str> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| str::from_utf8(pair).unwrap())
        .collect();
    let file = |name: &str, content: &[u8]| {
        let path = folder.join(name).display().to_string();
        fs::write(&path, content).unwrap();
        path
    };
    let dump = file("dump.txt", format!("0x{}\n", pairs.join("\n0x")).as_bytes());
    let binary = file("a capture.bin", &bytes);
    let text = message(&[&hex], b"").good();
    assert_eq!(lines(&text), SHOWN);
    for (arguments, input) in [
        (&[hex.to_uppercase().as_str()][..], &b""[..]),
        (&[&pairs.join(":")], b""),
        (&pairs[..], b""),
        (&[&dump], b""),
        (&[&binary], b""),
        (&[&binary, "--raw"], b""),
        (&["-"], &bytes),
        (&["-"], hex.as_bytes()),
        (&["/dev/stdin"], &bytes),
    ] {
        assert_eq!(message(arguments, input).good(), text, "{arguments:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_message_is_one_json_object() {
    let expected = json!({
        "mti": "0200",
        "fields": {
            "2": "506106******3216",
            "3": "000000",
            "4": "000000001500",
            "7": "0601120000",
            "11": "000042",
            "12": "150000",
            "13": "0601",
            "22": "051",
            "32": "200200",
            "35": "[SAD, 37 bytes]",
            "37": "815202000042",
            "41": "TERM0001",
            "49": "404",
            "52": "[SAD, 8 bytes]",
            "55.9F26": "0102030405060708",
            "55.9F36": "002A",
            "55.5A": "506106******3216",
            "55.57": "[SAD, 4 bytes]",
            "55.9F36#2": "002B",
            "63": "[SAD, 7 bytes]",
            "64": "DEADBEEF01020304",
        },
    });
    let out = message(&["--json", &hex_of(&purchase())], b"").good();
    assert_eq!(object(&out), expected);
    // In the order of the wire, for people who read it too.
    assert!(
        out.starts_with("{\"mti\":\"0200\",\"fields\":{\"2\":\"506106"),
        "{out}"
    );
    assert!(out.ends_with("\"64\":\"DEADBEEF01020304\"}}\n"), "{out}");
}

/// The value of a field that holds sub-fields.
#[track_caller]
fn held(dialect: &Dialect, number: u8, sub_fields: &[(u8, &[u8])]) -> Vec<u8> {
    let Composite::Bitmapped(inner) = dialect.field(number).unwrap().composite else {
        panic!("field {number} has no bitmap of its own");
    };
    let mut out = [0; 999];
    let mut writer = Writer::nested(inner, &mut out);
    for (number, value) in sub_fields {
        writer.put(*number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    out[..len].to_vec()
}

#[track_caller]
fn check_json(dialect: &'static Dialect, fields: &[(u8, &[u8])], expected: &Value) {
    let bytes = written(dialect, b"0800", fields);
    let out = of_bytes(dialect, &["--json"], &bytes).good();
    assert_eq!(object(&out), json!({ "mti": "0800", "fields": expected }));
}

#[test]
fn what_a_field_holds_has_a_key_for_each_part() {
    let sub_fields: [(u8, &[u8]); 3] = [(2, b"SWITCH_KEY"), (10, b"987"), (25, b"ICC_DATA")];
    let switch_data = held(Dialect::POSTILION_LIKE, 127, &sub_fields);
    check_json(
        Dialect::POSTILION_LIKE,
        &[(11, b"000042"), (127, &switch_data)],
        &json!({
            "11": "000042",
            "127.2": "SWITCH_KEY",
            "127.10": "[SAD, 3 bytes]",
            "127.25": "[SAD, 8 bytes]",
        }),
    );
    let chip_data = [&[1, 0, u8::try_from(CHIP_DATA.len()).unwrap()], CHIP_DATA].concat();
    check_json(
        Dialect::VISA_LIKE,
        &[(11, b"000042"), (55, &chip_data)],
        &json!({
            "11": "000042",
            "55.01.9F26": "0102030405060708",
            "55.01.9F36": "002A",
            "55.01.5A": "506106******3216",
            "55.01.57": "[SAD, 4 bytes]",
            "55.01.9F36#2": "002B",
        }),
    );
    check_json(
        Dialect::by_name("mastercard-like-ascii").unwrap(),
        &[(11, b"000042"), (48, b"T4203abc9203123")],
        &json!({
            "11": "000042",
            "48.lead": "[SAD, 1 bytes]",
            "48.42": "[SAD, 3 bytes]",
            "48.92": "[SAD, 3 bytes]",
        }),
    );
}

#[test]
fn what_a_field_holds_can_be_malformed_in_a_message_that_can_be_read() {
    let chip_data = [0x9F, 0x36, 2, 0, 42, 0x9F, 0x26, 8, 1];
    let bytes = written(
        Dialect::ISO87_ASCII,
        b"0800",
        &[(11, b"000042"), (55, &chip_data)],
    );
    // Behind type indicator, bitmap, DE11, the length of DE55, a whole element, and 9F26 08.
    let at = 4 + 8 + 6 + 3 + 5 + 3;
    let out = of_bytes(Dialect::ISO87_ASCII, &["--json"], &bytes).good();
    let object = object(&out);
    let expected = json!([{
        "path": "55",
        "offset": at,
        "rule": "it is longer than what it stands in",
    }]);
    assert_eq!(object["malformed"], expected, "{out}");
    assert_eq!(object["fields"]["55"], "[SAD, 9 bytes]", "{out}");
    let out = of_bytes(Dialect::ISO87_ASCII, &[], &bytes).good();
    let note =
        format!("note: field 55 at offset {at} ({at:04X}): it is longer than what it stands in");
    assert!(out.contains(&note), "{out}");
}

/// The sub-elements of a peer are any bytes, and shown.
#[test]
fn no_character_of_a_message_commands_a_terminal() {
    let peers = b"\x00\x07\x1B[31m\"\\\x7F\x9B31m\xFF";
    let folder = folder("terminal");
    let file = folder.join("acme.toml");
    fs::write(&file, SUB_ELEMENTS).unwrap();
    let value = [&b"0115"[..], peers].concat();
    let fields: [(u8, &[u8]); 2] = [(11, b"000042"), (59, &value)];
    let bytes = written(Dialect::ISO87_ASCII, b"0800", &fields);
    let dialect = ["--dialect", file.to_str().unwrap(), "--raw"];
    let json = message(&[&dialect[..], &["--json", "-"]].concat(), &bytes).good();
    let text = message(&[&dialect[..], &["-"]].concat(), &bytes).good();
    for out in [&json, &text] {
        let is_plain = |byte| matches!(byte, b' '..=b'~' | b'\n');
        assert!(out.bytes().all(is_plain), "{out:?}");
    }
    let characters: String = peers.iter().copied().map(char::from).collect();
    assert_eq!(object(&json)["fields"]["59.01"], characters);
    let escaped = format!("\"{}\"\n", peers.escape_ascii());
    assert!(text.ends_with(&escaped), "{text}");
}

/// Echo data with an id and a length of two characters each.
const SUB_ELEMENTS: &str = "[dialects.acme]\nextends = \"iso87-ascii\"\nfields.59.tagged = {}\n";

/// Nobody knows what they are: they could be a track.
#[test]
fn private_bytes_without_a_form_are_not_shown() {
    let fields: [(u8, &[u8]); 2] = [(11, b"000042"), (59, b"5061069876543216=2812")];
    let bytes = written(Dialect::ISO87_ASCII, b"0800", &fields);
    let out = of_bytes(Dialect::ISO87_ASCII, &["--json"], &bytes).good();
    assert_eq!(object(&out)["fields"]["59"], "[masked, 21 bytes]", "{out}");
}

#[test]
fn what_a_type_of_message_must_have_is_noted() {
    let bytes = written(Dialect::ISO87_ASCII, b"0200", &PARTIAL);
    let out = of_bytes(Dialect::ISO87_ASCII, &[], &bytes).good();
    let notes: Vec<&str> = out
        .lines()
        .filter(|line| line.starts_with("note: "))
        .collect();
    let expected = [
        "note: field 4 amount, transaction is missing: a 0200 must have it",
        "note: field 7 transmission date and time is missing: a 0200 must have it",
    ];
    assert_eq!(notes, expected);
}

/// Without amount and date.
const PARTIAL: [(u8, &[u8]); 5] = [
    (2, b"5061069876543216"),
    (3, b"000000"),
    (11, b"000042"),
    (41, b"TERM0001"),
    (49, b"404"),
];
