//! Reconciliation: 0500 to 0532 of 1987, 1500 to 1532 of 1993 (semantics.md §8).

use domain::currency::Currency;
use domain::ids::{InstitutionId, Stan};
use domain::network::SettlementDate;
use domain::reconciliation::{
    AMOUNT_MAX, Declared, Figure, NUMBER_MAX, Net, ReconSign, Totals, Verdict,
};
use domain::request::Transmission;
use domain::time::{TransmissionTime, WallTime, decimal, digits_of};

use super::read::{is_of_its_dialect, transmission};
use crate::dialect::Dialect;
use crate::error::{FormatError, WriteError};
use crate::field::Length;
use crate::message::MessageRef;
use crate::mti::{Class, Function, Mti, Version};
use crate::writer::Writer;

/// What a reconciliation of the other side says.
#[derive(Clone, Copy, Debug)]
pub struct ReconciliationFields {
    /// First sending or a repeat.
    pub transmission: Transmission,
    /// DE11.
    pub stan: Stan,
    /// DE7; of 1993 it may be absent.
    pub transmitted: TransmissionTime,
    /// DE15, where it names a day.
    pub date: Option<SettlementDate>,
    /// DE50, else DE49.
    pub currency: Currency,
    /// Its totals.
    pub declared: Declared,
    /// A check in the middle of a day, which goes on: DE24 of 1993 is 501 or 503.
    pub is_checkpoint: bool,
}

/// Reads an 0500, 0501, 0520 or 0521 (other origins alike), in the edition of its dialect.
/// Mandatory: DE11, a currency, and in 1987 DE7.
///
/// # Errors
/// The field that is missing or cannot be used; 0 when the message is no reconciliation.
pub fn reconciliation(
    message: MessageRef<'_>,
    now: WallTime,
) -> Result<ReconciliationFields, FormatError> {
    let mti = message.mti();
    let asks = matches!(mti.function(), Function::Request | Function::Advice);
    if !is_of_its_dialect(message) || mti.class() != Class::Reconciliation || !asks {
        return Err(FormatError { field: 0 });
    }
    let is_1987 = mti.version() == Version::Iso1987;
    let transmitted = match decoded::<10>(message, 7)? {
        Some(digits) => {
            TransmissionTime::from_digits(&digits).map_err(|_| FormatError { field: 7 })?
        }
        None if is_1987 => return Err(FormatError { field: 7 }),
        None => TransmissionTime::UNKNOWN,
    };
    Ok(ReconciliationFields {
        transmission: transmission(mti),
        stan: super::stan(message)?,
        transmitted,
        date: day(message, now)?,
        currency: currency(message)?,
        declared: declared(message)?,
        is_checkpoint: !is_1987 && matches!(message.array(24), Some(CHECKPOINT | CHECKPOINT_IN)),
    })
}

fn day(message: MessageRef<'_>, now: WallTime) -> Result<Option<SettlementDate>, FormatError> {
    let mut scratch = [0; 8];
    let Some(digits) = message.decode(15, &mut scratch) else {
        return Ok(None);
    };
    let date = SettlementDate::from_digits(digits, now);
    date.map(Some).map_err(|_| FormatError { field: 15 })
}

/// That of the settlement, which is that of the transactions: nothing is converted here.
fn currency(message: MessageRef<'_>) -> Result<Currency, FormatError> {
    let field = if message.present().contains(50) {
        50
    } else {
        49
    };
    let mut scratch = [0; 3];
    let text = message.decode(field, &mut scratch);
    let text = text.ok_or(FormatError { field: 50 })?;
    Currency::read(text).map_err(|_| FormatError { field })
}

