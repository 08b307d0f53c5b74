//! Network management: sign-on, sign-off, echo, key change, cut-over (semantics.md §7). What is
//! meant stands in DE70 of a message of 1987, in DE24 of one of 1993.

pub use domain::network::NetworkKind;

use domain::ids::Stan;
use domain::network::SettlementDate;
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime, digits_of};

use crate::dialect::Dialect;
use crate::error::{FormatError, WriteError};
use crate::field::Length;
use crate::message::MessageRef;
use crate::mti::{Class, Mti, Version};
use crate::writer::Writer;

/// Three digits that say what a network message is about.
pub type NetworkCode = [u8; 3];

/// What the codes of network messages mean at one endpoint. Of each kind the first code is sent and
/// all are read; a code that the endpoint does not name means what it means elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkCodes {
    kinds: [CodeList; NetworkKind::NAMED.len()],
}

/// The codes of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CodeList {
    codes: [NetworkCode; NetworkCodes::EACH_MAX],
    len: usize,
}

impl CodeList {
    const EMPTY: Self = Self {
        codes: [[0; 3]; NetworkCodes::EACH_MAX],
        len: 0,
    };

    const fn of(code: NetworkCode) -> Self {
        Self {
            codes: [code, [0; 3], [0; 3], [0; 3]],
            len: 1,
        }
    }

    fn as_slice(&self) -> &[NetworkCode] {
        self.codes.get(..self.len).unwrap_or_default()
    }
}

impl NetworkCodes {
    /// Codes that one kind may have.
    pub const EACH_MAX: usize = 4;

    /// 001, 002, 301, 101, 201, 202.
    pub const GENERIC: Self = Self::sent([*b"001", *b"002", *b"301", *b"101", *b"201", *b"202"]);
    /// As Visa and UnionPay have them.
    pub const VISA: Self = Self::sent([*b"071", *b"072", *b"301", *b"101", *b"201", *b"202"]);
    /// As Mastercard has them.
    pub const MASTERCARD: Self = Self::sent([*b"061", *b"062", *b"270", *b"161", *b"201", *b"202"]);
    /// The function codes of 1993.
    pub const ISO93: Self = Self::sent([*b"801", *b"802", *b"831", *b"811", *b"821", *b"822"]);

    const fn sent(codes: [NetworkCode; NetworkKind::NAMED.len()]) -> Self {
        let [a, b, c, d, e, f] = codes;
        Self {
            kinds: [
                CodeList::of(a),
                CodeList::of(b),
                CodeList::of(c),
                CodeList::of(d),
                CodeList::of(e),
                CodeList::of(f),
            ],
        }
    }

    /// `generic`, `visa` or `mastercard`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "generic" => Some(Self::GENERIC),
            "visa" => Some(Self::VISA),
            "mastercard" => Some(Self::MASTERCARD),
            _ => None,
        }
    }

    /// What a dialect has when its endpoint says nothing else.
    #[must_use]
    pub fn of(dialect: &Dialect) -> Self {
        match network_field(dialect) {
            Some(FUNCTION_CODE) => Self::ISO93,
            _ => Self::GENERIC,
        }
    }

    /// The same with these codes for one kind. At most [`NetworkCodes::EACH_MAX`] are kept; none,
    /// or [`NetworkKind::Other`], changes nothing.
    #[must_use]
    pub fn with(mut self, kind: NetworkKind, codes: &[NetworkCode]) -> Self {
        let mut list = CodeList::EMPTY;
        for (slot, code) in list.codes.iter_mut().zip(codes) {
            *slot = *code;
            list.len = list.len.saturating_add(1);
        }
        let slot = kind.position().and_then(|place| self.kinds.get_mut(place));
        if let Some(slot) = slot.filter(|_| list.len > 0) {
            *slot = list;
        }
        self
    }

    /// What a code means here.
    #[must_use]
    pub fn kind(&self, code: NetworkCode) -> NetworkKind {
        let own = NetworkKind::NAMED.into_iter().zip(&self.kinds);
        let mut own = own.filter(|(_, list)| list.as_slice().contains(&code));
        own.next().map_or_else(|| known(code), |(kind, _)| kind)
    }

    /// The code that is sent; `None` for [`NetworkKind::Other`].
    #[must_use]
    pub fn code(&self, kind: NetworkKind) -> Option<NetworkCode> {
        let list = self.kinds.get(kind.position()?)?;
        list.as_slice().first().copied()
    }
}

/// What a code means in the families of semantics.md §7; none of them means two things.
const fn known(code: NetworkCode) -> NetworkKind {
    match &code {
        b"001" | b"071" | b"061" | b"801" => NetworkKind::SignOn,
        b"002" | b"072" | b"062" | b"802" => NetworkKind::SignOff,
        b"301" | b"270" | b"003" | b"831" => NetworkKind::Echo,
        b"101" | b"160" | b"161" | b"162" | b"811" => NetworkKind::KeyChange,
        b"201" | b"821" => NetworkKind::CutOver,
        b"202" | b"822" => NetworkKind::CutOverEnd,
        _ => NetworkKind::Other,
    }
}

/// Where the messages of a dialect say what they are about: DE24 where answers have an action code
/// of three digits, as from 1993 on, else DE70. `None` when it has no such field.
#[must_use]
pub fn network_field(dialect: &Dialect) -> Option<u8> {
    let is_three = |number: u8| {
        let row = dialect.field(number);
        row.is_some_and(|row| row.length == Length::Fixed(3))
    };
    let number = if is_three(39) {
        FUNCTION_CODE
    } else {
        MANAGEMENT_CODE
    };
    is_three(number).then_some(number)
}

