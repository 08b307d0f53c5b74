//! Datasets: one byte of identifier, two bytes of length, big-endian, and content, one after the
//! other. So are the composite fields of ISO 8583:2003 laid out, and DE55 on a Visa link, where
//! dataset 01 is around the elements of the chip.
//!
//! A dataset may stand more than once and may be empty. Unknown ones are kept in their order.

use crate::rest::Rest;
use crate::tlv::{self, TlvError, TlvRule};

/// The datasets of `bytes`. Their content is bounded, not read; [`check`] reads it.
#[must_use]
pub const fn datasets(bytes: &[u8]) -> Datasets<'_> {
    Datasets(Rest::of(bytes))
}

/// What the first dataset with this identifier holds. Behind a fault nothing is found.
#[must_use]
pub fn find(bytes: &[u8], id: u8) -> Option<&[u8]> {
    datasets(bytes)
        .map_while(Result::ok)
        .find(|dataset| dataset.id == id)
        .map(|dataset| dataset.content)
}

/// Whether `bytes` are datasets, and those of elements hold good ones. What stands behind a bitmap
/// is for the dialect to read.
///
/// # Errors
/// The first fault.
pub fn check(bytes: &[u8]) -> Result<(), DatasetError> {
    for dataset in datasets(bytes) {
        let dataset = dataset?;
        match dataset.kind() {
            Kind::Elements => {
                tlv::check(dataset.content).map_err(|error| dataset.fault_within(error))?;
            }
            Kind::Bitmap => {}
        }
    }
    Ok(())
}

/// Writes a dataset at the start of `out`; returns the bytes written. `None`, and nothing is
/// written, when `out` is too small, the identifier is zero or the content longer than 65535 bytes.
#[must_use]
pub fn put(out: &mut [u8], id: u8, content: &[u8]) -> Option<usize> {
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    let written = content.len().checked_add(HEADER_LEN)?;
    let out = out.get_mut(..written).filter(|_| id != 0)?;
    let (header, body) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    *header = [id, high, low];
    debug_assert_eq!(body.len(), content.len());
    body.copy_from_slice(content);
    Some(written)
}

/// One dataset.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dataset<'a> {
    /// Its identifier, never zero.
    pub id: u8,
    /// Where it begins: bytes from the start of the field.
    pub offset: u32,
    /// What it holds.
    pub content: &'a [u8],
    /// Identifier, length and content: side by side the datasets of a field are the field.
    pub bytes: &'a [u8],
}

impl Dataset<'_> {
    /// How the content is laid out: the identifier says it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.id {
            0..=ELEMENTS_ID_MAX => Kind::Elements,
            _ => Kind::Bitmap,
        }
    }

    /// Where the content begins: bytes from the start of the field.
    #[must_use]
    pub const fn content_offset(&self) -> u32 {
        self.offset.saturating_add(CONTENT_AT)
    }

    /// A fault in the content, with its place in the field.
    const fn fault_within(&self, error: TlvError) -> DatasetError {
        DatasetError {
            offset: self.content_offset().saturating_add(error.offset),
            rule: DatasetRule::Element(error.rule),
        }
    }
}

impl core::fmt::Debug for Dataset<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02X}[{} bytes]", self.id, self.content.len())
    }
}

/// How the content of a dataset is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Identifiers 01 to 70: elements of BER-TLV, see [`tlv`].
    Elements,
    /// Identifiers 71 to FF: a bitmap and what it announces.
    Bitmap,
}

/// Datasets in order; ends after the first fault.
#[derive(Clone)]
pub struct Datasets<'a>(Rest<'a>);

impl<'a> Iterator for Datasets<'a> {
    type Item = Result<Dataset<'a>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.bytes.is_empty() {
            return None;
        }
        let read = first(&self.0);
        match &read {
            Ok(dataset) => self.0.pass(dataset.bytes.len()),
            Err(_) => self.0.stop(),
        }
        Some(read)
    }
}

impl core::fmt::Debug for Datasets<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Datasets[{} bytes]", self.0.bytes.len())
    }
}

fn first<'a>(rest: &Rest<'a>) -> Result<Dataset<'a>, DatasetError> {
    let fault = |from, rule| DatasetError {
        offset: rest.offset_of(from),
        rule,
    };
    let header = rest.bytes.split_first_chunk::<HEADER_LEN>();
    let Some(([id, high, low], from_content)) = header else {
        return Err(fault(rest.bytes, DatasetRule::Truncated));
    };
    if *id == 0 {
        return Err(fault(rest.bytes, DatasetRule::Identifier));
    }
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let Some((content, behind)) = from_content.split_at_checked(len) else {
        return Err(fault(from_content, DatasetRule::Truncated));
    };
    Ok(Dataset {
        id: *id,
        offset: rest.offset_of(rest.bytes),
        content,
        bytes: rest.up_to(behind),
    })
}

/// Why bytes are no datasets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dataset at offset {offset}: {rule}")]
pub struct DatasetError {
    /// Bytes from the start of the field: to the dataset when identifier or length is cut or the
    /// identifier is none, to the first byte of the content when that is cut, into the content when
    /// an element is at fault.
    pub offset: u32,
    /// What does not hold.
    pub rule: DatasetRule,
}

/// What must hold of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DatasetRule {
    /// It ends where the field ends, or before.
    #[error("it is longer than the field")]
    Truncated,
    /// Zero identifies nothing: zeros at the end of a field are no datasets.
    #[error("the identifier is zero")]
    Identifier,
    /// Its elements keep their rules.
    #[error("an element within: {0}")]
    Element(TlvRule),
}

