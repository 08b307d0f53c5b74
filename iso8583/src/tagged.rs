//! Sub-elements of an id, a length and a value, one after the other, as private fields hold them:
//! DE48 and DE60 to 63. How they are written differs from network to network: a [`Layout`] is data
//! of the dialect.
//!
//! An id may stand more than once and a value may be empty. Unknown ids are kept in their order.

mod form;
#[cfg(test)]
mod tests;

use crate::rest::Rest;
pub use form::{Form, ID_LEN_MAX, Id};

/// How the sub-elements of a field are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Bytes before the first sub-element: 1 on a Mastercard link, whose DE48 begins with the
    /// category of the transaction.
    pub lead: u8,
    /// Characters of an id; digits when packed, bytes when binary.
    pub id_len: u8,
    /// How an id is written.
    pub id_form: Form,
    /// Digits of a length; bytes when binary, big-endian.
    pub len_len: u8,
    /// How a length is written.
    pub len_form: Form,
    /// What a length counts, in bytes.
    pub len_counts: LenCounts,
}

/// What the length of a sub-element counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LenCounts {
    /// The value.
    Value,
    /// The bytes of the id and those of the value.
    IdAndValue,
}

impl Layout {
    /// Whether there can be sub-elements of this layout: an id of one to [`ID_LEN_MAX`] characters,
    /// two of which are a byte when binary, and a length of one to four digits or bytes. A field of
    /// another layout is read as one that is at fault.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        let id_chars = self.id_form.chars(self.id_len as usize);
        id_chars >= 1 && id_chars <= ID_LEN_MAX && self.len_len >= 1 && self.len_len <= LEN_LEN_MAX
    }

    /// The sub-elements of a field.
    #[must_use]
    pub fn sub_elements(self, field: &[u8]) -> SubElements<'_> {
        SubElements {
            layout: self,
            rest: Rest::of(field),
            at_lead: true,
        }
    }

    /// Whether a field is sub-elements of this layout behind its lead.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(self, field: &[u8]) -> Result<(), TaggedError> {
        let mut sub_elements = self.sub_elements(field);
        sub_elements.find_map(Result::err).map_or(Ok(()), Err)
    }

    /// The value of the first sub-element with this id, which is written as [`Id`] shows it. Behind
    /// a fault nothing is found.
    #[must_use]
    pub fn find<'a>(self, field: &'a [u8], id: &[u8]) -> Option<&'a [u8]> {
        self.sub_elements(field)
            .map_while(Result::ok)
            .find(|sub_element| sub_element.id.as_bytes() == id)
            .map(|sub_element| sub_element.value)
    }

    /// Writes a sub-element at the start of `out`; returns the bytes written. The lead is for the
    /// caller to write. `None` when `out` is too small, the id does not suit the layout, or the
    /// length cannot be said in it; what `out` then holds means nothing.
    #[must_use]
    pub fn put(self, out: &mut [u8], id: &[u8], value: &[u8]) -> Option<usize> {
        if !self.is_possible() {
            return None;
        }
        let (id_out, from_len) = out.split_at_mut_checked(self.id_bytes())?;
        let (len_out, from_value) = from_len.split_at_mut_checked(self.len_bytes())?;
        let (id_bytes, len_bytes) = (id_out.len(), len_out.len());
        self.id_form.put_id(id, usize::from(self.id_len), id_out)?;
        let len = match self.len_counts {
            LenCounts::Value => value.len(),
            LenCounts::IdAndValue => value.len().checked_add(id_bytes)?,
        };
        self.len_form
            .put_number(len, usize::from(self.len_len), len_out)?;
        from_value.get_mut(..value.len())?.copy_from_slice(value);
        id_bytes.checked_add(len_bytes)?.checked_add(value.len())
    }

    const fn id_bytes(self) -> usize {
        self.id_form.bytes(self.id_len as usize)
    }

    const fn len_bytes(self) -> usize {
        self.len_form.bytes(self.len_len as usize)
    }
}