fn declared(message: MessageRef<'_>) -> Result<Declared, FormatError> {
    let mut declared = Declared::default();
    for figure in Figure::ALL {
        let field = figure.field();
        let mut scratch = [0; 16];
        if let Some(digits) = message.decode(field, &mut scratch) {
            let value = decimal("total", digits).map_err(|_| FormatError { field })?;
            declared.set(figure, value);
        }
    }
    let net = decoded::<17>(message, 97)?;
    if let Some(net) = net {
        let read = Net::from_digits(&net).ok_or(FormatError { field: 97 })?;
        declared.net = Some(read);
    }
    Ok(declared)
}

/// A field of exactly so many characters, if it is there.
fn decoded<const N: usize>(
    message: MessageRef<'_>,
    field: u8,
) -> Result<Option<[u8; N]>, FormatError> {
    if !message.present().contains(field) {
        return Ok(None);
    }
    message.array(field).map(Some).ok_or(FormatError { field })
}

/// What a reconciliation is answered.
#[derive(Clone, Copy, Debug)]
pub struct ReconciliationAnswer {
    /// DE66, or DE39 of 1993.
    pub verdict: Verdict,
    /// DE15, where a day was found.
    pub date: Option<SettlementDate>,
    /// Ours, as the other side reads them, where there are any.
    pub ours: Option<Totals>,
    /// How it reads them.
    pub sign: ReconSign,
}

/// Answers a reconciliation: its echo fields, DE15, DE39, DE50, our totals, and DE66 in 1987.
///
/// # Errors
/// The buffer is full, or the message is not one that is answered.
pub fn write_reconciliation_answer(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    answer: &ReconciliationAnswer,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mti = request.mti().response().ok_or(WriteError::NotAnswerable)?;
    let is_1987 = mti.version() == Version::Iso1987;
    let mut writer = Writer::new(dialect, mti, out);
    let given = request.present();
    let echoed = dialect.echo().with(24).with(50).with(99);
    for number in 2..=99_u8 {
        match number {
            15 => {
                if let Some(date) = answer.date {
                    put_date(&mut writer, dialect, date)?;
                }
            }
            39 => writer.put(39, code(answer.verdict, is_1987))?,
            66 if is_1987 => writer.put(66, &[b'0'.saturating_add(answer.verdict as u8)])?,
            97 => {
                if let Some(ours) = &answer.ours {
                    writer.put(97, &ours.net(answer.sign).digits())?;
                }
            }
            _ => match (figure(number), &answer.ours) {
                (Some(figure), Some(ours)) => put_figure(&mut writer, figure, ours)?,
                (Some(_), None) => {}
                (None, _) if echoed.contains(number) && given.contains(number) => {
                    writer.copy(number, request)?;
                }
                (None, _) => {}
            },
        }
    }
    writer.finish()
}

/// DE39: 1987 acknowledges, whatever was found; 1993 says here what it is.
const fn code(verdict: Verdict, is_1987: bool) -> &'static [u8] {
    match (verdict, is_1987) {
        (Verdict::Unknown | Verdict::InBalance | Verdict::OutOfBalance, true) => b"00",
        (Verdict::Error, true) => b"30",
        (Verdict::Unknown, false) => b"504",
        (Verdict::InBalance, false) => b"500",
        (Verdict::OutOfBalance, false) => b"501",
        (Verdict::Error, false) => b"904",
    }
}

/// A reconciliation that njia sends.
#[derive(Clone, Copy, Debug)]
pub struct OurReconciliation<'a> {
    /// What it is, of 1987.
    pub mti: Mti,
    /// Whether the origin digit is odd.
    pub transmission: Transmission,
    /// DE11.
    pub stan: Stan,
    /// When it was decided: DE7, and DE12 of 1993. The same in all transmissions.
    pub decided: WallTime,
    /// DE15.
    pub date: SettlementDate,
    /// DE50.
    pub currency: Currency,
    /// DE33.
    pub forwarding: &'a InstitutionId,
    /// Ours, as the other side reads them.
    pub ours: Totals,
    /// How it reads them.
    pub sign: ReconSign,
}

