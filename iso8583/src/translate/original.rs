//! DE90, original data elements, and DE95, replacement amounts (semantics.md §6).

use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{InstitutionId, Stan};
use domain::request::{MessageClass, MessageKind};
use domain::time::{TransmissionTime, digits_of};

use crate::error::FormatError;
use crate::mti::{Class, Mti, Version};

/// What DE90 says when it is as its layout says: MTI 4 · STAN 6 · DE7 10 · DE32 11 · DE33 11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OriginalData {
    /// Authorisation or financial.
    pub(super) class: MessageClass,
    /// DE11 of the original.
    pub(super) stan: Stan,
    /// DE7 of the original; zeros say that it is unknown.
    pub(super) transmitted: Option<TransmissionTime>,
}

impl OriginalData {
    /// `None` when a part is not what it should be: real networks fill the field differently, and
    /// then it names nothing. The institutions are no check, since networks rewrite them.
    pub(super) fn read(field: &[u8]) -> Option<Self> {
        let (mti, rest) = field.split_first_chunk::<4>()?;
        let (stan, rest) = rest.split_first_chunk::<6>()?;
        let (transmitted, institutions) = rest.split_first_chunk::<10>()?;
        if institutions.len() != 22 {
            return None;
        }
        let mti = Mti::new(*mti)?;
        let class = match (mti.version(), mti.class()) {
            (Version::Iso1987, Class::Authorisation) => MessageClass::Authorisation,
            (Version::Iso1987, Class::Financial) => MessageClass::Financial,
            _ => return None,
        };
        let transmitted = match transmitted {
            b"0000000000" => None,
            digits => Some(TransmissionTime::from_digits(digits).ok()?),
        };
        let stan = Stan::from_digits(stan).ok()?;
        Some(Self {
            class,
            stan,
            transmitted,
        })
    }
}

/// The field as njia sends it, with the values of the leg to the issuer.
pub(super) fn original_data(
    (class, kind): (MessageClass, MessageKind),
    stan: Stan,
    transmitted: TransmissionTime,
    institutions: [&InstitutionId; 2],
) -> [u8; 42] {
    let mti = match (class, kind) {
        (MessageClass::Authorisation, MessageKind::Request) => Mti::AUTHORISATION_REQUEST,
        (MessageClass::Authorisation, MessageKind::Advice) => Mti::AUTHORISATION_ADVICE,
        (MessageClass::Financial, MessageKind::Request) => Mti::FINANCIAL_REQUEST,
        (MessageClass::Financial, MessageKind::Advice) => Mti::FINANCIAL_ADVICE,
    };
    let [acquiring, forwarding] = institutions;
    let (acquiring, forwarding) = (zero_filled(acquiring), zero_filled(forwarding));
    let (stan, transmitted) = (stan.digits(), transmitted.digits());
    let parts = mti
        .as_bytes()
        .iter()
        .chain(&stan)
        .chain(&transmitted)
        .chain(&acquiring);
    let mut field = [b'0'; 42];
    for (digit, part) in field.iter_mut().zip(parts.chain(&forwarding)) {
        *digit = *part;
    }
    debug_assert!(field.iter().all(u8::is_ascii_digit));
    field
}

/// DE95 to the amount that was really completed; `None` reverses all of it. Only the first twelve
/// characters are read: the settlement amount and the fees do not concern a switch.
pub(super) fn replacement(field: &[u8], currency: Currency) -> Result<Option<Amount>, FormatError> {
    let wrong = FormatError { field: 95 };
    let digits = field.first_chunk::<12>().ok_or(wrong)?;
    let amount = Amount::from_digits(digits, currency).map_err(|_| wrong)?;
    Ok((amount.minor() != 0).then_some(amount))
}

/// DE95 as njia sends it: zeros for a full reversal, also in place of the signs.
pub(super) fn replacement_amounts(replacement: Option<Amount>) -> [u8; 42] {
    let mut field = [b'0'; 42];
    let minor = replacement.map_or(0, Amount::minor);
    if let Some(actual) = field.first_chunk_mut::<12>() {
        *actual = digits_of(minor);
    }
    field
}

/// Right-justified; what is no digit cannot stand in an `n` field, so it becomes zeros.
fn zero_filled(institution: &InstitutionId) -> [u8; 11] {
    let id = institution.as_bytes();
    let mut field = [b'0'; 11];
    if id.iter().all(u8::is_ascii_digit) {
        for (digit, part) in field.iter_mut().rev().zip(id.iter().rev()) {
            *digit = *part;
        }
    }
    field
}