/// Where a message says what it is about, by its version.
const fn field_of(mti: Mti) -> u8 {
    if has_action_code(mti) {
        FUNCTION_CODE
    } else {
        MANAGEMENT_CODE
    }
}

/// Whether its version has function codes and action codes of three digits.
const fn has_action_code(mti: Mti) -> bool {
    match mti.version() {
        Version::Iso1993 | Version::Iso2003 => true,
        Version::Iso1987 | Version::National | Version::Private | Version::Reserved => false,
    }
}

/// Reads what an 08xx is about, request or response.
///
/// # Errors
/// DE70 (1993: DE24) or DE11 is missing; 0 when the message is of another class.
pub fn network(message: MessageRef<'_>, codes: &NetworkCodes) -> Result<NetworkKind, FormatError> {
    if message.mti().class() != Class::Network {
        return Err(FormatError { field: 0 });
    }
    super::stan(message)?;
    let field = field_of(message.mti());
    let code = message.array(field).ok_or(FormatError { field })?;
    Ok(codes.kind(code))
}

/// Whether the answer to a network message says yes: 00, or 8xx and 0xx of 1993.
#[must_use]
pub fn network_accepted(message: MessageRef<'_>) -> bool {
    let mut scratch = [0; 4];
    match message.decode(39, &mut scratch) {
        Some(b"00" | b"800") => true,
        Some([b'0', _, _]) => true,
        Some(_) | None => false,
    }
}

/// The business day that a cut-over begins (DE15), when it says.
#[must_use]
pub fn settlement_date(message: MessageRef<'_>, now: WallTime) -> Option<SettlementDate> {
    let mut scratch = [0; 8];
    let digits = message.decode(15, &mut scratch)?;
    SettlementDate::from_digits(digits, now).ok()
}

/// A network message that njia sends first.
#[derive(Clone, Copy, Debug)]
pub struct NetworkRequest {
    /// DE70, or DE24 of 1993.
    pub code: NetworkCode,
    /// DE11.
    pub stan: Stan,
    /// DE7; of 1993 DE12 too.
    pub at: WallTime,
}

/// Writes an 0800 with DE7, DE11 and DE70; of 1993 an 1804 with DE7, DE11, DE12 and DE24.
///
/// # Errors
/// The buffer is full; [`WriteError::Undefined`] (70) for a dialect that has no code for it.
pub fn write_network(
    dialect: &'static Dialect,
    request: &NetworkRequest,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let field = network_field(dialect).ok_or(WriteError::Undefined(MANAGEMENT_CODE))?;
    let is_1993 = field == FUNCTION_CODE;
    let mti = if is_1993 {
        Mti::NETWORK_REQUEST_1993
    } else {
        Mti::NETWORK_REQUEST
    };
    let mut writer = Writer::new(dialect, mti, out);
    if dialect.field(7).is_some() {
        writer.put(7, &TransmissionTime::at(request.at).digits())?;
    }
    writer.put(11, &request.stan.digits())?;
    if is_1993 {
        writer.put(12, &local_time(request.at))?;
    }
    writer.put(field, &request.code)?;
    writer.finish()
}

/// DE12 of 1993: `YYMMDDhhmmss`.
pub(super) fn local_time(at: WallTime) -> [u8; 12] {
    let year = u64::from(at.civil().year % 100);
    let rest = u64::from(TransmissionTime::at(at).as_number());
    digits_of(year.saturating_mul(10_000_000_000).saturating_add(rest))
}

/// Why a network message is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkRefusal {
    /// 30 (904): a field that it needs is missing or ill-formed.
    Format,
    /// 12 (902): not a thing that is done on this connection.
    NotServed,
    /// 63 (916): a key that cannot be what it says.
    Security,
    /// 96 (909): not at the moment.
    Busy,
}

impl NetworkRefusal {
    /// DE39: two characters, or the action code of three that came in 1993.
    const fn code(self, mti: Mti) -> &'static [u8] {
        match (self, has_action_code(mti)) {
            (Self::Format, false) => b"30",
            (Self::Format, true) => b"904",
            (Self::NotServed, false) => b"12",
            (Self::NotServed, true) => b"902",
            (Self::Security, false) => b"63",
            (Self::Security, true) => b"916",
            (Self::Busy, false) => b"96",
            (Self::Busy, true) => b"909",
        }
    }
}

/// Answers a network message with 00 (1993: 800): its echo fields, DE7, DE11, and DE70 (DE24) where
/// the request has them.
///
/// # Errors
/// The buffer is full, or the message is not one that is answered.
pub fn write_network_answer(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let code: &[u8] = if has_action_code(request.mti()) {
        b"800"
    } else {
        ResponseCode::APPROVED.as_bytes()
    };
    write_told(dialect, request, code, out)
}

/// As [`write_network_answer`], with a no.
///
/// # Errors
/// As [`write_network_answer`].
pub fn write_network_refusal(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    refusal: NetworkRefusal,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    write_told(dialect, request, refusal.code(request.mti()), out)
}

fn write_told(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    code: &[u8],
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mti = request.mti().response().ok_or(WriteError::NotAnswerable)?;
    let mut writer = Writer::new(dialect, mti, out);
    let echoed = dialect
        .echo()
        .with(7)
        .with(11)
        .with(field_of(request.mti()));
    for number in echoed.intersection(request.present()).with(39) {
        match number {
            39 => writer.put(39, code)?,
            _ => writer.copy(number, request)?,
        }
    }
    writer.finish()
}

/// DE70 of 1987.
const MANAGEMENT_CODE: u8 = 70;
/// DE24 of 1993.
const FUNCTION_CODE: u8 = 24;

#[cfg(test)]
mod tests;
