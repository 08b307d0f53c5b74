//! Advices, 0120 and 0220: what they report, what of it is kept, and how an issuer is told.

use core::fmt;

use domain::amount::Amount;
use domain::code_map::CodeMap;
use domain::ids::{AuthorisationId, InstitutionId};
use domain::message_reason::MessageReason;
use domain::record::Completed;
use domain::request::{Facts, IssuerLeg, MessageClass, OriginalReference, Transmission};
use domain::response_code::ResponseCode;
use domain::time::WallTime;

use super::across;
use super::answer_fields::REASON;
use super::answer_fields::{self, AnswerFields};
use super::original::{self, put_completed};
use super::read::{self, RequestFields};
use super::reason::{self, ReasonField};
use super::write::{put_entry_mode, put_further, put_present};
use crate::bitmap::Bitmap;
use crate::dialect::{CHIP_DATA, Dialect};
use crate::error::{FormatError, WriteError};
use crate::field::Sensitivity;
use crate::message::MessageRef;
use crate::mti::{Class, Function, Mti, Version};
use crate::writer::Writer;

/// What an 0120 or 0220 says.
pub struct AdviceFields {
    /// What it has in common with a request.
    pub request: RequestFields,
    /// What it completes: DE90, when that is as its layout says.
    pub original: Option<OriginalReference>,
    /// DE39: what was decided.
    pub reported: Option<ResponseCode>,
}

impl fmt::Debug for AdviceFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdviceFields")
            .field("request", &self.request)
            .field("original", &self.original)
            .field("reported", &self.reported)
            .finish()
    }
}

/// Reads an 0120, 0121, 0220 or 0221 (other origins alike), in the edition of its dialect.
/// Mandatory fields are those of a request. A DE90 (1993: DE56) that is not as its layout says
/// names nothing, and is passed on as it came.
///
/// # Errors
/// The field that is missing or cannot be used; 0 when the message is no advice.
pub fn advice(message: MessageRef<'_>) -> Result<AdviceFields, FormatError> {
    let mti = message.mti();
    let class = match (mti.class(), mti.function()) {
        _ if !read::is_of_its_dialect(message) => return Err(FormatError { field: 0 }),
        (Class::Authorisation, Function::Advice) => MessageClass::Authorisation,
        (Class::Financial, Function::Advice) => MessageClass::Financial,
        _ => return Err(FormatError { field: 0 }),
    };
    let request = read::money(message, class)?;
    let named = original::of(message);
    let reported = match message.present().contains(39) {
        true => Some(read::response_code(message, &CodeMap::STANDARD)?),
        false => None,
    };
    Ok(AdviceFields {
        original: named.map(|original| original.reference(request.trace.rrn)),
        reported,
        request,
    })
}

/// What an advice of this message says beyond its facts, encoded into `scratch` as
/// [`domain::request::Answer::fields`] lays it out: fields whose meaning the standard fixes and
/// that hold no account number, no expiry date and no authentication data. What is private,
/// reserved or national may hold some, and what does not fit is left out. Why it was sent is kept
/// as field 1, which no message has, so that each issuer is told it in its own field.
#[must_use]
pub fn advice_content<'a>(message: MessageRef<'_>, why: Why, scratch: &'a mut [u8]) -> &'a [u8] {
    let dialect = message.dialect();
    let of_message = match why {
        Why::Said(field) | Why::Instead(field, _) => field.map(ReasonField::number),
    };
    let said = match why {
        Why::Said(field) => reason::reason(message, field),
        Why::Instead(_, reason) => Some(reason),
    };
    let mut kept = Bitmap::EMPTY;
    for number in KEPT {
        // In 1993 DE25 says nothing else.
        let is_reason = number == 25 && dialect.version() == Version::Iso1993;
        if is_reason || of_message == Some(number) {
            continue;
        }
        let is_public = dialect
            .field(number)
            .is_some_and(|row| row.sensitivity == Sensitivity::Public);
        // Of 1987 the facts have all of it.
        let is_known = number == 22 && dialect.version() == Version::Iso1987;
        if is_known {
            continue;
        }
        if is_public || number == CHIP_DATA {
            kept = kept.with(number);
        }
    }
    let digits = said.map(|said| said.digits());
    let reason = match &digits {
        Some(digits) => Some(digits.as_slice()),
        None => reason::may_be_taken_for_one(message, kept).then_some([].as_slice()),
    };
    answer_fields::collect_with(message, kept, reason, scratch)
}

