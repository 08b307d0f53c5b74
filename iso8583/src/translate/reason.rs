//! Why a message was sent: which field of a dialect says so, and how that is read and written
//! (semantics.md §3.5). Only four digits are a reason; subfields of other networks are not.

use domain::message_reason::MessageReason;

use crate::bitmap::Bitmap;
use crate::class::Class;
use crate::composite::Composite;
use crate::dialect::Dialect;
use crate::error::WriteError;
use crate::field::{Length, Sensitivity};
use crate::message::MessageRef;
use crate::mti::Version;
use crate::writer::Writer;

/// The field of an endpoint that holds message reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonField(u8);

impl ReasonField {
    /// What may be one, in ascending order. DE56 of 1993 names the original.
    pub const NUMBERS: [u8; 3] = [25, 56, 60];

    /// Where the dialect itself says that messages give their reason: DE25 in 1993; in 1987 a DE56
    /// that has room for four digits and no more, as Postilion's.
    #[must_use]
    pub fn of_dialect(dialect: &Dialect) -> Option<Self> {
        let is_1993 = dialect.version() == Version::Iso1993;
        let number = if is_1993 { 25 } else { 56 };
        let row = dialect.field(number)?;
        let is_exact = match row.length {
            Length::Fixed(len) => len == 4,
            Length::Var { max, .. } => max == 4,
        };
        // What is read here is journaled.
        let is_public = row.sensitivity == Sensitivity::Public;
        (is_exact && is_public && row.class == Class::N).then_some(Self(number))
    }

    /// A field that an endpoint names; `None` where its dialect has no room for four digits there,
    /// or has something else there.
    #[must_use]
    pub fn new(dialect: &Dialect, number: u8) -> Option<Self> {
        let names_original = dialect.version() == Version::Iso1993 && number == 56;
        let holds = dialect.field(number).is_some_and(|row| {
            let is_text = matches!(row.class, Class::N | Class::An | Class::Ans);
            // What is read here is journaled: never where a verification value may stand.
            let is_public = row.sensitivity == Sensitivity::Public;
            is_text && is_public && row.composite == Composite::Opaque && row.has_length(4)
        });
        let may_be = Self::NUMBERS.contains(&number) && !names_original;
        (holds && may_be).then_some(Self(number))
    }

    /// The number of its data element.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Why a message was sent, if it says so in four digits.
#[must_use]
pub fn reason(message: MessageRef<'_>, field: Option<ReasonField>) -> Option<MessageReason> {
    let mut digits = [0; 8];
    let value = message.decode(field?.number(), &mut digits)?;
    MessageReason::read(value).ok()
}

/// Whether one of `kept` looks like a reason, whatever it is.
pub(super) fn may_be_taken_for_one(message: MessageRef<'_>, kept: Bitmap) -> bool {
    let mut numbers = ReasonField::NUMBERS.into_iter();
    numbers
        .any(|number| kept.contains(number) && reason(message, Some(ReasonField(number))).is_some())
}

pub(super) fn put_if(
    writer: &mut Writer<'_>,
    said: Option<(ReasonField, MessageReason)>,
) -> Result<(), WriteError> {
    match said {
        Some((field, reason)) => writer.put(field.number(), &reason.digits()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
