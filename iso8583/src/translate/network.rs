//! Network management: sign-on, sign-off, echo (semantics.md §7).

use domain::ids::Stan;
use domain::response_code::ResponseCode;
use domain::time::TransmissionTime;

use crate::dialect::Dialect;
use crate::error::{FormatError, WriteError};
use crate::message::MessageRef;
use crate::mti::{Class, Mti};
use crate::writer::Writer;

/// What a network message asks (DE70).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkKind {
    /// 001; 071 and 061 are read alike.
    SignOn,
    /// 002; 072 and 062 are read alike.
    SignOff,
    /// 301; 270 and 003 are read alike.
    Echo,
    /// 201: the settlement date changes.
    CutOver,
    /// Any other: key change and what networks add.
    Other,
}

impl NetworkKind {
    const fn of(code: &[u8]) -> Self {
        match code {
            b"001" | b"071" | b"061" => Self::SignOn,
            b"002" | b"072" | b"062" => Self::SignOff,
            b"301" | b"270" | b"003" => Self::Echo,
            b"201" => Self::CutOver,
            _ => Self::Other,
        }
    }

    /// DE70 as njia sends it; `None` for what it never sends.
    const fn code(self) -> Option<&'static [u8; 3]> {
        match self {
            Self::SignOn => Some(b"001"),
            Self::SignOff => Some(b"002"),
            Self::Echo => Some(b"301"),
            Self::CutOver | Self::Other => None,
        }
    }
}

/// Reads DE70 of an 08xx, request or response.
///
/// # Errors
/// DE70 or DE11 is missing; 0 when the message is of another class.
pub fn network(message: MessageRef<'_>) -> Result<NetworkKind, FormatError> {
    if message.mti().class() != Class::Network {
        return Err(FormatError { field: 0 });
    }
    super::stan(message)?;
    let mut scratch = [0; 3];
    let code = message.decode(70, &mut scratch);
    Ok(NetworkKind::of(code.ok_or(FormatError { field: 70 })?))
}

/// Writes an 0800 with DE7, DE11 and DE70.
///
/// # Errors
/// The buffer is full; [`WriteError::Undefined`] (70) for a kind that njia never sends.
pub fn write_network(
    dialect: &'static Dialect,
    kind: NetworkKind,
    stan: Stan,
    transmitted: TransmissionTime,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let code = kind.code().ok_or(WriteError::Undefined(70))?;
    let mut writer = Writer::new(dialect, Mti::NETWORK_REQUEST, out);
    writer.put(7, &transmitted.digits())?;
    writer.put(11, &stan.digits())?;
    writer.put(70, code)?;
    writer.finish()
}

/// Answers an 0800 with 00: the request's echo fields, DE39, and DE70 where the request has it.
///
/// # Errors
/// The buffer is full, or the message is not one that is answered.
pub fn write_network_answer(
    dialect: &'static Dialect,
    request: MessageRef<'_>,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mti = request.mti().response().ok_or(WriteError::NotAnswerable)?;
    let mut writer = Writer::new(dialect, mti, out);
    let echo = dialect.echo().with(70).intersection(request.present());
    for number in echo.with(39) {
        match number {
            39 => writer.put(39, ResponseCode::APPROVED.as_bytes())?,
            _ => writer.copy(number, request)?,
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests;
