//! DE90, original data elements, and DE95, replacement amounts; of 1993 DE56 (semantics.md §6).

use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{InstitutionId, Rrn, Stan};
use domain::record::Completed;
use domain::request::{MessageClass, MessageKind, OriginalReference};
use domain::time::{TransmissionTime, WallTime, digits_of};

use super::across;
use super::read::TEXT_LEN_MAX;
use crate::error::{FormatError, WriteError};
use crate::message::MessageRef;
use crate::mti::{Class, Mti, Version};
use crate::writer::Writer;

/// What DE90 says when it is as its layout says: MTI 4 · STAN 6 · DE7 10 · DE32 11 · DE33 11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OriginalData {
    /// Authorisation or financial.
    pub(super) class: MessageClass,
    /// DE11 of the original.
    pub(super) stan: Stan,
    /// DE7 of the original; zeros say that it is unknown, and DE56 has none.
    pub(super) transmitted: Option<TransmissionTime>,
    /// DE12 of the original without its year; DE90 has none.
    pub(super) local: Text<10>,
}

/// What a reversal says of its original, if it says what its edition says.
pub(super) fn of(message: MessageRef<'_>) -> Option<OriginalData> {
    let mut scratch = [0; TEXT_LEN_MAX];
    let number = field_of(message.dialect().version());
    let field = message.decode(number, &mut scratch)?;
    if number == 56 {
        OriginalData::read_1993(field)
    } else {
        OriginalData::read(field)
    }
}

impl OriginalData {
    /// The same for what completes it: DE37 is that of both.
    pub(super) const fn reference(self, rrn: Rrn) -> OriginalReference {
        OriginalReference {
            stan: self.stan,
            class: Some(self.class),
            transmitted: self.transmitted,
            rrn,
        }
    }

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
            local: Text::EMPTY,
        })
    }

    /// DE56: MTI 4 · STAN 6 · DE12 12 · length 2 and DE32. The institution is no check.
    fn read_1993(field: &[u8]) -> Option<Self> {
        let (mti, rest) = field.split_first_chunk::<4>()?;
        let (stan, rest) = rest.split_first_chunk::<6>()?;
        let (local, _) = rest.split_first_chunk::<12>()?;
        let mti = Mti::new(*mti)?;
        let class = match (mti.version(), mti.class()) {
            (Version::Iso1993, Class::Authorisation) => MessageClass::Authorisation,
            (Version::Iso1993, Class::Financial) => MessageClass::Financial,
            _ => return None,
        };
        let local = local.last_chunk::<10>()?;
        Some(Self {
            class,
            stan: Stan::from_digits(stan).ok()?,
            transmitted: None,
            local: Text::new("DE56", local).ok()?,
        })
    }
}

/// Names what is completed as its issuer knows it: in DE90, in 1993 in DE56 with the year that puts
/// the original nearest to `near`.
pub(super) fn put_completed(
    writer: &mut Writer<'_>,
    completed: &Completed,
    institutions: [&InstitutionId; 2],
    near: WallTime,
) -> Result<(), WriteError> {
    let (named, stan) = ((completed.class, completed.kind), completed.stan);
    if field_of(writer.dialect().version()) == 56 {
        let [acquiring, _] = institutions;
        let local = across::dated(completed.local, near);
        let original = original_data_1993(named, stan, &local, acquiring);
        return writer.put(56, original.as_bytes());
    }
    let original = original_data(named, stan, completed.transmitted, institutions);
    writer.put(90, &original)
}

/// Which field has the original data elements.
pub(super) const fn field_of(version: Version) -> u8 {
    match version {
        Version::Iso1993 | Version::Iso2003 => 56,
        Version::Iso1987 | Version::National | Version::Private | Version::Reserved => 90,
    }
}

/// DE56 as njia sends it, with the values of the leg to the issuer. `local` is DE12 of the
/// original.
pub(super) fn original_data_1993(
    original: (MessageClass, MessageKind),
    stan: Stan,
    local: &[u8; 12],
    acquiring: &InstitutionId,
) -> Text<35> {
    let mti = mti_of(original).in_version(Version::Iso1993);
    let institution = acquiring.as_bytes();
    let institution = if institution.iter().all(u8::is_ascii_digit) {
        institution
    } else {
        &[]
    };
    let len: [u8; 2] = digits_of(u64::try_from(institution.len()).unwrap_or(0));
    let stan = stan.digits();
    let head = mti.as_bytes().iter().chain(&stan).chain(local);
    let mut field = [0; 35];
    let mut at = 0_usize;
    for (slot, part) in field.iter_mut().zip(head.chain(&len).chain(institution)) {
        *slot = *part;
        at = at.saturating_add(1);
    }
    Text::new("DE56", field.get(..at).unwrap_or_default()).unwrap_or(Text::EMPTY)
}

/// The field as njia sends it, with the values of the leg to the issuer.
pub(super) fn original_data(
    original: (MessageClass, MessageKind),
    stan: Stan,
    transmitted: TransmissionTime,
    institutions: [&InstitutionId; 2],
) -> [u8; 42] {
    let mti = mti_of(original);
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

/// The type of an original as first sent.
const fn mti_of(original: (MessageClass, MessageKind)) -> Mti {
    match original {
        (MessageClass::Authorisation, MessageKind::Request) => Mti::AUTHORISATION_REQUEST,
        (MessageClass::Authorisation, MessageKind::Completion) => Mti::AUTHORISATION_COMPLETION,
        (MessageClass::Authorisation, MessageKind::Advice) => Mti::AUTHORISATION_ADVICE,
        (MessageClass::Financial, MessageKind::Request) => Mti::FINANCIAL_REQUEST,
        (MessageClass::Financial, MessageKind::Completion) => Mti::FINANCIAL_COMPLETION,
        (MessageClass::Financial, MessageKind::Advice) => Mti::FINANCIAL_ADVICE,
    }
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
