//! Message authentication codes in DE64 or DE128: what they cover, and where they stand.
//!
//! ```text
//! MTI │ bitmaps, with the bit of the MAC │ fields … │ MAC
//! ╰────────────────── covered ─────────────────────╯
//! ```
//!
//! A MAC covers the bytes of a message as they came or as they leave, never those of a message that
//! was written again. It is the last field: DE64 where no field is above 64, else DE128. A DE64
//! with fields behind it is no MAC, for anyone could change those fields; and a message with a
//! field above 128 can have none. Keys and algorithms are behind [`MacEngine`].

use crate::dialect::Dialect;
use crate::error::{MacError, MacRule, ParseError, WriteError};
use crate::message::{FieldIndex, MessageRef};
use crate::mti::Mti;
use crate::writer::Writer;

/// Bytes of DE64 and of DE128.
pub const MAC_LEN: usize = 8;

/// Makes and checks MACs under a key that it holds, for one direction of one endpoint.
pub trait MacEngine {
    /// The value of the field over `covered`: a MAC of [`MAC_LEN`] bytes, or a shorter one with
    /// zeros behind it.
    fn compute(&self, covered: &[u8]) -> [u8; MAC_LEN];

    /// Whether `received` is the value of the field over `covered`, in a time that does not tell
    /// where the two differ.
    fn verify(&self, covered: &[u8], received: &[u8; MAC_LEN]) -> bool;
}

/// Checks the MAC of a message that was read without a fault.
///
/// # Errors
/// [`MacRule::Missing`]; [`MacRule::NotLast`] for a DE64 or DE128 that anything follows, so also
/// for one in a message with fields above 128; [`MacRule::Wrong`].
pub fn verify(message: MessageRef<'_>, engine: &impl MacEngine) -> Result<(), MacError> {
    let (field, covered) = split(message)?;
    let mut scratch = [0; MAC_LEN];
    let received = message.decode(field, &mut scratch);
    let received = received.and_then(|value| value.try_into().ok());
    match received {
        Some(received) if engine.verify(covered, received) => Ok(()),
        _ => Err(MacRule::Wrong.of(field)),
    }
}

/// Appends a MAC to the message that fills the first `len` bytes of `out`, and says how long it is
/// then. A message that gets none is left as it was.
///
/// # Errors
/// The buffer is full; [`WriteError::Order`] for a message that has a MAC;
/// [`WriteError::BehindMac`] for one with a field above 128; [`WriteError::Undefined`],
/// [`WriteError::Length`] or [`WriteError::Content`] for a dialect that does not carry one, or for
/// what is no message of it, or has an empty bitmap, which [`Writer`] never writes.
pub fn append(
    dialect: &'static Dialect,
    engine: &impl MacEngine,
    out: &mut [u8],
    len: usize,
) -> Result<usize, WriteError> {
    let mut index = FieldIndex::new();
    let message = out.get(..len).ok_or(WriteError::Full)?;
    let no_message = |error: ParseError| WriteError::Content(error.field);
    dialect.parse(message, &mut index).map_err(no_message)?;
    if let Some(behind) = index.present().above(LAST_PLACE).first() {
        return Err(WriteError::BehindMac(behind));
    }
    let field = place(MessageRef::new(message, &index));
    let put = |out: &mut [u8], mac: &[u8; MAC_LEN]| {
        let empty_bitmap = WriteError::Content(1);
        let mut writer = Writer::resume(&index, len, out).ok_or(empty_bitmap)?;
        writer.put(field, mac)?;
        writer.finish()
    };
    // The bit of the MAC is covered, so it is set before there is one.
    put(out, &[0; MAC_LEN])?;
    let mac = engine.compute(out.get(..len).ok_or(WriteError::Full)?);
    put(out, &mac)
}

/// Whether messages of the dialect can have a MAC, in DE64 and in DE128, and no answer repeats a
/// field above 128. A single message with such a field has none all the same, as [`append`] says.
#[must_use]
pub fn is_carried_by(dialect: &'static Dialect) -> bool {
    let repeated = [dialect.echo(), dialect.replay()];
    let mut out = [0; 128];
    let mut writer = Writer::new(dialect, Mti::NETWORK_REQUEST, &mut out);
    let mut is_put = |field| writer.put(field, &[0; MAC_LEN]).is_ok();
    is_put(64)
        && is_put(LAST_PLACE)
        && repeated.map(|fields| fields.above(LAST_PLACE).is_empty()) == [true; 2]
}

/// The field of the MAC, and all bytes before it.
fn split(message: MessageRef<'_>) -> Result<(u8, &[u8]), MacError> {
    let field = place(message);
    let Some(extent) = message.extent(field) else {
        // What is wrong with a DE64 among others is its place.
        let stray = message.present().contains(64);
        let error = if stray {
            MacRule::NotLast.of(64)
        } else {
            MacRule::Missing.of(field)
        };
        return Err(error);
    };
    let (covered, mac) = message
        .bytes()
        .split_at_checked(extent.start)
        .ok_or_else(|| MacRule::Missing.of(field))?;
    // Bytes behind the MAC would be covered by nothing.
    if mac.len() != extent.len() {
        return Err(MacRule::NotLast.of(field));
    }
    Ok((field, covered))
}

/// The field that a MAC stands in, or must stand in. A DE64 that nothing follows is one although
/// the message has a second bitmap, which is empty then.
fn place(message: MessageRef<'_>) -> u8 {
    match message.present().last() {
        Some(last) if last > 64 => LAST_PLACE,
        _ => 64,
    }
}

const LAST_PLACE: u8 = 128;

#[cfg(test)]
mod tests;
