//! Inputs to begin with: our own messages in every dialect and framing. The same ones each time.

use iso8583::frame::FrameStep;
use iso8583::{Dialect, Framing, Header, Mti, Writer};

use super::input::{self, Input, MODE};
use super::recipe;

/// One input of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    pub target: &'static str,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// All of them.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for number in input::dialect_numbers() {
        let dialect = input::dialect(number).expect("it has this number");
        messages(number, dialect, &mut seeds);
    }
    frames(&mut seeds);
    fields(&mut seeds);
    dialects(&mut seeds);
    seeds
}

fn messages(number: u8, dialect: &'static Dialect, seeds: &mut Vec<Seed>) {
    let named = |name: &str| format!("{}-{name}", dialect.name());
    for (name, mti, fields) in MESSAGES {
        let bytes = written(dialect, mti, fields);
        seeds.push(Seed {
            target: "message",
            name: named(name),
            bytes: [&[number], &bytes[..]].concat(),
        });
        seeds.push(Seed {
            target: "translate",
            name: named(name),
            bytes: [&[number, number, 0x40, 0], &bytes[..]].concat(),
        });
    }
    let numbers: Vec<u8> = dialect.rows().map(|row| row.number).collect();
    for part in numbers.chunks(ROWS_MAX) {
        let name = format!("fields-from-{}", part[0]);
        let bytes = with_rows(dialect, part);
        seeds.push(Seed {
            target: "message",
            name: named(&name),
            bytes: [&[number], &bytes[..]].concat(),
        });
    }
    for (name, target, before) in [
        ("recipe", "message", &[][..]),
        ("recipe", "translate", &[0, 0x40, 0]),
    ] {
        seeds.push(Seed {
            target,
            name: named(name),
            bytes: [&[number | MODE], before, RECIPE].concat(),
        });
    }
}

/// The message with those of the fields that the dialect has: as they are, or else with values that
/// its rows take.
fn written(dialect: &'static Dialect, mti: [u8; 4], fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = [0; LEN_MAX];
    let mti = Mti::new(mti).expect("they are digits");
    let mut writer = Writer::new(dialect, mti, &mut out);
    for (number, value) in fields {
        let Some(row) = dialect.field(*number) else {
            continue;
        };
        if writer.put(*number, value).is_err() {
            let input = [&[row.units_max().to_le_bytes()[0] % 20], *value].concat();
            let input = if row.prefix_len() > 0 { &input } else { *value };
            let value = recipe::value_of(row, &mut Input::new(input));
            writer
                .put(*number, &value)
                .expect("it is a value of the row");
        }
    }
    let len = writer.finish().expect("there is room for it");
    out[..len].to_vec()
}

/// A message with some value in each of these fields.
fn with_rows(dialect: &'static Dialect, numbers: &[u8]) -> Vec<u8> {
    let mut out = [0; LEN_MAX];
    let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, &mut out);
    for number in numbers {
        let row = dialect.field(*number).expect("it is one of the rows");
        let value = recipe::value_of(row, &mut Input::new(b"\x07C7 =~/D"));
        writer
            .put(*number, &value)
            .expect("it is a value of the row");
    }
    let len = writer.finish().expect("there is room for it");
    out[..len].to_vec()
}

fn frames(seeds: &mut Vec<Seed>) {
    for (number, framing) in (0..).zip(Framing::ALL) {
        let message = b"0800\x80\x20\0\0\0\0\0\0 a message";
        seeds.push(Seed {
            target: "frame",
            name: format!("{}-none", framing.name()),
            bytes: stream(&[number, 0, 0], framing, message),
        });
    }
    let mut base1 = vec![22, 1, 2, 0, 0, 0x12, 0x34, 0x56, 0x65, 0x43, 0x21];
    base1.resize(22, 0);
    let mut reject = vec![26];
    reject.resize(22, 0);
    reject.extend_from_slice(&[0x80, 0, 0x05, 0x21]);
    let headers = [
        (Header::Tpdu, 1, b"\x60\x01\x02\x03\x04".to_vec()),
        (Header::Base1, 2, base1.clone()),
        (Header::Base1, 2, [reject, base1].concat()),
        (Header::Base24, 3, b"ISO026000050".to_vec()),
        (Header::Fixed(4), 4, b"\0\x01\x02\x03".to_vec()),
    ];
    for (form, kind, header) in headers {
        let mut held = [&header, &b"0800\x82\x20\0\0\0\0\0\0"[..]].concat();
        if form == Header::Base1 {
            held[4] = u8::try_from(held.len()).expect("it is short");
        }
        assert!(form.strip(&held).is_ok(), "{form:?}");
        seeds.push(Seed {
            target: "frame",
            name: format!("be16-{form}-{}", header.len()),
            bytes: stream(&[0, kind, 4], Framing::Be16, &held),
        });
    }
}

