//! From what is to be said to a message.

use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{InstitutionId, Stan};
use domain::message_reason::MessageReason;
use domain::record::{Completed, ReversalCause};
use domain::request::{Answer, Facts, IssuerLeg, MessageClass, MessageKind, Transmission};
use domain::response_code::ResponseCode;
use domain::result_code::CodeEdition;
use domain::time::{TransmissionTime, WallTime, digits_of};

use super::answer_fields::{self, AnswerFields};
use super::original::{self, original_data, original_data_1993, replacement_amounts};
use super::reason::{self, ReasonField};
use super::{across, read};
use crate::bitmap::Bitmap;
use crate::composite::Composite;
use crate::dialect::{CHIP_DATA, Dialect};
use crate::error::WriteError;
use crate::message::MessageRef;
use crate::mti::{Class, Function, Mti, Version};
use crate::writer::Writer;

//= docs/rules.md#M-05
/// Answers a request: its echo fields byte for byte, DE38, DE39 as the dialect's edition writes it,
/// and the issuer's further fields that mean the same in it. DE4 is the request's, but for a
/// partial approval, where it is the approved amount.
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
    let (origin, fields) = answer_fields::origin(answer.fields);
    let carried = if origin == dialect.version() {
        None
    } else {
        Some(across::carried(origin, dialect.version()))
    };
    let mut further = AnswerFields(fields).peekable();
    for number in own {
        while let Some((before, value)) = further.next_if(|(before, _)| *before < number) {
            put_of_issuer(&mut writer, before, value, (request, carried))?;
        }
        match (number, approved) {
            (4, Some(amount)) => across::put_amount(&mut writer, amount)?,
            (38, _) => writer.put_padded(38, answer.authorisation.as_bytes())?,
            (39, _) => put_code(&mut writer, answer.code)?,
            _ => writer.copy(number, request)?,
        }
    }
    for (number, value) in further {
        put_of_issuer(&mut writer, number, value, (request, carried))?;
    }
    writer.finish()
}

/// DE39 as the edition of the dialect writes it.
pub(super) fn put_code(writer: &mut Writer<'_>, code: ResponseCode) -> Result<(), WriteError> {
    let edition = writer.dialect().version().code_edition();
    if edition == CodeEdition::An2 && code.edition() == edition {
        return writer.put(39, code.as_bytes());
    }
    let told = if code == ResponseCode::APPROVED {
        acknowledgement(writer.mti())
    } else {
        code
    };
    writer.put(39, told.written_in(edition).digits().as_bytes())
}

/// How 1993 says yes to what is no request for money: 400 to a reversal, 900 to an advice.
fn acknowledgement(answer: Mti) -> ResponseCode {
    let digits = match (answer.class(), answer.function()) {
        (Class::Reversal, _) => b"400",
        (Class::Authorisation | Class::Financial, Function::AdviceResponse) => b"900",
        (Class::Network, _) => b"800",
        (Class::Reconciliation, _) => b"500",
        (Class::Administrative, _) => b"600",
        (Class::FileAction, _) => b"300",
        (Class::FeeCollection, _) => b"700",
        (Class::Authorisation | Class::Financial | Class::Reserved, _) => b"000",
    };
    ResponseCode::read(digits).unwrap_or(ResponseCode::APPROVED)
}

