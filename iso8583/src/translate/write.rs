//! From what is to be said to a message.

use domain::amount::Amount;
use domain::ids::InstitutionId;
use domain::request::{Answer, Facts, IssuerLeg, MessageKind, Transmission};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, digits_of};

use super::answer_fields::AnswerFields;
use super::original::{original_data, replacement_amounts};
use crate::composite::Composite;
use crate::dialect::{CHIP_DATA, Dialect};
use crate::error::WriteError;
use crate::message::MessageRef;
use crate::mti::Mti;
use crate::writer::Writer;

/// Answers a request: its echo fields byte for byte, DE38, DE39, and the issuer's further fields.
/// DE4 is the request's, but for a partial approval, where it is the approved amount.
///
/// # Errors
/// The buffer is full, or the request is of a type that is never answered.
pub fn write_answer(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    answer: &Answer<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mti = request.mti().response().ok_or(WriteError::NotAnswerable)?;
    let mut writer = Writer::new(dialect, mti, out);
    let echo = dialect.echo().intersection(request.present());
    let own = echo.with(39);
    let own = if answer.authorisation.is_empty() {
        own
    } else {
        own.with(38)
    };
    let approved = answer
        .amount
        .filter(|_| answer.code == ResponseCode::PARTIAL_APPROVAL);
    let mut further = AnswerFields(answer.fields).peekable();
    for number in own {
        while let Some((before, value)) = further.next_if(|(before, _)| *before < number) {
            put_further(&mut writer, before, value)?;
        }
        match (number, approved) {
            (4, Some(amount)) => writer.put(4, &amount.digits())?,
            (38, _) => writer.put_padded(38, answer.authorisation.as_bytes())?,
            (39, _) => writer.put(39, answer.code.as_bytes())?,
            _ => writer.copy(number, request)?,
        }
    }
    for (number, value) in further {
        put_further(&mut writer, number, value)?;
    }
    writer.finish()
}

/// Acknowledges a reversal or an advice: its echo fields and DE39.
///
/// # Errors
/// The buffer is full, or the message is of a type that is never answered.
pub fn write_acknowledgement(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    code: ResponseCode,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    write_answer(dialect, request, &Answer::of(code), out)
}

/// Refuses a message, perhaps one with faults: what is readable of its echo fields, DE39, and in
/// DE44 the three digits of the field at fault.
///
/// # Errors
/// The buffer is full, or the message is of a type that is never answered.
pub fn write_refusal(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    code: ResponseCode,
    bad_field: Option<u8>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mut further = [44, 0, 3, 0, 0, 0];
    let mut answer = Answer::of(code);
    if let Some(field) = bad_field {
        if let Some(digits) = further.last_chunk_mut::<3>() {
            *digits = digits_of(u64::from(field));
        }
        answer.fields = &further;
    }
    write_answer(dialect, request, &answer, out)
}

/// Forwards a request to an issuer: all fields of the acquirer's leg, but DE7 and DE11 of this leg,
/// DE33 of this switch, no authentication code of the acquirer's session (DE64, DE128), and never
/// as a repeat.
///
/// # Errors
/// The buffer is full, or the issuer's dialect does not have a field as the acquirer's has it.
pub fn write_issuer_request(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    leg: &IssuerLeg,
    forwarding: &InstitutionId,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mut writer = Writer::new(dialect, request.mti().first(), out);
    let (transmitted, stan) = (leg.transmitted.digits(), leg.stan.digits());
    writer.copy_up_to(7, request)?;
    writer.put(7, &transmitted)?;
    writer.copy_up_to(11, request)?;
    writer.put(11, &stan)?;
    copy_entry_mode(&mut writer, request)?;
    writer.copy_up_to(33, request)?;
    writer.put(33, forwarding.as_bytes())?;
    // What authenticated the acquirer's message does not authenticate this one.
    for code in [64, 128] {
        writer.copy_up_to(code, request)?;
        writer.pass_over(code);
    }
    writer.copy_up_to(u8::MAX, request)?;
    writer.finish()
}

/// A reversal that the switch owes an issuer.
#[derive(Clone, Copy)]
pub struct IssuerReversal<'a> {
    /// The original.
    pub facts: &'a Facts,
    /// The account's digits in the clear (DE2).
    pub account: &'a [u8],
    /// Whether the original asked or reported.
    pub original: MessageKind,
    /// How the original travelled: the reversal carries its STAN, and DE90 its STAN and DE7.
    pub leg: &'a IssuerLeg,
    /// This switch (DE33).
    pub forwarding: &'a InstitutionId,
    /// The amount really completed; `None` reverses all of it.
    pub replacement: Option<Amount>,
    /// First sending 0420, repeat 0421.
    pub transmission: Transmission,
    /// DE7: when the reversal was first sent, also in a repeat.
    pub transmitted: TransmissionTime,
}