/// One sub-element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SubElement<'a> {
    /// Its id.
    pub id: Id,
    /// Where its id begins: bytes from the start of the field.
    pub offset: u32,
    /// What it holds, as it was received.
    pub value: &'a [u8],
    /// Id, length and value: the lead and then the sub-elements side by side are the field.
    pub bytes: &'a [u8],
}

impl core::fmt::Debug for SubElement<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}[{} bytes]", self.id, self.value.len())
    }
}

/// Sub-elements in order; ends after the first fault.
#[derive(Clone)]
pub struct SubElements<'a> {
    layout: Layout,
    rest: Rest<'a>,
    at_lead: bool,
}

impl<'a> SubElements<'a> {
    /// Goes past what stands before the first sub-element.
    fn pass_lead(&mut self) -> Result<(), TaggedError> {
        let lead = usize::from(self.layout.lead);
        let fault = |rule| TaggedError { offset: 0, rule };
        if !self.layout.is_possible() {
            return Err(fault(TaggedRule::Layout));
        }
        if self.rest.bytes.len() < lead {
            return Err(fault(TaggedRule::Truncated));
        }
        if lead > 0 {
            self.rest.pass(lead);
        }
        Ok(())
    }

    fn first(&self) -> Result<SubElement<'a>, TaggedError> {
        let layout = self.layout;
        let fault = |from, rule| TaggedError {
            offset: self.rest.offset_of(from),
            rule,
        };
        let from_id = self.rest.bytes;
        let Some((id_bytes, from_len)) = from_id.split_at_checked(layout.id_bytes()) else {
            return Err(fault(from_id, TaggedRule::Truncated));
        };
        let id = layout.id_form.id(id_bytes, usize::from(layout.id_len));
        let id = id.ok_or_else(|| fault(from_id, TaggedRule::Id))?;
        let Some((len_bytes, from_value)) = from_len.split_at_checked(layout.len_bytes()) else {
            return Err(fault(from_len, TaggedRule::Truncated));
        };
        let counted = layout
            .len_form
            .number(len_bytes, usize::from(layout.len_len));
        let not_value = match layout.len_counts {
            LenCounts::Value => 0,
            LenCounts::IdAndValue => id_bytes.len(),
        };
        let len = counted.and_then(|counted| counted.checked_sub(not_value));
        let len = len.ok_or_else(|| fault(from_len, TaggedRule::Length))?;
        let Some((value, behind)) = from_value.split_at_checked(len) else {
            return Err(fault(from_value, TaggedRule::Truncated));
        };
        Ok(SubElement {
            id,
            offset: self.rest.offset_of(from_id),
            value,
            bytes: self.rest.up_to(behind),
        })
    }
}

impl<'a> Iterator for SubElements<'a> {
    type Item = Result<SubElement<'a>, TaggedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if core::mem::take(&mut self.at_lead)
            && let Err(error) = self.pass_lead()
        {
            self.rest.stop();
            return Some(Err(error));
        }
        if self.rest.bytes.is_empty() {
            return None;
        }
        let read = self.first();
        match &read {
            Ok(sub_element) => self.rest.pass(sub_element.bytes.len()),
            Err(_) => self.rest.stop(),
        }
        Some(read)
    }
}

impl core::fmt::Debug for SubElements<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SubElements[{} bytes]", self.rest.bytes.len())
    }
}

/// Why a field is no sub-elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sub-element at offset {offset}: {rule}")]
pub struct TaggedError {
    /// Bytes from the start of the field: to the part that is ill-formed, to the first byte of the
    /// part that is cut.
    pub offset: u32,
    /// What does not hold.
    pub rule: TaggedRule,
}

/// What must hold of a sub-element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TaggedRule {
    /// The layout is one that can be: [`Layout::is_possible`].
    #[error("there are no sub-elements of this layout")]
    Layout,
    /// It ends where the field ends, or before.
    #[error("it is longer than the field")]
    Truncated,
    /// The id is letters and digits; digits when packed; any bytes when binary.
    #[error("the id has a character outside its form")]
    Id,
    /// The length is digits, and not less than what it counts besides the value.
    #[error("the length is not numeric, or shorter than the id that it counts")]
    Length,
}

/// More than the longest field needs.
const LEN_LEN_MAX: u8 = 4;