/// One field of the issuer's, where it came in another edition: only what means the same there.
fn put_of_issuer(
    writer: &mut Writer<'_>,
    number: u8,
    value: &[u8],
    (request, carried): (MessageRef<'_>, Option<Bitmap>),
) -> Result<(), WriteError> {
    match carried {
        Some(_) if number == SETTLEMENT_DATE => match across::settlement_date(value, request) {
            Some((dated, part)) => put_further(writer, number, dated.get(part).unwrap_or_default()),
            None => Ok(()),
        },
        Some(carried) if !carried.contains(number) => Ok(()),
        Some(_) | None => put_further(writer, number, value),
    }
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

/// A request on its way to an issuer.
#[derive(Clone, Copy, Debug)]
pub struct IssuerRequest<'a> {
    /// How it travels: DE7 and DE11.
    pub leg: &'a IssuerLeg,
    /// This switch (DE33).
    pub forwarding: &'a InstitutionId,
    /// When it was admitted: chooses the year of a date that has none.
    pub admitted: WallTime,
    /// DE4 in the issuer's units, where they are not the acquirer's.
    pub amount: Option<Amount>,
    /// What a completion request completes, which takes the place of what its acquirer names.
    pub completed: Option<&'a Completed>,
}

/// Forwards a request to an issuer: all fields of the acquirer's leg, but DE7 and DE11 of this leg,
/// DE33 of this switch, no authentication code of the acquirer's session (DE64, DE128), and never
/// as a repeat. In another edition what means the same there, and what can be made of the rest.
///
/// # Errors
/// The buffer is full, or the issuer's dialect does not have a field as the acquirer's has it.
pub fn write_issuer_request(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    going: &IssuerRequest<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    if dialect.version() != request.dialect().version() {
        return write_across(dialect, request, going, out);
    }
    let IssuerRequest {
        leg, forwarding, ..
    } = *going;
    let mut writer = Writer::new(dialect, request.mti().first(), out);
    let (transmitted, stan) = (leg.transmitted.digits(), leg.stan.digits());
    if let Some(amount) = going.amount
        && request.present().contains(4)
    {
        writer.copy_up_to(4, request)?;
        across::put_amount(&mut writer, amount)?;
    }
    writer.copy_up_to(7, request)?;
    writer.put(7, &transmitted)?;
    writer.copy_up_to(11, request)?;
    writer.put(11, &stan)?;
    copy_entry_mode(&mut writer, request)?;
    writer.copy_up_to(33, request)?;
    writer.put(33, forwarding.as_bytes())?;
    let original = going
        .completed
        .map(|_| original::field_of(dialect.version()));
    for number in [56, 64, 90, 128] {
        if original == Some(number) {
            writer.copy_up_to(number, request)?;
            put_original(&mut writer, request, going)?;
        } else if number == 64 || number == 128 {
            // What authenticated the acquirer's message does not authenticate this one.
            writer.copy_up_to(number, request)?;
            writer.pass_over(number);
        }
    }
    writer.copy_up_to(u8::MAX, request)?;
    writer.finish()
}

/// What a completion request completes, as its issuer knows it.
fn put_original(
    writer: &mut Writer<'_>,
    request: MessageRef<'_>,
    going: &IssuerRequest<'_>,
) -> Result<(), WriteError> {
    let Some(completed) = going.completed else {
        return Ok(());
    };
    let institution = read::institution(request).map_err(|_| WriteError::Content(32))?;
    let named_by = [&institution, going.forwarding];
    original::put_completed(writer, completed, named_by, going.admitted)
}

/// The same, to an issuer of another edition.
#[inline(never)]
fn write_across(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    going: &IssuerRequest<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let leg = going.leg;
    let (from, to) = (request.dialect().version(), dialect.version());
    let trace = read::trace(request).map_err(|error| WriteError::Content(error.field))?;
    let local = across::local_time(&trace, leg, going.admitted);
    let mti = request.mti().first().in_version(to);
    let mut writer = Writer::new(dialect, mti, out);
    let carried = across::carried(from, to).intersection(request.present());
    let original = original::field_of(to);
    let own = match going.completed {
        Some(_) => across::converted().with(original),
        None => across::converted(),
    };
    for number in carried.union(own) {
        match (number, going.amount) {
            (4, Some(amount)) => across::put_amount(&mut writer, amount)?,
            (7, _) => writer.put(7, &leg.transmitted.digits())?,
            (11, _) => writer.put(11, &leg.stan.digits())?,
            (33, _) => writer.put(33, going.forwarding.as_bytes())?,
            (24, _) if going.completed.is_some() && to == Version::Iso1993 => {
                let class = MessageClass::Financial;
                writer.put(24, across::function_of(class, going.completed))?;
            }
            _ if number == original => put_original(&mut writer, request, going)?,
            _ if carried.contains(number) => writer.copy(number, request)?,
            _ => across::put_converted(&mut writer, number, request, &local)?,
        }
    }
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
    /// How the original travelled: DE90 has its STAN and DE7.
    pub leg: &'a IssuerLeg,
    /// DE11: that of the original, or one of its own.
    pub stan: Stan,
    /// As what it is sent.
    pub form: ReversalForm,
    /// This switch (DE33).
    pub forwarding: &'a InstitutionId,
    /// DE4 of the original, in the issuer's units.
    pub amount: Amount,
    /// The amount really completed, in the issuer's units; `None` reverses all of it.
    pub replacement: Option<Amount>,
    /// When it was decided: chooses the year of a date that has none.
    pub decided: WallTime,
    /// Why, as the switch sees it.
    pub cause: ReversalCause,
    /// Why, in the words of its acquirer; `None` where it has said nothing.
    pub reason: Option<MessageReason>,
    /// Where the issuer reads why; `None` where it does not.
    pub reason_field: Option<ReasonField>,
    /// First sending 0420 or 0400, repeat 0421 or 0401.
    pub transmission: Transmission,
    /// DE7: when the reversal was first sent, also in a repeat.
    pub transmitted: TransmissionTime,
}

/// By what an issuer that can be asked later is asked what became of a request.
#[derive(Clone, Copy, Debug)]
pub struct IssuerInquiry<'a> {
    /// The request.
    pub facts: &'a Facts,
    /// The account's digits in the clear (DE2).
    pub account: &'a [u8],
    /// How the request travelled: DE7 and DE11.
    pub leg: &'a IssuerLeg,
    /// This switch (DE33).
    pub forwarding: &'a InstitutionId,
    /// DE4, in the issuer's units.
    pub amount: Amount,
}

