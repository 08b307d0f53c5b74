//! Administrative messages, class 6: passed on to an issuer with all that they hold, and its answer
//! back. They need not name an account, a terminal or an amount.

use domain::amount::Amount;
use domain::bytes::Text;
use domain::ids::InstitutionId;
use domain::pan::Pan;
use domain::request::{IssuerLeg, MessageKind, Trace};
use domain::response_code::ResponseCode;
use domain::time::WallTime;

use super::write::{IssuerRequest, put_code, put_further, write_issuer_request};
use super::{across, read};
use crate::bitmap::Bitmap;
use crate::dialect::Dialect;
use crate::error::{FormatError, WriteError};
use crate::message::MessageRef;
use crate::mti::{Class, Function, Origin, Version};
use crate::writer::Writer;

/// What an 0600 or 0620 says, or an 1604 of 1993, as far as it is routed and recognised by it.
#[derive(Debug)]
pub struct AdministrativeFields {
    /// The edition of its message.
    pub version: Version,
    /// Whether it asks or reports.
    pub kind: MessageKind,
    /// DE2, else out of DE35.
    pub account: Option<Pan>,
    /// DE4 in DE49; `None` when either is absent.
    pub amount: Option<Amount>,
    /// DE18, in 1993 DE26, four digits; empty when absent.
    pub merchant_category: Text<4>,
    /// What names it; without DE41 the terminal is empty.
    pub trace: Trace,
}

/// Reads an 0600, 0601, 0620 or 0621 (other origins alike), in the edition of its dialect.
/// Mandatory: DE11; DE7 in 1987, DE12 in 1993. When DE2 and DE35 are there the accounts must be
/// equal.
///
/// # Errors
/// The field that is missing or cannot be used; 0 when the message is no such message.
pub fn administrative(message: MessageRef<'_>) -> Result<AdministrativeFields, FormatError> {
    Ok(AdministrativeFields {
        version: message.mti().version(),
        kind: administrative_kind(message).ok_or(FormatError { field: 0 })?,
        account: read::account(message)?,
        amount: administrative_amount(message),
        merchant_category: read::optional(message, read::category_field(message))?,
        trace: read::trace_of(message, read::optional(message, 41)?)?,
    })
}

/// Whether it asks or reports; `None` when the message is no such message.
#[must_use]
pub fn administrative_kind(message: MessageRef<'_>) -> Option<MessageKind> {
    let mti = message.mti();
    match (mti.class(), mti.function()) {
        _ if !read::is_of_its_dialect(message) || mti.origin() == Origin::Reserved => None,
        (Class::Administrative, Function::Request) => Some(MessageKind::Request),
        (Class::Administrative, Function::Advice) => Some(MessageKind::Advice),
        _ => None,
    }
}

/// DE4 in DE49; `None` when either is absent.
#[must_use]
pub fn administrative_amount(message: MessageRef<'_>) -> Option<Amount> {
    read::amount(message).ok()
}

/// An administrative message on its way to an issuer.
#[derive(Clone, Copy, Debug)]
pub struct GoingAdministrative<'a> {
    /// How it travels: DE7 and DE11.
    pub leg: &'a IssuerLeg,
    /// This switch (DE33).
    pub forwarding: &'a InstitutionId,
    /// When it came: chooses the year of a date that has none.
    pub asked: WallTime,
    /// DE4 in the issuer's units, where they are not the acquirer's.
    pub amount: Option<Amount>,
}

/// Forwards it as a request for money is forwarded: all fields of the acquirer's leg, but DE7 and
/// DE11 of this leg, DE33 of this switch, no authentication code, and never as a repeat. In another
/// edition what means the same there; a function code (DE24) is not made up.
///
/// # Errors
/// The buffer is full, or the issuer's dialect does not have a field as the acquirer's has it.
pub fn write_administrative(
    dialect: &'static Dialect,
    message: MessageRef<'_>,
    going: &GoingAdministrative<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    if dialect.version() != message.dialect().version() {
        return write_across(dialect, message, going, out);
    }
    let as_request = IssuerRequest {
        leg: going.leg,
        forwarding: going.forwarding,
        admitted: going.asked,
        amount: going.amount,
        completed: None,
    };
    write_issuer_request(dialect, message, &as_request, out)
}