/// A message, a keep-alive, the message once more and a piece of it, behind the choices.
fn stream(choices: &[u8; 3], framing: Framing, message: &[u8]) -> Vec<u8> {
    let enclosed = |message: &[u8]| {
        let header = framing.header_len();
        let mut frame = vec![0; header + message.len() + framing.trailer_len()];
        frame[header..header + message.len()].copy_from_slice(message);
        let len = framing.enclose(&mut frame, message.len());
        frame.truncate(len.expect("the framing can say the length"));
        frame
    };
    let frame = enclosed(message);
    assert!(matches!(
        framing.split(&frame, 512),
        FrameStep::Frame { .. }
    ));
    let cap_and_pieces = [2, 0, 1];
    let parts = [
        &choices[..],
        &cap_and_pieces,
        &frame,
        &enclosed(b""),
        &frame,
        &frame[..5],
    ];
    parts.concat()
}

fn fields(seeds: &mut Vec<Seed>) {
    let all: [(&str, &[u8]); 12] = [
        ("chip", &[&[0], CHIP_DATA].concat()),
        ("directory", &[&[0], DIRECTORY].concat()),
        ("padded", b"\0\0\0\x95\x01\x07\0\x9A\x01\x08\0\0"),
        ("long-lengths", b"\0\x5A\x81\x02\x50\x61\x71\x82\0\x01\0"),
        ("long-tags", b"\0\xDF\x81\x82\x03\x01\x07\xFF\x81\x05\0"),
        ("cut", b"\0\x95\0\x91\x02\xAA"),
        (
            "datasets",
            b"\x01\x01\0\x06\x9F\x36\x02\0\x01\0\x71\0\x02\x80\0",
        ),
        ("dataset-cut", b"\x01\x01\0\x06\x9F"),
        ("ascii", b"\x02\0\x02\x02\0\x00010212ABCDEFGHIJKL0200"),
        ("category", b"\x02\x01\x02\x02\0\0T4203123"),
        (
            "packed",
            b"\x02\0\x03\x03\x0A\x01\x01\x23\0\x03x\x09\x87\0\x02",
        ),
        ("binary", b"\x02\0\x01\x02\x0F\0\x7F\0\x03abc\x80\0\0"),
    ];
    for (name, bytes) in all {
        seeds.push(Seed {
            target: "tlv",
            name: name.to_owned(),
            bytes: bytes.to_vec(),
        });
    }
}

fn dialects(seeds: &mut Vec<Seed>) {
    let whole = [
        ("rows", ROWS),
        ("form", FORM),
        ("held", HELD),
        ("faults", FAULTS),
    ];
    for (name, text) in whole.into_iter().chain(MISFITS) {
        seeds.push(Seed {
            target: "dialect_toml",
            name: name.to_owned(),
            bytes: text.as_bytes().to_vec(),
        });
    }
}

/// One fault each, so that a check that is lost makes a dialect that cannot be.
const MISFITS: [(&str, &str); 8] = [
    (
        "misfit-length",
        "[dialects.acme]\nextends = \"iso87-ascii\"\n\
         fields.48 = { length = \"LLVAR\", max = 999 }\n",
    ),
    (
        "misfit-class",
        "[dialects.acme]\nextends = \"iso87-ascii\"\n\
         fields.48 = { class = \"ans\", encoding = \"bcd\" }\n",
    ),
    (
        "misfit-date",
        "[dialects.acme]\nextends = \"iso87-ascii\"\n\
         fields.12.length = 12\n",
    ),
    (
        "misfit-relay",
        "[dialects.acme]\nextends = \"iso87-ascii\"\n\
         fields.48.relay = \"replay\"\n",
    ),
    (
        "misfit-digits",
        "[dialects.acme]\nextends = \"iso87-ascii\"\n\
         fields.2 = { encoding = \"bcd\", counts = \"bytes\" }\n",
    ),
    (
        "misfit-bytes",
        "[dialects.acme]\nextends = \"iso87-ascii\"\n\
         fields.43.encoding = \"hex\"\n",
    ),
    (
        "misfit-parts",
        "[dialects.acme]\nextends = \"iso87-ascii\"\n\
         fields.55 = { length = \"LLLLVAR\", max = 1025, encoding = \"hex\" }\n",
    ),
    (
        "misfit-charset",
        "[dialects.long]\nextends = \"iso87-ascii\"\n\
         fields.46 = { length = \"LLLLVAR\", max = 2000, holds = \"tlv\" }\n\
         [dialects.acme]\nextends = \"long\"\ncharset = \"cp037\"\n",
    ),
];

