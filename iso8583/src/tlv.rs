//! BER-TLV, as DE55 carries it: elements in the order in which they stand, unknown tags included.
//! Tags of at most four bytes, lengths of at most two behind 81 or 82, no indefinite length.

/// One element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The tag's bytes as a number: 0x9F36, 0x57.
    pub tag: u32,
    /// What it holds.
    pub value: &'a [u8],
    /// Tag, length and value.
    pub bytes: &'a [u8],
}

impl Element<'_> {
    /// Whether the value is itself a row of elements.
    #[must_use]
    pub fn is_constructed(&self) -> bool {
        self.bytes
            .first()
            .is_some_and(|first| first & CONSTRUCTED != 0)
    }
}

impl core::fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:X}[{} bytes]", self.tag, self.value.len())
    }
}

/// The bytes are no row of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a row of tags, lengths and values")]
pub struct Malformed;

/// The elements of `bytes`. Constructed ones are not opened.
#[must_use]
pub const fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements(bytes)
}

/// Elements in order; ends after the first fault.
#[derive(Clone)]
pub struct Elements<'a>(&'a [u8]);

impl core::fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Elements[{} bytes]", self.0.len())
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((element, rest)) = split(self.0) else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        debug_assert!(rest.len() < self.0.len(), "every step goes on");
        self.0 = rest;
        Some(Ok(element))
    }
}

fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (tag, rest) = split_tag(bytes)?;
    let (len, rest) = split_len(rest)?;
    let (value, rest) = rest.split_at_checked(len)?;
    let bytes = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
    Some((Element { tag, value, bytes }, rest))
}

/// The second byte and those after it say with their top bit whether one more follows.
fn split_tag(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut tag = u32::from(*first);
    let mut more = first & LOW_TAG_BITS == LOW_TAG_BITS;
    let mut len = 1_u8;
    while more {
        let (byte, behind) = rest.split_first()?;
        if len == TAG_LEN_MAX {
            return None;
        }
        tag = (tag << 8) | u32::from(*byte);
        more = byte & MORE != 0;
        rest = behind;
        len = len.wrapping_add(1);
    }
    Some((tag, rest))
}

fn split_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [len @ 0..=0x7F, rest @ ..] => Some((usize::from(*len), rest)),
        [0x81, len, rest @ ..] => Some((usize::from(*len), rest)),
        [0x82, high, low, rest @ ..] => {
            Some((usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => None,
    }
}

const CONSTRUCTED: u8 = 0x20;
const LOW_TAG_BITS: u8 = 0x1F;
const MORE: u8 = 0x80;
const TAG_LEN_MAX: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[track_caller]
    fn check(bytes: &[u8], expected: &[(u32, &[u8])]) {
        let read: Vec<_> = elements(bytes).map(|element| element.unwrap()).collect();
        let plain: Vec<_> = read
            .iter()
            .map(|element| (element.tag, element.value))
            .collect();
        assert_eq!(plain, expected);
        let again: Vec<u8> = read
            .iter()
            .flat_map(|element| element.bytes)
            .copied()
            .collect();
        assert_eq!(again, bytes, "nothing is lost between the elements");
    }

    #[test]
    fn tags_of_one_to_four_bytes_and_all_lengths() {
        check(&[0x91, 2, 0xAA, 0xBB], &[(0x91, &[0xAA, 0xBB])]);
        check(&[0x9F, 0x36, 1, 7, 0x8A, 0], &[(0x9F36, &[7]), (0x8A, &[])]);
        check(&[0xDF, 0x81, 0x01, 1, 7], &[(0xDF_8101, &[7])]);
        check(&[0xDF, 0x81, 0x82, 0x03, 1, 7], &[(0xDF81_8203, &[7])]);
        check(&[0x5A, 0x81, 1, 7], &[(0x5A, &[7])]);
        check(&[0x5A, 0x82, 0, 1, 7], &[(0x5A, &[7])]);
        check(&[], &[]);
    }

    #[test]
    fn what_is_no_row_of_elements() {
        for bad in [
            &[0x91][..],
            &[0x91, 2, 0xAA],
            &[0x9F],
            &[0x9F, 0x81, 0x81, 0x81, 0x01, 0],
            &[0x91, 0x80],
            &[0x91, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x91, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0],
            &[0x91, 0x82, 0xFF],
        ] {
            assert_eq!(elements(bad).last(), Some(Err(Malformed)), "{bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(elements(&bytes).count() <= bytes.len());
        }
    }
}