impl core::fmt::Debug for IssuerReversal<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IssuerReversal")
            .field("facts", self.facts)
            .field("leg", self.leg)
            .field("replacement", &self.replacement)
            .field("transmission", &self.transmission)
            .field("transmitted", &self.transmitted)
            .finish_non_exhaustive()
    }
}

/// Writes an 0420 or 0421. A repeat differs in the origin digit alone.
///
/// # Errors
/// The buffer is full, or a value does not suit the issuer's dialect.
pub fn write_reversal(
    dialect: &'static Dialect,
    reversal: &IssuerReversal<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let IssuerReversal {
        facts,
        leg,
        forwarding,
        ..
    } = *reversal;
    let mti = match reversal.transmission {
        Transmission::First => Mti::REVERSAL_ADVICE,
        Transmission::Repeat => Mti::REVERSAL_ADVICE.repeat(),
    };
    let trace = &facts.trace;
    let institutions = [&trace.institution, forwarding];
    let named = (facts.class, reversal.original);
    let original = original_data(named, leg.stan, leg.transmitted, institutions);
    let mut writer = Writer::new(dialect, mti, out);
    writer.put(2, reversal.account)?;
    writer.put(3, facts.processing_code.as_bytes())?;
    writer.put(4, &facts.amount.digits())?;
    writer.put(7, &reversal.transmitted.digits())?;
    writer.put(11, &leg.stan.digits())?;
    put_present(&mut writer, 12, trace.local_time.as_bytes())?;
    put_present(&mut writer, 13, trace.local_date.as_bytes())?;
    put_present(&mut writer, 18, facts.merchant_category.as_bytes())?;
    put_entry_mode(&mut writer, facts.entry_mode.as_bytes())?;
    put_present(&mut writer, 32, trace.institution.as_bytes())?;
    put_present(&mut writer, 33, forwarding.as_bytes())?;
    put_present(&mut writer, 37, trace.rrn.as_bytes())?;
    put_present(&mut writer, 41, trace.terminal.as_bytes())?;
    put_present(&mut writer, 42, trace.merchant.as_bytes())?;
    writer.put(49, &facts.amount.currency().digits())?;
    writer.put(90, &original)?;
    writer.put(95, &replacement_amounts(reversal.replacement))?;
    writer.finish()
}

pub(super) fn put_present(
    writer: &mut Writer<'_>,
    number: u8,
    value: &[u8],
) -> Result<(), WriteError> {
    if value.is_empty() {
        return Ok(());
    }
    writer.put_padded(number, value)
}

/// Puts all that comes before DE22, and that where another dialect has it in another length.
fn copy_entry_mode(writer: &mut Writer<'_>, request: MessageRef<'_>) -> Result<(), WriteError> {
    if core::ptr::eq(writer.dialect(), request.dialect()) || !request.present().contains(22) {
        return Ok(());
    }
    writer.copy_up_to(22, request)?;
    let mut digits = [0; 4];
    match request.decode(22, &mut digits) {
        Some(digits) => put_entry_mode(writer, digits.get(..3).unwrap_or_default()),
        None => Err(WriteError::Length(22)),
    }
}

/// Three digits, and a zero where the dialect has a fourth (Visa).
pub(super) fn put_entry_mode(writer: &mut Writer<'_>, digits: &[u8]) -> Result<(), WriteError> {
    let has_fill = writer
        .dialect()
        .field(22)
        .is_some_and(|row| row.has_length(4));
    match (digits, has_fill) {
        ([], _) => Ok(()),
        ([a, b, c], true) => writer.put(22, &[*a, *b, *c, b'0']),
        _ => writer.put(22, digits),
    }
}

/// A further field that the acquirer's dialect cannot carry is left out: the answer itself must get
/// through. A buffer that is full stays an error.
pub(super) fn put_further(
    writer: &mut Writer<'_>,
    number: u8,
    value: &[u8],
) -> Result<(), WriteError> {
    let put = if number == CHIP_DATA {
        // It is kept as bare elements.
        writer.put_chip_data(number, value, Composite::Tlv)
    } else {
        writer.put(number, value)
    };
    match put {
        Err(WriteError::Full) => Err(WriteError::Full),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests;