/// The same, to an issuer of another edition.
fn write_across(
    dialect: &'static Dialect,
    message: MessageRef<'_>,
    going: &GoingAdministrative<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let (from, to) = (message.dialect().version(), dialect.version());
    let fields = administrative(message).map_err(|error| WriteError::Content(error.field))?;
    let local = across::local_time(&fields.trace, going.leg, going.asked);
    let mti = message.mti().first().in_version(to);
    let mut writer = Writer::new(dialect, mti, out);
    let carried = across::carried(from, to).intersection(message.present());
    // What function it has in 1993 does not follow from its type.
    let made = across::converted().without(24);
    let made = if message.present().contains(49) {
        made
    } else {
        made.without(49)
    };
    for number in carried.union(made) {
        match (number, going.amount) {
            (4, Some(amount)) => across::put_amount(&mut writer, amount)?,
            (7, _) => writer.put(7, &going.leg.transmitted.digits())?,
            (11, _) => writer.put(11, &going.leg.stan.digits())?,
            (33, _) => writer.put(33, going.forwarding.as_bytes())?,
            _ if carried.contains(number) => writer.copy(number, message)?,
            _ => across::put_converted(&mut writer, number, message, &local)?,
        }
    }
    writer.finish()
}

/// Passes an issuer's answer on: the echo fields of `message` byte for byte, DE39, and of `answer`
/// what is neither echoed nor of its leg. Private fields are passed as the bytes that they are;
/// tracks, PIN blocks and keys are not. A field that the acquirer's dialect cannot carry is left
/// out, and of another edition what does not mean the same: the answer itself must get through.
///
/// # Errors
/// The buffer is full, or the message is of a type that is never answered.
pub fn write_administrative_answer(
    dialect: &'static Dialect,
    message: MessageRef<'_>,
    answer: MessageRef<'_>,
    code: ResponseCode,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mti = message.mti().response().ok_or(WriteError::NotAnswerable)?;
    let mut writer = Writer::new(dialect, mti, out);
    let echo = dialect.echo().intersection(message.present());
    let further = further(dialect, answer);
    let is_across = answer.dialect().version() != dialect.version();
    for number in echo.union(further).with(39) {
        match number {
            39 => put_code(&mut writer, code)?,
            _ if echo.contains(number) => writer.copy(number, message)?,
            SETTLEMENT_DATE if is_across => put_settlement_date(&mut writer, message, answer)?,
            _ => copy_further(&mut writer, number, answer)?,
        }
    }
    writer.finish()
}

/// What of an answer is passed on.
fn further(dialect: &Dialect, answer: MessageRef<'_>) -> Bitmap {
    let (from, to) = (answer.dialect().version(), dialect.version());
    let further = answer
        .present()
        .minus(dialect.echo())
        .minus(answer.dialect().echo())
        .minus(KEPT_BACK.into_iter().collect());
    if from == to {
        further
    } else {
        further.intersection(across::carried(from, to).with(SETTLEMENT_DATE))
    }
}

fn put_settlement_date(
    writer: &mut Writer<'_>,
    message: MessageRef<'_>,
    answer: MessageRef<'_>,
) -> Result<(), WriteError> {
    let mut scratch = [0; 8];
    let date = answer.decode(SETTLEMENT_DATE, &mut scratch);
    match date.and_then(|date| across::settlement_date(date, message)) {
        Some((dated, part)) => {
            let date = dated.get(part).unwrap_or_default();
            put_further(writer, SETTLEMENT_DATE, date)
        }
        None => Ok(()),
    }
}

fn copy_further(
    writer: &mut Writer<'_>,
    number: u8,
    answer: MessageRef<'_>,
) -> Result<(), WriteError> {
    match writer.copy(number, answer) {
        Err(WriteError::Full) => Err(WriteError::Full),
        Ok(()) | Err(_) => Ok(()),
    }
}

const SETTLEMENT_DATE: u8 = 15;
/// DE33 and the authentication codes are of the issuer's leg; tracks, PIN block, what secures it
/// and keys are no acquirer's.
const KEPT_BACK: [u8; 10] = [33, 35, 36, 39, 45, 52, 53, 64, 96, 128];

#[cfg(test)]
mod tests;