/// Writes it: DE7, DE11, DE15, DE33, DE50, the totals and DE97; of 1993 DE12 and DE24 (500) too.
///
/// # Errors
/// The buffer is full, or the dialect lacks a field.
pub fn write_reconciliation(
    dialect: &'static Dialect,
    ours: &OurReconciliation<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let is_1987 = dialect.version() == Version::Iso1987;
    let mti = ours.mti.in_version(dialect.version());
    let mti = match ours.transmission {
        Transmission::First => mti,
        Transmission::Repeat => mti.repeat(),
    };
    let mut writer = Writer::new(dialect, mti, out);
    if dialect.field(7).is_some() {
        writer.put(7, &TransmissionTime::at(ours.decided).digits())?;
    }
    writer.put(11, &ours.stan.digits())?;
    if !is_1987 {
        writer.put(12, &super::network::local_time(ours.decided))?;
    }
    put_date(&mut writer, dialect, ours.date)?;
    if !is_1987 {
        writer.put(24, FINAL)?;
    }
    if !ours.forwarding.is_empty() {
        writer.put(33, ours.forwarding.as_bytes())?;
    }
    writer.put(50, &ours.currency.digits())?;
    for figure in Figure::ALL {
        put_figure(&mut writer, figure, &ours.ours)?;
    }
    writer.put(97, &ours.ours.net(ours.sign).digits())?;
    writer.finish()
}

/// What the other side's answer to a reconciliation says: DE66, in 1993 DE39. `None` when it does
/// not take the message at all.
#[must_use]
pub fn reconciliation_verdict(message: MessageRef<'_>) -> Option<Verdict> {
    let mut scratch = [0; 4];
    let code = message.decode(39, &mut scratch);
    if message.mti().version() != Version::Iso1987 {
        return match code {
            Some(b"500") => Some(Verdict::InBalance),
            Some(b"501") => Some(Verdict::OutOfBalance),
            Some([b'5', _, _] | [b'0', _, _] | b"900" | b"901") => Some(Verdict::Unknown),
            Some(_) | None => None,
        };
    }
    match (message.array(66), code) {
        (Some([b'1']), _) => Some(Verdict::InBalance),
        (Some([b'2']), _) => Some(Verdict::OutOfBalance),
        (Some([b'3']), _) => Some(Verdict::Error),
        (_, Some(b"00")) => Some(Verdict::Unknown),
        (_, Some(b"95")) => Some(Verdict::OutOfBalance),
        (_, Some(_) | None) => None,
    }
}

/// `MMDD`, or with a year where the row has room for one.
fn put_date(
    writer: &mut Writer<'_>,
    dialect: &Dialect,
    date: SettlementDate,
) -> Result<(), WriteError> {
    let day = date.digits();
    match dialect.field(15).map(|row| row.length) {
        Some(Length::Fixed(4)) => writer.put(15, &day),
        Some(Length::Fixed(len)) => {
            let year = digits_of::<4>(date.year().into());
            let full = [year, day];
            let full = full.as_flattened();
            let skip = full.len().saturating_sub(len.into());
            writer.put(15, full.get(skip..).unwrap_or_default())
        }
        Some(Length::Var { .. }) | None => Ok(()),
    }
}

fn put_figure(writer: &mut Writer<'_>, figure: Figure, totals: &Totals) -> Result<(), WriteError> {
    let value = totals.of(figure);
    if figure.is_amount() {
        writer.put(figure.field(), &digits_of::<16>(value.min(AMOUNT_MAX)))
    } else {
        writer.put(figure.field(), &digits_of::<10>(value.min(NUMBER_MAX)))
    }
}

fn figure(field: u8) -> Option<Figure> {
    Figure::ALL.into_iter().find(|one| one.field() == field)
}

/// DE24 of 1993: a reconciliation that ends the day.
const FINAL: &[u8] = b"500";
/// One that does not.
const CHECKPOINT: [u8; 3] = *b"501";
/// The same in one currency.
const CHECKPOINT_IN: [u8; 3] = *b"503";

#[cfg(test)]
mod tests;
