//! What a value refuses to be made from.

use thiserror::Error;

/// A value that its type does not admit. Carries the name of the type, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidValue {
    /// A character outside the type's alphabet.
    #[error("{0}: a character is not allowed here")]
    Character(&'static str),
    /// Too short or too long.
    #[error("{0}: the length is outside its bounds")]
    Length(&'static str),
    /// In the right alphabet, but outside the type's range.
    #[error("{0}: the value is out of range")]
    Range(&'static str),
}
