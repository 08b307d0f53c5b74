//! From a message to what it says.

use core::fmt;

use domain::amount::Amount;
use domain::bytes::Text;
use domain::code_map::CodeMap;
use domain::currency::Currency;
use domain::error::InvalidValue;
use domain::ids::{AuthorisationId, InstitutionId, Stan, TerminalId};
use domain::pan::Pan;
use domain::request::{Answer, MessageClass, OriginalReference, Trace, Transmission};
use domain::response_code::ResponseCode;
use domain::result_code::CodeClass;
use domain::time::TransmissionTime;

use super::answer_fields;
use super::original::{self, replacement};
use crate::error::FormatError;
use crate::message::MessageRef;
use crate::mti::{Class, Function, Mti, Origin, Version};

/// What an 0100 or 0200 says, or an 1100 or 1200 of 1993.
pub struct RequestFields {
    /// The edition of its message.
    pub version: Version,
    /// Authorisation or financial.
    pub class: MessageClass,
    /// First sending or a repeat.
    pub transmission: Transmission,
    /// DE2, else out of DE35.
    pub account: Pan,
    /// DE4 in DE49.
    pub amount: Amount,
    /// DE3, six digits.
    pub processing_code: Text<6>,
    /// DE18, four digits; empty when absent.
    pub merchant_category: Text<4>,
    /// DE22 of 1987, its first three digits: a fourth one (Visa) is a fill. Empty when absent.
    pub entry_mode: Text<3>,
    /// DE22 of 1993, where twelve characters say more than three digits. Empty when absent.
    pub point_of_service: Text<12>,
    /// What names it.
    pub trace: Trace,
}

impl fmt::Debug for RequestFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFields")
            .field("class", &self.class)
            .field("transmission", &self.transmission)
            .field("account", &self.account)
            .field("amount", &self.amount)
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

/// What an 0400 or 0420 says, or an 1400 or 1420 of 1993.
pub struct ReversalFields {
    /// The edition of its message.
    pub version: Version,
    /// First sending or a repeat.
    pub transmission: Transmission,
    /// DE2, else out of DE35, when one is there: a check.
    pub account: Option<Pan>,
    /// DE4 in DE49: the original amount. In 1993 that of DE30 where DE24 is 401.
    pub amount: Amount,
    /// DE95, in 1993 DE4 where DE24 is 401: the amount really completed; `None` reverses all of it.
    pub replacement: Option<Amount>,
    /// What it reverses: DE90, in 1993 DE56, else its own STAN.
    pub original: OriginalReference,
    /// When the original was made, where it was: `MMDDhhmmss` of DE56. Empty when it says nothing.
    pub original_local: Text<10>,
    /// What names the reversal itself.
    pub trace: Trace,
}

impl fmt::Debug for ReversalFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReversalFields")
            .field("transmission", &self.transmission)
            .field("account", &self.account)
            .field("amount", &self.amount)
            .field("replacement", &self.replacement)
            .field("original", &self.original)
            .field("trace", &self.trace)
            .finish()
    }
}

/// What a completion request says of what it completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionFields {
    /// DE90, in 1993 DE56.
    pub original: Option<OriginalReference>,
    /// DE38, which is that of the original; empty when absent.
    pub authorisation: AuthorisationId,
}

/// Reads an 0100, 0101, 0200 or 0201 (other origins alike), in the edition of its dialect.
/// Mandatory: DE3, 4, 7, 11, 41, 49, and 2 or 35; when both are there the accounts must be equal.
/// In 1993 DE12 is mandatory, and DE7 may be absent.
///
/// # Errors
/// The field that is missing or cannot be used; 0 when the message is no such request.
pub fn request(message: MessageRef<'_>) -> Result<RequestFields, FormatError> {
    let mti = message.mti();
    let class = match (mti.class(), mti.function()) {
        _ if !is_of_its_dialect(message) => return Err(FormatError { field: 0 }),
        (Class::Authorisation, Function::Request) => MessageClass::Authorisation,
        (Class::Financial, Function::Request) => MessageClass::Financial,
        _ => return Err(FormatError { field: 0 }),
    };
    money(message, class)
}

/// What a completion request, an 0202 or 0203 (1993: 1202, 1203), says of what it completes; `None`
/// of any other message. A DE90 (1993: DE56) that is not as its layout says names nothing.
///
/// # Errors
/// DE37 or DE38 cannot be used.
pub fn completion(message: MessageRef<'_>) -> Result<Option<CompletionFields>, FormatError> {
    let mti = message.mti();
    let asks = (mti.class(), mti.function(), mti.origin());
    if asks != (Class::Financial, Function::Request, Origin::Issuer) {
        return Ok(None);
    }
    let rrn = optional(message, 37)?;
    Ok(Some(CompletionFields {
        original: original::of(message).map(|original| original.reference(rrn)),
        authorisation: optional(message, 38)?,
    }))
}

