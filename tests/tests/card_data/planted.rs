//! The card, and the forms that its parts may have.

use iso8583::{Dialect, FieldIndex, MessageRef, Writer};

/// With ten digits in the middle that are nowhere else.
pub(super) const ACCOUNT: &str = "5061007395142468";
/// All of it that may be shown.
pub(super) const MASKED: &str = "506100******2468";
pub(super) const TRACK_2: &str = "5061007395142468=49128013577531246801";
const TRACK_1: &str = "B5061007395142468^PLANTED/CARD^49128013577531246801";
pub(super) const PIN_BLOCK: &[u8] = b"\x9A\x87\x6F\x5E\xD4\xC3\xB2\xA1";

/// What is looked for.
#[derive(Debug)]
struct Form {
    what: &'static str,
    bytes: Vec<u8>,
}

/// Account number, track and PIN as a chip tells them.
fn chip_data() -> Vec<u8> {
    let account = packed(ACCOUNT);
    let track = packed("5061007395142468D49128013577531246801F");
    [
        &[0x5A, 8],
        &account[..],
        &[0x57, 19],
        &track[..],
        &[0x9F, 0x36, 2, 0, 1],
    ]
    .concat()
}

/// Characters that follow one another in what is planted, as text, as the hexadecimal digits of
/// text, in EBCDIC, and two digits a byte. Eight digits of an account number: six and four are
/// shown. Twelve where a byte holds two, as shorter ones also come up by chance.
fn forms() -> Vec<Form> {
    let mut forms = Vec::new();
    for (what, text) in [
        ("account", ACCOUNT),
        ("track", &TRACK_2[21..]),
        ("name", "PLANTED/CARD"),
    ] {
        for window in text.as_bytes().windows(8) {
            let text = String::from_utf8_lossy(window).into_owned();
            let ebcdic = window.iter().map(|byte| 0xF0 | byte & 0x0F).collect();
            forms.push(Form {
                what,
                bytes: window.to_vec(),
            });
            forms.extend(hexadecimal(what, window));
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                forms.push(Form {
                    what,
                    bytes: ebcdic,
                });
            }
        }
    }
    for digits in [ACCOUNT, &TRACK_2[21..]] {
        for start in 0..=digits.len() - 12 {
            let bytes = packed(&digits[start..start + 12]);
            forms.extend(hexadecimal("chip account", &bytes));
            forms.push(Form {
                what: "chip account",
                bytes,
            });
        }
    }
    forms.extend(hexadecimal("PIN block", PIN_BLOCK));
    forms.push(Form {
        what: "PIN block",
        bytes: PIN_BLOCK.to_vec(),
    });
    forms
}

fn hexadecimal(what: &'static str, bytes: &[u8]) -> [Form; 2] {
    let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let upper = lower.to_uppercase();
    [lower, upper].map(|text| Form {
        what,
        bytes: text.into_bytes(),
    })
}

/// Two digits a byte.
fn packed(digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes().chunks_exact(2);
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0);
    digits
        .filter_map(|two| u8::try_from(value(two[0]) << 4 | value(two[1])).ok())
        .collect()
}

/// What is looked for, by its first two bytes.
#[derive(Debug)]
struct Search {
    forms: Vec<Form>,
    beginning: Vec<Vec<usize>>,
}

impl Search {
    fn new(forms: Vec<Form>) -> Self {
        let mut beginning = vec![Vec::new(); 1 << 16];
        for (place, form) in forms.iter().enumerate() {
            beginning[beginning_of(&form.bytes)].push(place);
        }
        Self { forms, beginning }
    }

    /// What is in `bytes`, and where; each form once at most.
    fn found(&self, bytes: &[u8]) -> Vec<(&'static str, usize)> {
        let mut found = vec![None; self.forms.len()];
        for start in (0..bytes.len()).step_by(BLOCK) {
            let end = bytes.len().min(start + BLOCK);
            // Most of a segment is zeros, and no form begins with two of them.
            if bytes[start..bytes.len().min(end + 1)]
                .iter()
                .all(|byte| *byte == 0)
            {
                continue;
            }
            for at in start..end.min(bytes.len().saturating_sub(1)) {
                for place in &self.beginning[beginning_of(&bytes[at..])] {
                    if bytes[at..].starts_with(&self.forms[*place].bytes) {
                        found[*place].get_or_insert(at);
                    }
                }
            }
        }
        let found = found.into_iter().enumerate();
        found
            .filter_map(|(place, at)| at.map(|at| (self.forms[place].what, at)))
            .collect()
    }
}

fn beginning_of(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

const BLOCK: usize = 4096;

/// The same message with other bytes in one field.
pub(super) fn with_bytes(message: &[u8], field: u8, value: &[u8]) -> Vec<u8> {
    let dialect = Dialect::ISO87_ASCII;
    let mut index = FieldIndex::new();
    dialect.parse(message, &mut index).unwrap();
    let view = MessageRef::new(message, &index);
    let mut out = vec![0; 4096];
    let mut writer = Writer::new(dialect, view.mti(), &mut out);
    for number in view.present().with(field) {
        if number == field {
            writer.put(number, value).unwrap();
        } else {
            writer.copy(number, view).unwrap();
        }
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

/// The message with everything of a card that its dialect has a place for.
pub(super) fn with_card(message: &[u8]) -> Vec<u8> {
    let chip = chip_data();
    let fields: [(u8, &[u8]); 5] = [
        (2, ACCOUNT.as_bytes()),
        (35, TRACK_2.as_bytes()),
        (45, TRACK_1.as_bytes()),
        (52, PIN_BLOCK),
        (55, &chip),
    ];
    let mut message = message.to_vec();
    for (number, value) in fields {
        message = with_bytes(&message, number, value);
    }
    message
}

/// What of the card is in what is kept, and where.
pub(super) fn traces(kept: &[(String, Vec<u8>)]) -> Vec<String> {
    let search = Search::new(forms());
    let found = kept.iter().flat_map(|(name, bytes)| {
        let found = search.found(bytes).into_iter();
        found.map(move |(what, at)| format!("{what} at {at} of {name}"))
    });
    found.collect()
}
