//! What a field holds besides characters: elements, sub-fields, sub-bitmaps (semantics.md §10).

use crate::dialect::Dialect;

/// What the value of a field holds. A message is read without opening it: whoever needs a part asks
/// for it, and what nobody configured passes through byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Composite {
    /// Nothing that is known.
    Opaque,
    /// A row of BER-TLV elements.
    Tlv,
    /// Sub-fields behind a bitmap of their own.
    Bitmapped(&'static Dialect),
    /// Sub-fields one after the other, as many as there are bytes for.
    Positional(&'static Dialect),
}