/// What a request and an advice have in common.
pub(super) fn money(
    message: MessageRef<'_>,
    class: MessageClass,
) -> Result<RequestFields, FormatError> {
    let mti = message.mti();
    let is_1987 = mti.version() == Version::Iso1987;
    Ok(RequestFields {
        version: mti.version(),
        class,
        transmission: transmission(message.mti()),
        account: account(message)?.ok_or(FormatError { field: 2 })?,
        amount: asked_amount(message)?,
        processing_code: mandatory(message, 3)?,
        merchant_category: optional(message, category_field(message))?,
        entry_mode: if is_1987 {
            entry_mode(message)?
        } else {
            Text::EMPTY
        },
        point_of_service: if is_1987 {
            Text::EMPTY
        } else {
            optional(message, 22)?
        },
        trace: trace(message)?,
    })
}

/// Reads an 0400, 0401, 0420 or 0421 (other origins alike), in the edition of its dialect.
/// Mandatory: DE4, 7, 11, 41, 49. A DE90 (1993: DE56) that is not as its layout says names nothing;
/// then the reversal means the original of its own STAN.
///
/// # Errors
/// The field that is missing or cannot be used; 0 when the message is no reversal.
pub fn reversal(message: MessageRef<'_>) -> Result<ReversalFields, FormatError> {
    let mti = message.mti();
    let is_request = matches!(mti.function(), Function::Request | Function::Advice);
    if !is_of_its_dialect(message) || mti.class() != Class::Reversal || !is_request {
        return Err(FormatError { field: 0 });
    }
    let (amount, replacement) = match mti.version() {
        Version::Iso1993 | Version::Iso2003 => action_amounts(message)?,
        Version::Iso1987 | Version::National | Version::Private | Version::Reserved => {
            replaced_amounts(message)?
        }
    };
    let trace = trace(message)?;
    let named = original::of(message);
    Ok(ReversalFields {
        version: mti.version(),
        transmission: transmission(mti),
        account: account(message)?,
        amount,
        replacement,
        original: OriginalReference {
            stan: named.map_or(trace.stan, |original| original.stan),
            class: named.map(|original| original.class),
            transmitted: named.and_then(|original| original.transmitted),
            rrn: trace.rrn,
        },
        original_local: named.map_or(Text::EMPTY, |original| original.local),
        trace,
    })
}

/// DE4, and what of it stays by DE95.
fn replaced_amounts(message: MessageRef<'_>) -> Result<(Amount, Option<Amount>), FormatError> {
    let amount = asked_amount(message)?;
    if !message.present().contains(95) {
        return Ok((amount, None));
    }
    let replacement = read(message, 95, |field| replacement(field, amount.currency()))?;
    Ok((amount, replacement))
}

/// The original amount, and what of it stays: of 1993 DE4 is the whole of it, but where DE24 says
/// that it is reversed in part. Then DE30 has the original amount, and DE4 what stays.
fn action_amounts(message: MessageRef<'_>) -> Result<(Amount, Option<Amount>), FormatError> {
    let amount = asked_amount(message)?;
    match message.array(24) {
        Some(REVERSED_IN_PART) => {
            let currency = amount.currency();
            let whole = read(message, 30, |field| match field.first_chunk::<12>() {
                Some(digits) => Amount::from_digits(digits, currency),
                None => Err(InvalidValue::Length("DE30")),
            })?;
            Ok((whole, Some(amount).filter(|amount| amount.minor() != 0)))
        }
        _ => Ok((amount, None)),
    }
}

/// What names a message: DE7, 11 and 41 are mandatory, DE12, 13, 32, 37, 42 may be absent. In 1993
/// DE12 has the date too and is mandatory, and DE7 may be absent.
///
/// # Errors
/// The field that is missing or cannot be used.
pub fn trace(message: MessageRef<'_>) -> Result<Trace, FormatError> {
    trace_of(message, mandatory(message, 41)?)
}