type Sample = (&'static str, [u8; 4], &'static [(u8, &'static [u8])]);

const MESSAGES: [Sample; 6] = [
    ("purchase", *b"0200", PURCHASE),
    (
        "repeat",
        *b"0101",
        &[
            (3, b"310000"),
            (4, b"000000000000"),
            (7, b"1231235959"),
            (11, b"999999"),
            (35, b"5061001234567890=2812"),
            (41, b"TERM0001"),
            (49, b"840"),
            (64, b"\0\x01\x02\x03\x04\x05\x06\x07"),
        ],
    ),
    ("reversal", *b"0420", REVERSAL),
    ("answer", *b"0210", ANSWER),
    (
        "advice",
        *b"0220",
        &[
            (2, b"5061001234567890"),
            (4, b"000000001500"),
            (7, b"0229120000"),
            (11, b"000042"),
            (28, b"C00000100"),
            (41, b"TERM0001"),
            (49, b"404"),
            (97, b"D0000000000000100"),
            (128, b"\0\x01\x02\x03\x04\x05\x06\x07"),
        ],
    ),
    (
        "echo",
        *b"0800",
        &[(7, b"0601120000"), (11, b"000043"), (70, b"301")],
    ),
];

const PURCHASE: &[(u8, &[u8])] = &[
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
    (52, b"\x01\x23\x45\x67\x89\xAB\xCD\xEF"),
    (55, CHIP_DATA),
    (63, b"\x00private \xFF bytes\x1B[31m"),
];

const REVERSAL: &[(u8, &[u8])] = &[
    (2, b"5061001234567890"),
    (3, b"000000"),
    (4, b"000000001500"),
    (7, b"0601120100"),
    (11, b"000044"),
    (32, b"00000123456"),
    (37, b"615212000042"),
    (41, b"TERM0001"),
    (42, b"MERCHANT 000001"),
    (49, b"404"),
    (90, b"020000004206011200000000012345600000000000"),
    (95, b"000000000500000000000000C00000000C00000000"),
];

const ANSWER: &[(u8, &[u8])] = &[
    (3, b"000000"),
    (4, b"000000001500"),
    (7, b"0601120000"),
    (11, b"000042"),
    (15, b"0602"),
    (38, b"A1B2C3"),
    (39, b"00"),
    (41, b"TERM0001"),
    (44, b"text"),
    (49, b"404"),
    (54, b"0001404C000000100000"),
    (55, WRAPPED),
    (63, b"private"),
];

const CHIP_DATA: &[u8] = &[
    0x9F, 0x26, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x9F, 0x36, 2, 0, 42, 0x57, 4, 0x50, 0x61, 0x00, 0x12,
];

/// Issuer data that is kept, and card data within elements, which is not.
const WRAPPED: &[u8] = &[
    0x91, 2, 0xAA, 0xBB, 0x72, 4, 0x86, 2, 1, 2, 0x70, 9, 0xE1, 0, 0x8A, 1, 7, 0x57, 2, 0x50, 0x61,
];

const DIRECTORY: &[u8] = &[
    0x6F, 16, 0x84, 1, 0x32, 0xA5, 11, 0xBF, 0x0C, 8, 0x61, 4, 0x4F, 2, 0xA0, 0, 0x61, 0,
];

const ROWS: &str = r#"
[dialects.acme]
extends = "iso87-ascii"
fields.43 = { length = "LLVAR", max = 99 }
fields.48 = { prefix = "bcd", counts = "bytes", holds = "tlv" }
[dialects.acme.fields.11]
encoding = "bcd"
justify = "right"
pad = 0
[dialects.acme.fields.128]
remove = true
"#;

const FORM: &str = r#"
[dialects.sub]
extends = "acme"
bitmap = "hex-cp500"
tertiary = "after-secondary"
fields.130 = { name = "new", length = 6, class = "n", calendar = "YYMMDD", relay = "echo" }
[dialects.acme]
extends = "iso93-bcd"
charset = "cp037"
mti = "bcd"
strict_padding = true
[[dialects.acme.messages]]
mti = "11xx"
mandatory = [3, 4]
one_of = [[2, 35]]
conditions = [{ when = 52, then = [26] }]
"#;

const HELD: &str = r#"
[dialects.acme]
extends = "postilion-like"
bitmap = "fixed16"
[dialects.acme.fields.127]
length = "LLLLLLVAR"
max = 9999
encoding = "binary"
nested = { bitmap = "hex", len = 4 }
[dialects.acme.fields.127.fields.25]
name = "parts"
length = "LLLLVAR"
max = 999
class = "b"
positional = true
fields.1 = { name = "type", length = 2, class = "n" }
[dialects.acme.fields.48]
tagged = { lead = 1, id = 2, id_form = "ascii", length = 3, length_form = "bcd", counts = "value" }
"#;

const FAULTS: &str = r#"
[dialects.iso87-ascii]
extends = "iso86"
[dialects.a]
extends = "b"
fields.0 = 1
fields.4 = { class = "ans", length = 0, pad = "G", sensitivity = "none" }
[dialects.b]
extends = "a"
fields.55.relay = "never"
fields.35.sensitivity = "public"
"#;

/// MTI 0200, then distances, lengths and values as they come.
const RECIPE: &[u8] =
    b"\x02\x000\x0A1234567890\0abcdef\x00123456789012\x023456789012\x07abcdef\x140123";

/// Fields of one message, so that it stays short.
const ROWS_MAX: usize = 32;
const LEN_MAX: usize = 4096;