/// As what a reversal is sent to an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalForm {
    /// 0420: it reports what has happened.
    Advice,
    /// 0400, for issuers that know no other.
    Request,
}

impl IssuerReversal<'_> {
    /// Why, if that stands in one of these fields: in the acquirer's words where it said so.
    //= docs/rules.md#V-15
    fn said(&self, numbers: &[u8]) -> Option<(ReasonField, MessageReason)> {
        let field = self.reason_field?;
        let in_part = self.replacement.is_some();
        let of_cause = MessageReason::of_reversal(self.cause, in_part);
        let is_here = numbers.contains(&field.number());
        is_here.then(|| (field, self.reason.unwrap_or(of_cause)))
    }

    //= docs/rules.md#T-15
    /// The original had neither DE4 nor DE49.
    fn names_no_amount(&self) -> bool {
        self.facts.amount.currency() == Currency::NONE
    }

    fn mti(&self) -> Mti {
        let first = match self.form {
            ReversalForm::Advice => Mti::REVERSAL_ADVICE,
            ReversalForm::Request => Mti::REVERSAL_REQUEST,
        };
        match self.transmission {
            Transmission::First => first,
            Transmission::Repeat => first.repeat(),
        }
    }
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

/// Writes an 0420 or 0421, to an issuer of 1993 an 1420 or 1421, or the same as requests. A repeat
/// differs in the origin digit alone.
///
/// # Errors
/// The buffer is full, or a value does not suit the issuer's dialect.
pub fn write_reversal(
    dialect: &'static Dialect,
    reversal: &IssuerReversal<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    if dialect.version() == Version::Iso1993 {
        return write_reversal_1993(dialect, reversal, out);
    }
    let IssuerReversal {
        facts,
        leg,
        forwarding,
        ..
    } = *reversal;
    let mti = reversal.mti();
    let trace = &facts.trace;
    let institutions = [&trace.institution, forwarding];
    let named = (facts.class, reversal.original);
    let original = original_data(named, leg.stan, leg.transmitted, institutions);
    let mut writer = Writer::new(dialect, mti, out);
    writer.put(2, reversal.account)?;
    writer.put(3, facts.processing_code.as_bytes())?;
    if !reversal.names_no_amount() {
        across::put_amount(&mut writer, reversal.amount)?;
    }
    writer.put(7, &reversal.transmitted.digits())?;
    writer.put(11, &reversal.stan.digits())?;
    put_present(&mut writer, 12, trace.local_time.as_bytes())?;
    put_present(&mut writer, 13, trace.local_date.as_bytes())?;
    put_present(&mut writer, 18, facts.merchant_category.as_bytes())?;
    put_entry_mode(&mut writer, facts.entry_mode.as_bytes())?;
    reason::put_if(&mut writer, reversal.said(&[25]))?;
    put_present(&mut writer, 32, trace.institution.as_bytes())?;
    put_present(&mut writer, 33, forwarding.as_bytes())?;
    put_present(&mut writer, 37, trace.rrn.as_bytes())?;
    put_present(&mut writer, 41, trace.terminal.as_bytes())?;
    put_present(&mut writer, 42, trace.merchant.as_bytes())?;
    if !reversal.names_no_amount() {
        writer.put(49, &facts.amount.currency().digits())?;
    }
    reason::put_if(&mut writer, reversal.said(&[56, 60]))?;
    writer.put(90, &original)?;
    writer.put(95, &replacement_amounts(reversal.replacement))?;
    writer.finish()
}

