//! The one message of the comparison, and its bytes in each form that a peer reads.

/// A financial request of a chip card: 20 fields, DE55 of 120 bytes, DE63 of 20.
pub const MTI: &str = "0200";

/// Numbers and values, DE55 as bytes. [`fields`] has them for a form.
pub const FIELDS: [(u8, &[u8]); 20] = [
    (2, b"5061001234567892"),
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
    (35, b"5061001234567892=28122011234567890123"),
    (37, b"615212000042"),
    (41, b"TERM0001"),
    (42, b"MERCHANT 000001"),
    (43, b"SHOP AT THE CORNER       NAIROBI      KE"),
    (49, b"404"),
    (55, &CHIP_DATA),
    (63, b"PRIVATE DATA OF 20  "),
];

/// What a chip says for a purchase of 15.00 KES: 19 elements of BER-TLV with tags of one and two
/// bytes, in the order in which terminals send them.
#[rustfmt::skip]
pub const CHIP_DATA: [u8; 120] = [
    0x9F, 0x26, 8, 0x3C, 0xA1, 0x5E, 0x90, 0x7B, 0x22, 0xD4, 0x18,
    0x9F, 0x27, 1, 0x80,
    0x9F, 0x10, 7, 0x06, 0x01, 0x0A, 0x03, 0xA0, 0xA0, 0x00,
    0x9F, 0x37, 4, 0xE1, 0x09, 0x5C, 0xB7,
    0x9F, 0x36, 2, 0x00, 0x5D,
    0x95, 5, 0x80, 0x80, 0x00, 0x80, 0x00,
    0x9A, 3, 0x26, 0x06, 0x01,
    0x9C, 1, 0x00,
    0x9F, 0x02, 6, 0x00, 0x00, 0x00, 0x00, 0x15, 0x00,
    0x5F, 0x2A, 2, 0x04, 0x04,
    0x82, 2, 0x3C, 0x00,
    0x9F, 0x1A, 2, 0x04, 0x04,
    0x9F, 0x03, 6, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x9F, 0x33, 3, 0xE0, 0xF0, 0xC8,
    0x9F, 0x34, 3, 0x42, 0x03, 0x00,
    0x9F, 0x35, 1, 0x22,
    0x5F, 0x34, 1, 0x01,
    0x84, 7, 0xA0, 0x00, 0x00, 0x03, 0x71, 0x00, 0x01,
    0x9F, 0x41, 4, 0x00, 0x00, 0x01, 0x23,
];

/// How the bitmap is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    Binary,
    Hex,
}

/// How DE55 is written; its length prefix counts what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chip {
    /// 120 bytes behind 120.
    Bytes,
    /// 240 digits behind 120, as `iso87-ascii-hex` has it.
    Hex,
    /// 240 digits behind 240, a field of text; and what is else in DE63 stands in DE48.
    TextAndDe48,
}

/// A form of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub bits: Bits,
    pub chip: Chip,
}

/// The bytes of the message, and where each field begins with its length prefix.
pub struct Wire {
    pub bytes: Vec<u8>,
    pub starts: Vec<(u8, usize)>,
}

/// Written here without any codec, so that no codec is its own judge.
pub fn wire(form: Form) -> Wire {
    let mut bits = 0_u64;
    for (number, _) in fields(form) {
        bits |= 1 << (64 - number);
    }
    let mut bytes = MTI.as_bytes().to_vec();
    match form.bits {
        Bits::Binary => bytes.extend(bits.to_be_bytes()),
        Bits::Hex => bytes.extend(format!("{bits:016X}").bytes()),
    }
    let mut starts = Vec::new();
    for (number, value) in fields(form) {
        starts.push((number, bytes.len()));
        let value = match (number, form.chip) {
            (55, Chip::Hex | Chip::TextAndDe48) => digits(value).into_bytes(),
            _ => value.to_vec(),
        };
        let len = match (number, form.chip) {
            (55, Chip::Hex) => value.len() / 2,
            _ => value.len(),
        };
        match number {
            2 | 32 | 35 => bytes.extend(format!("{len:02}").bytes()),
            48 | 55 | 63 => bytes.extend(format!("{len:03}").bytes()),
            _ => {}
        }
        bytes.extend(value);
    }
    Wire { bytes, starts }
}

/// The fields of a form in ascending order.
pub fn fields(form: Form) -> Vec<(u8, &'static [u8])> {
    let mut fields = FIELDS.to_vec();
    if form.chip == Chip::TextAndDe48
        && let Some(private) = fields.iter_mut().find(|field| field.0 == 63)
    {
        private.0 = 48;
    }
    fields.sort_by_key(|field| field.0);
    fields
}

/// Upper-case hexadecimal digits.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The fields for peers that take text: DE55 as hexadecimal digits.
pub fn texts(form: Form) -> Vec<(u8, String)> {
    let text = |(number, value): (u8, &[u8])| match number {
        55 => (number, digits(value)),
        _ => (number, String::from_utf8_lossy(value).into_owned()),
    };
    fields(form).into_iter().map(text).collect()
}
