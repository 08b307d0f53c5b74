//! What may be shown of a message with a fault.
//!
//! Where a bit of a bitmap or a digit of a length is wrong, every field behind it is read from the
//! wrong place: the account number may lie under the amount, and which field is the wrong one
//! nobody can know. So values are shown only with evidence that the first fields are where they
//! seem to be, and only numbers that stand before every field that could be authentication data.

use super::field::Field;
use super::fields::{Fields, Head, Survey};
use super::mask::Value;
use crate::class::Class;
use crate::codec;
use crate::dialect::Dialect;
use crate::field::FieldSpec;
use crate::mti;

/// Which values may be shown.
///
/// ```text
/// Open             no fault
/// Ajar ──► Closed  a fault and evidence, up to the first sign that something is not in its place
/// Closed           a fault and no evidence
/// ```
///
/// The evidence is an account number of 12 to 19 digits where the first field stands, and a date in
/// field 7 if that is announced. The check digit of the number is good; or, as many a test number
/// has none, the fields are announced that every message about money has. A message of network
/// management holds no number, and needs no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// All, account numbers masked.
    Open,
    /// Numbers of [`may_be_shown`] that have nothing of the account number.
    Ajar {
        account: Account,
        /// Whether the fields fill the message. If not, the length of the account number may be
        /// the fault, and what is behind its last digits could be its last digits.
        is_filled: bool,
    },
    /// None.
    Closed,
}

/// The digits of an account number; none of one that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    digits: [u8; ACCOUNT_LEN_MAX],
    len: usize,
}

impl Gate {
    /// For a message.
    pub(super) fn of_message(dialect: &'static Dialect, bytes: &[u8], survey: &Survey) -> Self {
        if survey.first_fault.is_none() {
            return Self::Open;
        }
        let is_filled = survey.is_filled;
        evidence(dialect, bytes).map_or(Self::Closed, |account| Self::Ajar { account, is_filled })
    }

    /// For what a field holds. There is no evidence in it.
    pub(super) const fn of_held(is_whole: bool) -> Self {
        if is_whole { Self::Open } else { Self::Closed }
    }

    /// What may be shown of a field. To be asked of each in turn.
    pub(super) fn value<'v>(&mut self, field: &Field<'v>, room: &'v mut [u8]) -> Value<'v> {
        let (account, is_filled) = match *self {
            Self::Open => return field.value(room),
            Self::Ajar { account, is_filled } => (account, is_filled),
            Self::Closed => return field.hidden(),
        };
        if field.row.number == ACCOUNT {
            return if is_filled {
                field.value(room)
            } else {
                field.hidden()
            };
        }
        match field.value(room) {
            // In a message that is filled, a value at fault is where it seems to be.
            Value::Text(text)
                if (is_filled || !field.is_faulty())
                    && text.iter().all(u8::is_ascii_graphic)
                    && !account.shows_in(text)
                    && !is_track(text) =>
            {
                if may_be_shown(field.row) {
                    Value::Text(text)
                } else {
                    field.hidden()
                }
            }
            // Of bytes nobody can say what they look like.
            Value::Text(_)
            | Value::Bytes(_)
            | Value::Account(_)
            | Value::Hidden(_)
            | Value::Parts => {
                *self = Self::Closed;
                field.hidden()
            }
        }
    }
}

/// Whether a field holds a number and stands before all that may hold authentication data (ISO
/// 8583, DE35 and above), or is too short for any: response code and code of network management.
const fn may_be_shown(row: &FieldSpec) -> bool {
    let is_number = matches!(row.class, Class::N | Class::Xn);
    (is_number && row.number <= 34) || matches!(row.number, 39 | 70)
}

fn evidence(dialect: &'static Dialect, bytes: &[u8]) -> Option<Account> {
    let mut account = Account::NONE;
    let head = Head::read(dialect, bytes).ok()?;
    if !head.fields.contains(ACCOUNT) {
        let mti = Head::mti(dialect, bytes).ok()?;
        return (mti.class() == mti::Class::Network).then_some(account);
    }
    let row = dialect.field(ACCOUNT)?;
    let mut sound = Fields::new(dialect, bytes, head).take_while(|read| read.fault.is_none());
    let read = sound.next().filter(|read| read.number == ACCOUNT)?;
    let units = read.units(row, bytes);
    let mut room = [0; ACCOUNT_LEN_MAX];
    let digits = codec::decode(row, read.wire(bytes), units, &mut room)?;
    account.len = digits.len();
    account
        .digits
        .get_mut(..account.len)?
        .copy_from_slice(digits);
    let is_complete = || COMMON.iter().all(|number| head.fields.contains(*number));
    let is_dated =
        !head.fields.contains(TRANSMITTED) || sound.any(|read| read.number == TRANSMITTED);
    let is_evident = is_dated && (luhn(digits) || is_complete());
    (account.len >= ACCOUNT_LEN_MIN && is_evident).then_some(account)
}

impl Account {
    const NONE: Self = Self {
        digits: [0; ACCOUNT_LEN_MAX],
        len: 0,
    };

    /// Whether a text has a part of it, or is a short one. Packed digits that were characters have
    /// it in every other place.
    fn shows_in(&self, text: &[u8]) -> bool {
        let len = text.len().clamp(PART_LEN_MIN, PART_LEN);
        let digits = self.digits.get(..self.len).unwrap_or_default();
        let shows = |part: &[u8], step: usize| {
            let mut starts = 0..text.len();
            starts.any(|start| {
                let places = text.iter().skip(start).step_by(step);
                places.take(len).eq(part)
            })
        };
        let mut parts = digits.windows(len);
        parts.any(|part| shows(part, 1) || shows(part, 2))
    }
}

/// Whether a text has a separator of track data.
fn is_track(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'=' | b'^'))
}

/// Whether the last digit checks the others (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let weigh = |(place, digit): (usize, &u8)| {
        let digit = u32::from(digit & 0x0F);
        match place % 2 {
            0 => digit,
            // The sum of the digits of its double.
            _ if digit > 4 => digit.saturating_mul(2).saturating_sub(9),
            _ => digit.saturating_mul(2),
        }
    };
    let sum: u32 = digits.iter().rev().enumerate().map(weigh).sum();
    sum.is_multiple_of(10) && digits.iter().all(u8::is_ascii_digit)
}

/// The field of the account number.
const ACCOUNT: u8 = 2;
/// Processing code, amount, date and time of transmission, trace number.
const COMMON: [u8; 4] = [3, 4, TRANSMITTED, 11];
/// Ten digits, of which one row in 300 is a date.
const TRANSMITTED: u8 = 7;
const ACCOUNT_LEN_MIN: usize = 12;
const ACCOUNT_LEN_MAX: usize = 19;
/// So many digits in a row are no chance,
const PART_LEN: usize = 4;
/// and of a country code so many are enough: three fields of three digits follow one another.
const PART_LEN_MIN: usize = 3;