/// The same of a message whose terminal is known to be this one, or none.
pub(super) fn trace_of(
    message: MessageRef<'_>,
    terminal: TerminalId,
) -> Result<Trace, FormatError> {
    let is_1987 = message.dialect().version() == Version::Iso1987;
    let (local_date, local_time) = if is_1987 {
        (optional(message, 13)?, optional(message, 12)?)
    } else {
        local(message)?
    };
    Ok(Trace {
        stan: stan(message)?,
        transmitted: if is_1987 || message.present().contains(7) {
            read(message, 7, TransmissionTime::from_digits)?
        } else {
            TransmissionTime::UNKNOWN
        },
        local_time,
        local_date,
        rrn: optional(message, 37)?,
        terminal,
        merchant: optional(message, 42)?,
        institution: optional(message, 32)?,
    })
}

/// DE32; empty when absent.
pub(super) fn institution(message: MessageRef<'_>) -> Result<InstitutionId, FormatError> {
    optional(message, 32)
}

/// DE11.
///
/// # Errors
/// It is missing.
pub fn stan(message: MessageRef<'_>) -> Result<Stan, FormatError> {
    read(message, 11, Stan::from_digits)
}

/// Date and time of 1993's DE12, without the year.
fn local(message: MessageRef<'_>) -> Result<(Text<4>, Text<6>), FormatError> {
    read(message, 12, |digits| {
        let (rest, time) = digits.split_last_chunk::<6>().ok_or(NOT_DE12)?;
        let (_, date) = rest.split_last_chunk::<4>().ok_or(NOT_DE12)?;
        Ok::<_, InvalidValue>((Text::new("DE12", date)?, Text::new("DE12", time)?))
    })
}

/// Whether its type is of the edition of the dialect that it was read in.
pub(super) fn is_of_its_dialect(message: MessageRef<'_>) -> bool {
    message.mti().version() == message.dialect().version()
}

/// Where the merchant category code stands.
pub(super) fn category_field(message: MessageRef<'_>) -> u8 {
    match message.dialect().version() {
        Version::Iso1993 | Version::Iso2003 => 26,
        Version::Iso1987 | Version::National | Version::Private | Version::Reserved => 18,
    }
}

/// The internal code of DE39, by the codes of the endpoint that it came from. What was sent goes
/// with it.
///
/// # Errors
/// It is missing, or not what the edition has there.
pub fn response_code(
    message: MessageRef<'_>,
    codes: &CodeMap,
) -> Result<ResponseCode, FormatError> {
    read(message, 39, ResponseCode::read).map(|sent| codes.read(sent))
}

/// What an issuer answers, without what belongs to its leg: DE39 by the issuer's codes, DE38, DE4
/// in DE49, and the fields that the dialect replays. Card data and authentication data are left
/// out, and so is what does not fit into [`Answer::FIELDS_LEN_MAX`] or `scratch`.
///
/// # Errors
/// DE39 or DE38 cannot be used; DE4 has more than zeros, without a DE49 that says what they mean.
pub fn issuer_answer<'a>(
    message: MessageRef<'_>,
    codes: &CodeMap,
    scratch: &'a mut [u8],
) -> Result<Answer<'a>, FormatError> {
    let code = match response_code(message, codes)? {
        // It acknowledges what was not asked: no approval, and no 00 where 1987 writes it so.
        code if code.class() == CodeClass::Administrative => {
            ResponseCode::DO_NOT_HONOUR.sent_as(code)
        }
        code => code,
    };
    let amount = match message.field(4) {
        Some(_) if is_nothing_of_no_currency(message) => Amount::new(0, Currency::NONE).ok(),
        Some(_) => Some(amount(message)?),
        None => None,
    };
    Ok(Answer {
        code,
        authorisation: optional(message, 38)?,
        amount,
        fields: answer_fields::collect(message, scratch),
    })
}

/// As the answer to what has no amount may say.
fn is_nothing_of_no_currency(message: MessageRef<'_>) -> bool {
    let nothing = |digits: &[u8]| match digits.iter().all(|digit| *digit == b'0') {
        true => Ok(()),
        false => Err(()),
    };
    !message.present().contains(49) && read(message, 4, nothing).is_ok()
}

/// Whether a message that cannot be processed can at least be told so: its type has an answer, and
/// DE11 and DE41 are readable; of an administrative message, which needs no terminal, DE11.
/// Otherwise the connection is closed.
#[must_use]
pub fn can_be_refused(message: MessageRef<'_>) -> bool {
    let present = message.present();
    let is_named = present.contains(41) || message.mti().class() == Class::Administrative;
    message.mti().response().is_some() && present.contains(11) && is_named
}

pub(super) const fn transmission(mti: Mti) -> Transmission {
    if mti.is_repeat() {
        Transmission::Repeat
    } else {
        Transmission::First
    }
}

