//! Messages as bytes: each endpoint has its dialect, and what crosses a connection is written by
//! the product's own codec, cut into pieces, and read again on the other side.

mod asking;
mod leg;
mod pipe;
mod reconciling;
mod telling;

use std::collections::BTreeMap;

use domain::currency::Currency;
use domain::ids::InstitutionId;
use domain::request::MessageClass;
use domain::time::{TransmissionTime, WallTime, digits_of};
use iso8583::mti::{Class, Version};
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer};

use super::ledger::fields_of;
use super::random::Random;
use super::words::WALL;

pub(super) use asking::{content_of, read_ask, write_ask};
pub(super) use leg::{read_leg, write_advice, write_request, write_reversal};
pub(super) use pipe::{Pipe, frame_of, pieces};
pub(super) use reconciling::{
    read_reconciliation, reads_totals, write_reconciliation, write_reconciliation_ask,
    write_reconciliation_told,
};
pub(super) use telling::{read_said, read_told, write_said, write_told};

/// How each endpoint speaks, and what becomes of its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub(super) acquirer: &'static Dialect,
    issuers: [&'static Dialect; 2],
    /// The acquirer says when it was made where it was made; in 1993 everybody does.
    pub(super) has_local: bool,
    /// Frames that arrive in pieces.
    pub(super) split: u64,
    /// Messages with a byte that became 0xFF.
    pub(super) spoiled: u64,
}

impl Lines {
    pub(super) fn draw(random: &mut Random) -> Self {
        let mut dialect = || {
            let name = DIALECTS[random.below(DIALECTS.len() as u64) as usize];
            Dialect::by_name(name).expect("built in")
        };
        Self {
            acquirer: dialect(),
            issuers: [dialect(), dialect()],
            has_local: random.permille(500),
            split: random.below(500),
            spoiled: random.below(60).saturating_sub(20),
        }
    }

    /// Most frames arrive in pieces.
    pub(super) fn in_pieces(random: &mut Random) -> Self {
        let split = 900;
        Self {
            split,
            ..Self::draw(random)
        }
    }

    pub(super) fn of_issuer(&self, issuer: u16) -> &'static Dialect {
        self.issuers[usize::from(issuer)]
    }

    /// It has no way to say that the day goes on.
    pub(super) fn is_acquirer_1987(&self) -> bool {
        is_1987(self.acquirer)
    }

    pub(super) const fn calm(mut self) -> Self {
        self.spoiled = 0;
        self
    }
}

/// Both editions, in characters, packed, and in EBCDIC.
const DIALECTS: [&str; 8] = [
    "iso87-ascii",
    "iso87-ascii-hex",
    "iso87-bcd",
    "iso87-ebcdic-cp037",
    "iso93-ascii",
    "iso93-ascii-hex",
    "iso93-bcd",
    "iso93-ebcdic-cp500",
];

/// Fields by number, written in their order.
#[derive(Debug, Default)]
struct Fields(BTreeMap<u8, Vec<u8>>);

impl Fields {
    fn put(&mut self, number: u8, value: &[u8]) {
        self.0.insert(number, value.to_vec());
    }

    fn write(&self, dialect: &'static Dialect, mti: Mti) -> Vec<u8> {
        let mut out = [0; MESSAGE_MAX];
        let mti = mti.in_version(dialect.version());
        let mut writer = Writer::new(dialect, mti, &mut out);
        for (number, value) in &self.0 {
            writer.put(*number, value).expect("as the dialect has it");
        }
        let len = writer.finish().expect("there is room");
        out[..len].to_vec()
    }
}

/// What of a message's bytes is read, if they are a message.
fn parsed<T>(
    dialect: &'static Dialect,
    bytes: &[u8],
    read: impl FnOnce(MessageRef<'_>) -> Option<T>,
) -> Option<T> {
    let mut index = FieldIndex::new();
    dialect.parse(bytes, &mut index).ok()?;
    read(MessageRef::new(bytes, &index))
}

fn text_of(message: MessageRef<'_>, number: u8) -> Option<Vec<u8>> {
    let mut scratch = [0; FIELD_MAX];
    message.decode(number, &mut scratch).map(<[u8]>::to_vec)
}

fn number_in(message: MessageRef<'_>, number: u8) -> Option<u64> {
    let text = text_of(message, number)?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// The number of its purchase, which an acquirer puts where a merchant's category stands.
fn purchase_in(message: MessageRef<'_>) -> Option<u32> {
    let field = if is_1987(message.dialect()) { 18 } else { 26 };
    Some(number_in(message, field)? as u32)
}

/// The last bytes of a purchase's further field, as many as DE44 of 1987 holds.
pub(super) fn short_text(purchase: u32) -> Vec<u8> {
    let fields = fields_of(purchase);
    let text = &fields[3..];
    text[text.len().saturating_sub(25)..].to_vec()
}

fn is_1987(dialect: &Dialect) -> bool {
    dialect.version() == Version::Iso1987
}

/// `YYMMDDhhmmss`: everybody lives in one place.
fn local(time: TransmissionTime) -> [u8; 12] {
    let mut text = *b"260000000000";
    text[2..].copy_from_slice(&time.digits());
    text
}

fn resolved(time: TransmissionTime) -> Option<WallTime> {
    time.resolve(WALL)
}

fn class_of(mti: Mti) -> Option<MessageClass> {
    match mti.class() {
        Class::Authorisation => Some(MessageClass::Authorisation),
        Class::Financial => Some(MessageClass::Financial),
        _ => None,
    }
}

const fn class_digit(class: MessageClass) -> u8 {
    match class {
        MessageClass::Authorisation => b'1',
        MessageClass::Financial => b'2',
    }
}

fn mti(digits: [u8; 4]) -> Mti {
    Mti::new(digits).expect("four digits")
}

fn currency() -> [u8; 3] {
    Currency::KES.digits()
}

fn amount_digits(minor: u64) -> [u8; 12] {
    digits_of(minor)
}

/// DE33 of the switch.
fn forwarding() -> InstitutionId {
    InstitutionId::new("DE33", b"40400001").expect("digits")
}

const MESSAGE_MAX: usize = 1_024;
const FIELD_MAX: usize = 999;