//= docs/rules.md#T-16
/// Writes the request once more as its repeat, of 1987. No request leaves as one, so whoever takes
/// it knows that it is asked what became of that.
///
/// # Errors
/// The buffer is full, or the dialect does not have a field in that form.
pub fn write_inquiry(
    dialect: &'static Dialect,
    inquiry: &IssuerInquiry<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let (facts, leg) = (inquiry.facts, inquiry.leg);
    let trace = &facts.trace;
    let digits = match facts.class {
        MessageClass::Authorisation => *b"0101",
        MessageClass::Financial => *b"0201",
    };
    let mti = Mti::new(digits).ok_or(WriteError::NotAnswerable)?;
    let mut writer = Writer::new(dialect, mti, out);
    writer.put(2, inquiry.account)?;
    writer.put(3, facts.processing_code.as_bytes())?;
    across::put_amount(&mut writer, inquiry.amount)?;
    writer.put(7, &leg.transmitted.digits())?;
    writer.put(11, &leg.stan.digits())?;
    put_present(&mut writer, 12, trace.local_time.as_bytes())?;
    put_present(&mut writer, 13, trace.local_date.as_bytes())?;
    put_present(&mut writer, 18, facts.merchant_category.as_bytes())?;
    put_present(&mut writer, 32, trace.institution.as_bytes())?;
    put_present(&mut writer, 33, inquiry.forwarding.as_bytes())?;
    put_present(&mut writer, 37, trace.rrn.as_bytes())?;
    put_present(&mut writer, 41, trace.terminal.as_bytes())?;
    put_present(&mut writer, 42, trace.merchant.as_bytes())?;
    writer.put(49, &facts.amount.currency().digits())?;
    writer.finish()
}

/// Of 1993: DE4 is what stays of a partial reversal, DE30 then the original amount, and DE56 names
/// the original.
#[inline(never)]
fn write_reversal_1993(
    dialect: &'static Dialect,
    reversal: &IssuerReversal<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let IssuerReversal { facts, leg, .. } = *reversal;
    let trace = &facts.trace;
    let mti = reversal.mti();
    let local = across::local_time(trace, leg, reversal.decided);
    let original = original_data_1993(
        (facts.class, reversal.original),
        leg.stan,
        &local,
        &trace.institution,
    );
    let partial = reversal.replacement;
    let mut writer = Writer::new(dialect, mti.in_version(Version::Iso1993), out);
    writer.put(2, reversal.account)?;
    writer.put(3, facts.processing_code.as_bytes())?;
    if !reversal.names_no_amount() {
        across::put_amount(&mut writer, partial.unwrap_or(reversal.amount))?;
    }
    writer.put(7, &reversal.transmitted.digits())?;
    writer.put(11, &reversal.stan.digits())?;
    writer.put(12, &local)?;
    let function: &[u8; 3] = if partial.is_some() {
        &read::REVERSED_IN_PART
    } else {
        b"400"
    };
    writer.put(24, function)?;
    reason::put_if(&mut writer, reversal.said(&[25]))?;
    put_present(&mut writer, 26, facts.merchant_category.as_bytes())?;
    if partial.is_some() {
        let mut amounts = [b'0'; 24];
        if let Some(whole) = amounts.first_chunk_mut::<12>() {
            *whole = reversal.amount.digits();
        }
        writer.put(30, &amounts)?;
    }
    put_present(&mut writer, 32, trace.institution.as_bytes())?;
    put_present(&mut writer, 33, reversal.forwarding.as_bytes())?;
    put_present(&mut writer, 37, trace.rrn.as_bytes())?;
    put_present(&mut writer, 41, trace.terminal.as_bytes())?;
    put_present(&mut writer, 42, trace.merchant.as_bytes())?;
    if !reversal.names_no_amount() {
        writer.put(49, &facts.amount.currency().digits())?;
    }
    writer.put(56, original.as_bytes())?;
    reason::put_if(&mut writer, reversal.said(&[60]))?;
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
    let is_same = core::ptr::eq(writer.dialect(), request.dialect());
    let has_digits = request.dialect().version() == Version::Iso1987;
    if is_same || !has_digits || !request.present().contains(22) {
        return Ok(());
    }
    writer.copy_up_to(22, request)?;
    let mut digits = [0; 4];
    match request.decode(22, &mut digits) {
        Some(digits) => put_entry_mode(writer, digits.get(..3).unwrap_or_default()),
        None => Err(WriteError::Length(22)),
    }
}

/// Settlement date.
const SETTLEMENT_DATE: u8 = 15;

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