/// Identifier and length.
const HEADER_LEN: usize = 3;
/// [`HEADER_LEN`] as an offset.
const CONTENT_AT: u32 = 3;
/// The last identifier of a dataset of elements (ISO 8583:2003).
const ELEMENTS_ID_MAX: u8 = 0x70;

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::DatasetRule::{Element, Identifier, Truncated};
    use super::*;

    /// Dataset 01 around two elements, an empty one, one behind a bitmap, 01 again.
    const FIELD: &[u8] = &[
        0x01, 0, 7, 0x5A, 1, 0x12, 0x9F, 0x36, 1, 7, 0x65, 0, 0, 0x71, 0, 2, 0x80, 0x9F, 0x01, 0,
        2, 0x95, 0,
    ];

    #[track_caller]
    fn check_fault(bytes: &[u8], offset: u32, rule: DatasetRule) {
        assert_eq!(check(bytes), Err(DatasetError { offset, rule }));
        let mut read = datasets(bytes).skip_while(Result::is_ok);
        assert!(
            read.next()
                .is_none_or(|one| one == Err(DatasetError { offset, rule }))
        );
        assert!(read.next().is_none(), "nothing is read behind a fault");
    }

    #[test]
    fn datasets_are_read_in_order() {
        assert_eq!(check(FIELD), Ok(()));
        let read: Vec<_> = datasets(FIELD).map(Result::unwrap).collect();
        let plain: Vec<_> = read
            .iter()
            .map(|one| (one.id, one.kind(), one.offset, one.content.len()))
            .collect();
        assert_eq!(
            plain,
            [
                (0x01, Kind::Elements, 0, 7),
                (0x65, Kind::Elements, 10, 0),
                (0x71, Kind::Bitmap, 13, 2),
                (0x01, Kind::Elements, 18, 2),
            ]
        );
        let again: Vec<u8> = read.iter().flat_map(|one| one.bytes).copied().collect();
        assert_eq!(again, FIELD);
        assert_eq!(find(FIELD, 0x71), Some(&[0x80, 0x9F][..]));
        assert_eq!(find(FIELD, 0x01), Some(&FIELD[3..10]), "the first of two");
        assert_eq!(find(FIELD, 0x70), None);
        assert_eq!((check(&[]), datasets(&[]).count()), (Ok(()), 0));
    }

    #[test]
    fn faults_are_named_by_their_place_in_the_field() {
        check_fault(&[0x01], 0, Truncated);
        check_fault(&[0x71, 0, 0, 0x01, 0], 3, Truncated);
        check_fault(&[0x71, 0, 0, 0x01, 0xFF, 0xFF, 0x95, 0], 6, Truncated);
        check_fault(&[0x71, 0, 0, 0, 0, 0], 3, Identifier);
        check_fault(
            &[0x71, 0, 1, 7, 0x70, 0, 2, 0x95, 1],
            9,
            Element(TlvRule::Truncated),
        );
        check_fault(
            &[0x01, 0, 2, 0x95, 0x80],
            4,
            Element(TlvRule::IndefiniteLength),
        );
    }

    #[test]
    fn what_cannot_be_said_is_not_written() {
        let mut out = [0xEE; 5];
        assert_eq!(put(&mut out, 0, &[1]), None);
        assert_eq!(put(&mut out, 1, &[1, 2, 3]), None);
        assert_eq!(put(&mut out, 1, &std::vec![7; 65_536]), None);
        assert_eq!(out, [0xEE; 5], "nothing is written");
        assert_eq!(put(&mut out, 1, &[1, 2]), Some(5));
        assert_eq!(out, [1, 0, 2, 1, 2]);
        let longest = std::vec![7; 65_535];
        assert_eq!(put(&mut std::vec![0; 65_538], 0xFF, &longest), Some(65_538));
    }

    #[test]
    fn nothing_shows_a_content() {
        let error = check(&FIELD[..5]).unwrap_err();
        let shown = format!("{:?} {:?} {error}", datasets(FIELD), datasets(FIELD).next());
        assert_eq!(
            shown,
            "Datasets[23 bytes] Some(Ok(01[7 bytes])) \
             dataset at offset 3: it is longer than the field"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in vec(prop_oneof![0..4_u8, any::<u8>()], 0..60)) {
            let read: Vec<_> = datasets(&bytes).collect();
            prop_assert!(read.len() <= bytes.len());
            let is_read = read.iter().all(Result::is_ok);
            let is_good = read.iter().flatten().all(|one| {
                one.kind() == Kind::Bitmap || tlv::check(one.content).is_ok()
            });
            prop_assert_eq!(check(&bytes).is_ok(), is_read && is_good);
        }

        #[test]
        fn what_is_put_is_read_and_each_cut_is_a_fault_or_a_shorter_row(
            row in vec((1..=255_u8, vec(any::<u8>(), 0..300)), 0..4),
        ) {
            let (mut out, mut ends) = ([0xEE; 1300], std::vec![0]);
            for (id, content) in &row {
                let end = ends[ends.len() - 1];
                ends.push(end + put(&mut out[end..], *id, content).unwrap());
            }
            for cut in 0..=ends[ends.len() - 1] {
                let read: Vec<_> = datasets(&out[..cut])
                    .map_while(Result::ok)
                    .map(|one| (one.id, one.content.to_vec()))
                    .collect();
                prop_assert_eq!(&read[..], &row[..read.len()]);
                let is_whole = datasets(&out[..cut]).all(|one| one.is_ok());
                prop_assert_eq!(is_whole, ends.contains(&cut));
                let passed = ends[1..].iter().filter(|end| **end <= cut);
                prop_assert_eq!(read.len(), passed.count());
            }
        }
    }
}