/// Why an advice is sent.
#[derive(Clone, Copy, Debug)]
pub enum Why {
    /// As its message says in this field, if it does.
    Said(Option<ReasonField>),
    /// For this reason, whatever a request says in that field about itself.
    Instead(Option<ReasonField>, MessageReason),
}

/// An advice that the switch owes an issuer.
#[derive(Clone, Copy)]
pub struct IssuerAdvice<'a> {
    /// What it reports.
    pub facts: &'a Facts,
    /// The account's digits in the clear (DE2).
    pub account: &'a [u8],
    /// DE4, in the units of the issuer.
    pub amount: Amount,
    /// How it travels: its own STAN and DE7, the same in every transmission.
    pub leg: &'a IssuerLeg,
    /// This switch (DE33).
    pub forwarding: &'a InstitutionId,
    /// What it completes, for DE90; else a DE90 among `fields` stays as it came.
    pub completed: Option<&'a Completed>,
    /// When it leaves: chooses the year of a date that has none.
    pub decided: WallTime,
    /// DE38 and an approval in DE39, where the switch decided; empty where `fields` have them.
    pub authorisation: &'a AuthorisationId,
    /// First sending 0120 or 0220, repeat 0121 or 0221.
    pub transmission: Transmission,
    /// What [`advice_content`] kept.
    pub fields: &'a [u8],
    /// Where the issuer reads why it was sent; `None` where it does not.
    pub reason_field: Option<ReasonField>,
}

impl IssuerAdvice<'_> {
    /// Why it was sent, if it says so. What was kept before reasons had a field of their own has it
    /// where the message had it.
    //= docs/rules.md#A-11
    fn said(&self) -> Option<(ReasonField, MessageReason)> {
        let field = self.reason_field?;
        let (origin, fields) = answer_fields::origin(self.fields);
        let as_sent = if origin == Version::Iso1993 {
            25
        } else {
            field.number()
        };
        let is_reason = |number| number == REASON || number == as_sent;
        let mut fields = AnswerFields(fields).filter(|(number, _)| is_reason(*number));
        // An empty one says that what follows is none, whatever it looks like.
        let (_, value) = fields.next()?;
        Some((field, MessageReason::read(value).ok()?))
    }
}

impl fmt::Debug for IssuerAdvice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerAdvice")
            .field("facts", self.facts)
            .field("leg", self.leg)
            .field("completed", &self.completed)
            .field("transmission", &self.transmission)
            .finish_non_exhaustive()
    }
}

/// Writes an 0120, 0121, 0220 or 0221. A repeat differs in the origin digit alone. A further field
/// that the issuer's dialect cannot carry is left out: the advice itself must get through.
///
/// # Errors
/// The buffer is full, or a value of the facts does not suit the issuer's dialect.
pub fn write_advice(
    dialect: &'static Dialect,
    advice: &IssuerAdvice<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let first = match advice.facts.class {
        MessageClass::Authorisation => Mti::AUTHORISATION_ADVICE,
        MessageClass::Financial => Mti::FINANCIAL_ADVICE,
    };
    let mti = match advice.transmission {
        Transmission::First => first,
        Transmission::Repeat => first.repeat(),
    };
    let version = dialect.version();
    let mut writer = Writer::new(dialect, mti.in_version(version), out);
    let (origin, fields) = answer_fields::origin(advice.fields);
    let carried = across::carried(origin, version);
    // Of another edition only what means the same; its code is told as this one writes it.
    let crosses = |number: &u8| origin == version || *number == 39 || carried.contains(*number);
    let is_reason = |number| number == REASON || origin == Version::Iso1993 && number == 25;
    let further = AnswerFields(fields).filter(|(number, _)| crosses(number) && !is_reason(*number));
    let mut further = further.peekable();
    for number in OWN {
        while let Some((before, value)) = further.next_if(|(before, _)| *before < number) {
            put_told(&mut writer, before, value)?;
        }
        let is_kept = origin == version && number == 24 && has(further.clone(), 24);
        if !is_kept && put_own(&mut writer, number, advice)? {
            while further.next_if(|(same, _)| *same == number).is_some() {}
        }
    }
    for (number, value) in further {
        put_told(&mut writer, number, value)?;
    }
    writer.finish()
}

fn has<'a>(mut fields: impl Iterator<Item = (u8, &'a [u8])>, number: u8) -> bool {
    fields.any(|(other, _)| other == number)
}