/// The account: DE2, else out of DE35; when both are there they must agree.
///
/// # Errors
/// The field that cannot be used.
pub fn account(message: MessageRef<'_>) -> Result<Option<Pan>, FormatError> {
    let (mut of_field, mut of_track) = ([0; TEXT_LEN_MAX], [0; TEXT_LEN_MAX]);
    let track = message.decode(35, &mut of_track);
    let of_track = track.map(account_of_track);
    let Some(field) = message.decode(2, &mut of_field) else {
        return of_track
            .map(|digits| checked_account(35, digits))
            .transpose();
    };
    let account = checked_account(2, field)?;
    match of_track {
        Some(other) if !(Pan::LEN_MIN..=Pan::LEN_MAX).contains(&other.len()) => {
            Err(FormatError { field: 35 })
        }
        Some(other) if other != account.expose_digits() => Err(FormatError { field: 2 }),
        _ => Ok(Some(account)),
    }
}

/// The digits before the separator, `=` or `D`; nothing when there is none.
fn account_of_track(track: &[u8]) -> &[u8] {
    let end = track.iter().position(|byte| !byte.is_ascii_digit());
    end.and_then(|end| track.get(..end)).unwrap_or_default()
}

fn checked_account(field: u8, account: &[u8]) -> Result<Pan, FormatError> {
    Pan::new(account).map_err(|_| FormatError { field })
}

/// DE49.
///
/// # Errors
/// It is missing or no currency.
pub fn currency(message: MessageRef<'_>) -> Result<Currency, FormatError> {
    read(message, 49, Currency::read)
}

pub(super) fn amount(message: MessageRef<'_>) -> Result<Amount, FormatError> {
    let currency = currency(message)?;
    read(message, 4, |digits| Amount::from_digits(digits, currency))
}

/// Of what has no amount: nothing, in DE49 where that is there.
fn asked_amount(message: MessageRef<'_>) -> Result<Amount, FormatError> {
    let present = message.present();
    if present.contains(4) && present.contains(49) || !message.needs_no_amount() {
        return amount(message);
    }
    let currency = match present.contains(49) {
        true => currency(message)?,
        false => Currency::NONE,
    };
    if present.contains(4) {
        let amount = read(message, 4, |digits| Amount::from_digits(digits, currency))?;
        if amount.minor() > 0 {
            return Err(FormatError { field: 49 });
        }
    }
    Amount::new(0, currency).map_err(|_| FormatError { field: 4 })
}

fn mandatory<const N: usize>(message: MessageRef<'_>, field: u8) -> Result<Text<N>, FormatError> {
    read(message, field, |bytes| Text::new("field", bytes))
}

/// The first three digits.
fn entry_mode(message: MessageRef<'_>) -> Result<Text<3>, FormatError> {
    const FIELD: u8 = 22;
    if !message.present().contains(FIELD) {
        return Ok(Text::EMPTY);
    }
    let first = |digits: &[u8]| match digits.first_chunk::<3>() {
        Some(first) => Text::new("DE22", first).map_err(|_| FormatError { field: FIELD }),
        None => Err(FormatError { field: FIELD }),
    };
    read(message, FIELD, first)
}

pub(super) fn optional<const N: usize>(
    message: MessageRef<'_>,
    field: u8,
) -> Result<Text<N>, FormatError> {
    if message.present().contains(field) {
        return mandatory(message, field);
    }
    Ok(Text::EMPTY)
}

#[inline(always)]
fn read<T, E>(
    message: MessageRef<'_>,
    field: u8,
    value: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, FormatError> {
    if let Some(text) = message.plain(field) {
        return value(text).map_err(|_| FormatError { field });
    }
    // Apart, because the scratch is cleared before it is used.
    read_decoded(message, field, value)
}

#[inline(never)]
fn read_decoded<T, E>(
    message: MessageRef<'_>,
    field: u8,
    value: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, FormatError> {
    let mut scratch = [0; TEXT_LEN_MAX];
    let text = message
        .decode(field, &mut scratch)
        .ok_or(FormatError { field })?;
    value(text).map_err(|_| FormatError { field })
}

/// The longest text that is read here: DE35, DE90 and DE95.
pub(super) const TEXT_LEN_MAX: usize = 48;
/// DE24: the amount is not the original one.
pub(super) const REVERSED_IN_PART: [u8; 3] = *b"401";
const NOT_DE12: InvalidValue = InvalidValue::Length("DE12");

#[cfg(test)]
mod tests;