/// A further field; DE39 as the dialect's edition writes it.
fn put_told(writer: &mut Writer<'_>, number: u8, value: &[u8]) -> Result<(), WriteError> {
    let edition = writer.dialect().version().code_edition();
    match ResponseCode::read(value) {
        Ok(code) if number == 39 && code.edition() != edition => {
            let told = code.internal().written_in(edition);
            put_further(writer, 39, told.digits().as_bytes())
        }
        _ => put_further(writer, number, value),
    }
}

/// Writes a field that does not come out of the acquirer's message as it stands there. `false` when
/// there is none of that number.
fn put_own(
    writer: &mut Writer<'_>,
    number: u8,
    advice: &IssuerAdvice<'_>,
) -> Result<bool, WriteError> {
    let IssuerAdvice { facts, leg, .. } = *advice;
    let trace = &facts.trace;
    let decided_here = !advice.authorisation.is_empty();
    if advice
        .reason_field
        .is_some_and(|field| field.number() == number)
    {
        reason::put_if(writer, advice.said())?;
        return Ok(true);
    }
    if writer.dialect().version() == Version::Iso1993 {
        let local = across::local_time(trace, leg, advice.decided);
        let named_by = [&trace.institution, advice.forwarding];
        match (number, advice.completed) {
            (12, _) => writer.put(12, &local)?,
            (13 | 18 | 22 | 90, _) => return Ok(false),
            (24, completed) => writer.put(24, across::function_of(facts.class, completed))?,
            (26, _) => put_present(writer, 26, facts.merchant_category.as_bytes())?,
            (39, _) if decided_here => writer.put(39, b"000")?,
            (56, Some(completed)) => put_completed(writer, completed, named_by, advice.decided)?,
            _ => return put_of_1987(writer, number, advice),
        }
        return Ok(true);
    }
    put_of_1987(writer, number, advice)
}

/// What 1987 has, and 1993 alike.
fn put_of_1987(
    writer: &mut Writer<'_>,
    number: u8,
    advice: &IssuerAdvice<'_>,
) -> Result<bool, WriteError> {
    let IssuerAdvice {
        facts,
        leg,
        forwarding,
        ..
    } = *advice;
    let trace = &facts.trace;
    let decided_here = !advice.authorisation.is_empty();
    match number {
        2 => writer.put(2, advice.account)?,
        3 => writer.put(3, facts.processing_code.as_bytes())?,
        4 => writer.put(4, &advice.amount.digits())?,
        7 => writer.put(7, &leg.transmitted.digits())?,
        11 => writer.put(11, &leg.stan.digits())?,
        12 => put_present(writer, 12, trace.local_time.as_bytes())?,
        13 => put_present(writer, 13, trace.local_date.as_bytes())?,
        18 => put_present(writer, 18, facts.merchant_category.as_bytes())?,
        22 => put_entry_mode(writer, facts.entry_mode.as_bytes())?,
        32 => put_present(writer, 32, trace.institution.as_bytes())?,
        33 => put_present(writer, 33, forwarding.as_bytes())?,
        37 => put_present(writer, 37, trace.rrn.as_bytes())?,
        38 if decided_here => writer.put_padded(38, advice.authorisation.as_bytes())?,
        39 if decided_here => writer.put(39, ResponseCode::APPROVED.as_bytes())?,
        41 => put_present(writer, 41, trace.terminal.as_bytes())?,
        42 => put_present(writer, 42, trace.merchant.as_bytes())?,
        49 => writer.put(49, &facts.amount.currency().digits())?,
        90 => {
            let Some(completed) = advice.completed else {
                return Ok(false);
            };
            let named_by = [&trace.institution, forwarding];
            put_completed(writer, completed, named_by, advice.decided)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What is written out of the facts, the leg, the reason and what is completed; 38 and 39 at times.
const OWN: [u8; 23] = [
    2, 3, 4, 7, 11, 12, 13, 18, 22, 24, 25, 26, 32, 33, 37, 38, 39, 41, 42, 49, 56, 60, 90,
];
/// What is kept of an advice: amounts of settlement and billing with their rates, dates, countries,
/// conditions and reasons, fees, what was decided, names of the acceptor, chip data, originals.
const KEPT: [u8; 35] = [
    5, 6, 8, 9, 10, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 38, 39, 43, 44,
    50, 51, 54, CHIP_DATA, 56, 90, 95, 97, 98, 100,
];
#[cfg(test)]
mod tests;
